"""Answers that do unusual things: what is right passes, what is wrong is told without an input."""

import pytest

from attncourse.course.exercise import get
from attncourse.grading.judge.allowance import Limits
from attncourse.grading.judge.judging import grade
from attncourse.grading.judge.submission import read
from attncourse.grading.judge.veil import NOT_SHOWN
from attncourse.grading.judge.worker import Worker

CHECKS = len(get("softmax").checks)
HEAD = "import torch, ctypes, time, uuid, warnings\nimport numpy as np\n"
RIGHT = """
    wide = x.float() if x.dtype == torch.bfloat16 else x
    e = (wide - wide.amax(-1, keepdim=True)).exp()
    return (e / e.sum(-1, keepdim=True)).to(x.dtype)
"""

PASSES = {
    "another's mode": "def softmax(x):\n    with M():\n        return plain(x)\n"
    "class M(torch.utils._python_dispatch.TorchDispatchMode):\n"
    "    def __torch_dispatch__(self, f, types, args=(), kwargs=None):\n"
    "        return f(*args, **(kwargs or {}))\n"
    "def plain(x):" + RIGHT,
    "a nap": "def softmax(x):\n    time.sleep(0.02)" + RIGHT,
    "what it got, printed": "def softmax(x):\n    print(x)" + RIGHT,
    "sizes of C": "def softmax(x):\n    ctypes.sizeof(ctypes.c_long)" + RIGHT,
    "the address of an array": "def softmax(x):\n    np.zeros(3).ctypes.data" + RIGHT,
    "a number for the universe": "def softmax(x):\n    uuid.uuid4()" + RIGHT,
    "a loader of data": "def softmax(x):\n    next(iter(torch.utils.data.DataLoader([1, 2])))"
    + RIGHT,
}

FAILS = {
    "the gradient of logsumexp, cut off": (
        "def softmax(x):\n    y = x.detach().requires_grad_()\n"
        "    return torch.autograd.grad(y.logsumexp(-1).sum(), y)[0]\n",
        CHECKS - 1,
        "the gradient",
    ),
    "written back to the last bit but one": (
        "def softmax(x):\n    m = x.amax(-1, keepdim=True)\n    x.data.sub_(m)\n"
        "    e = (x.float() if x.dtype == torch.bfloat16 else x).exp()\n"
        "    out = (e / e.sum(-1, keepdim=True)).to(x.dtype)\n    x.data.add_(m)\n    return out\n",
        1,
        "modified its argument x",
    ),
    "another name for it": (
        "def softmax(x):\n    return getattr(torch.nn.functional, 'gumbel_' 'softmax')(x)\n",
        0,
        "softmax is not allowed",
    ),
    "an exception in another": (
        "def softmax(x):\n    try:\n        1 / 0\n    except Exception as e:\n"
        "        raise RuntimeError(f'bad {x.sum()}') from e\n",
        0,
        "raised RuntimeError (a.py, line 7: raise RuntimeError(f'bad {x.sum()}') from e); "
        + NOT_SHOWN,
    ),
    "a group of exceptions": (
        "def softmax(x):\n    raise ExceptionGroup(str(x.sum()), [ValueError(1)])\n",
        0,
        "raised ExceptionGroup (a.py, line 4: ",
    ),
    "a key that is the input": (
        "def softmax(x):\n    return {}[x]\n",
        0,
        "raised KeyError (a.py, line 4",
    ),
    "a warning that is an error": (
        "def softmax(x):\n    warnings.simplefilter('error')\n    warnings.warn(str(x.sum()))\n",
        0,
        f"raised UserWarning (a.py, line 5: warnings.warn(str(x.sum()))); {NOT_SHOWN}",
    ),
    "sizes that do not fit": (
        "def softmax(x):\n    return x.exp() / x.exp().sum(-1)\n",
        None,
        "The size of tensor a (37) must match the size of tensor b (5)",
    ),
    "a thread": (
        "import threading\ndef softmax(x):\n    threading.Thread(target=print).start()\n",
        0,
        "raised RuntimeError: can't start new thread (a.py, line 5",
    ),
}


@pytest.fixture(scope="module")
def graded(tmp_path_factory, zygote):
    """The result of a source, and what is told of it."""
    path = tmp_path_factory.mktemp("odd") / "a.py"

    def one(source):
        path.write_text(HEAD + source)
        submission = read(path)
        with Worker(submission, Limits(), zygote) as worker:
            result = grade(submission, worker, get("softmax"), b"of this run")
        return result, "\n".join(check.message for check in result.checks)

    return one


@pytest.mark.parametrize("what", PASSES)
def test_an_odd_answer_that_is_right_passes(what, graded):
    result, told = graded(PASSES[what])
    assert result.passed == CHECKS, told


@pytest.mark.parametrize("what", FAILS)
def test_an_odd_answer_that_is_wrong_is_told_what_can_be_told(what, graded, zygote):
    if what == "a thread" and zygote.level == "limits":
        pytest.skip("threads can be started here")
    source, passed, words = FAILS[what]
    result, told = graded(source)
    assert passed is None or result.passed == passed
    assert words in told
