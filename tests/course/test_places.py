"""Where an exception was raised, in the learner's words, and whether it was the stub's."""

import linecache

import pytest
import torch

from attncourse.course.execution import execute


def learners(source, name="f", file="<code cell 1>"):
    """A function from source that a learner wrote in a notebook."""
    linecache.cache[file] = (len(source), None, source.splitlines(True), file)
    namespace = {"torch": torch}
    exec(compile(source, file, "exec"), namespace)
    return namespace[name]


def failure_of(function, *args):
    return execute(function, None, args, {}).failure


def test_helpers_of_other_cells_are_named_with_their_cell():
    helper = learners("def g(x):\n    return 1 / x\n", "g", file="<code cell 1>")
    answer = learners("def f(x):\n    return g(x)\n", file="<code cell 2>")
    answer.__globals__["g"] = helper
    assert failure_of(answer, 0).where == (
        "code cell 2, line 2: return g(x) → code cell 1, line 2, in g: return 1 / x"
    )


def test_of_a_deep_recursion_the_first_and_the_last_lines_are_told():
    where = failure_of(learners("def f(x):\n    return f(x - 1) if x else 1 / x\n"), 30).where
    assert where.count("→") == 4
    first = "code cell 1, line 2: return f(x - 1) if x else 1 / x → … → line 2, in f: "
    assert where.startswith(first)


CELLS = ["<ipython-input-7-0a1b>", "/tmp/ipython-input-7-123.py", "<code cell 7>"]


@pytest.mark.parametrize("file", CELLS)
def test_a_cell_is_called_by_its_number_wherever_it_runs(file):
    function = learners("def f(x):\n    return x.missing\n", file=file)
    assert failure_of(function, 1).where == "code cell 7, line 2: return x.missing"


def test_a_long_line_is_cut():
    function = learners(f"def f(x):\n    return x.missing + {'9' * 300}\n")
    assert len(failure_of(function, 1).where) < 140


STUBS = {
    "raise NotImplementedError": True,
    '"""What it does."""\n    raise NotImplementedError': True,
    "# later\n    raise NotImplementedError": True,
    "pass\n    raise NotImplementedError": True,
    "raise NotImplementedError('later')": False,
    "y = x\n    raise NotImplementedError": False,
    "if x:\n        raise NotImplementedError": False,
    "return torch.empty(2, device='meta').tolist()": False,
    "return g()": False,
    "raise NotImplementedError from None": False,
}


@pytest.mark.parametrize("body", STUBS)
def test_only_the_untouched_stub_is_not_attempted(body):
    text = f"def g():\n    raise NotImplementedError\ndef f(x):\n    {body}\n"
    failure = failure_of(learners(text), 1)
    assert failure.untouched == STUBS[body]
    assert failure.kind == "NotImplementedError"


def test_the_stub_is_known_in_a_probe_and_not_behind_a_wrapper():
    stub = "def f(x):\n    raise NotImplementedError\n"
    assert execute(learners(stub), "gradients", (torch.ones(2),), {}).failure.untouched
    wrapped = "def g(f):\n    return lambda x: f(x)\n@g\n" + stub
    assert not failure_of(learners(wrapped), 1).untouched


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("return np.sum(x, axis=-1, keepdims=True)", "; numpy's sum was given a PyTorch tensor: "),
        ("return np.max(x, axis=-1)", "; numpy's max was given a PyTorch tensor: use "),
        ("return np.exp(x.requires_grad_())", "; numpy was given a PyTorch tensor: use PyTorch's "),
        ("return np.ones(3).reshape(7)", None),
        ("return np.stack([np.ones(2), np.ones(3)])", None),
    ],
)
def test_numpy_called_on_a_tensor_is_told_as_that(body, told):
    text = f"import numpy as np\ndef f(x):\n    {body}\n"
    failure = failure_of(learners(text), torch.ones(3))
    assert ("PyTorch" in failure.message) == bool(told)
    assert told is None or told in failure.message
