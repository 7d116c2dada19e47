"""An answer in the learner's own kernel: what it may use, for how long, and what is left of it."""

import contextlib
import linecache
import os
import subprocess
import sys
import threading
import traceback

import pytest
import torch

import attncourse
from attncourse.course import notebook
from attncourse.course.notebook import check


@pytest.fixture(autouse=True)
def _a_fresh_learner(tmp_path, monkeypatch, toy_course):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ATTNCOURSE_STRICT", raising=False)


@pytest.fixture
def told(capsys):
    """What was said since the last call."""
    return lambda: capsys.readouterr().out.splitlines()


def lines_of(source, name="double"):
    """A learner's function, as a notebook's cell would define it."""
    namespace = {"torch": torch}
    linecache.cache["<code cell 1>"] = (1, None, source.splitlines(True), "<code cell 1>")
    exec(compile(source, "<code cell 1>", "exec"), namespace)
    return namespace[name]


PASSED = "✔ double: 3 of 3 checks passed"
SOLVED = "def double(x, plus=0.0):\n    return 2 * x + plus\n"

LIBRARY = {
    "imported before": "from attncourse import softmax\ndef double(x, plus=0): return softmax(x)",
    "imported in it": "def double(x, plus=0):\n    from attncourse import softmax as s\n"
    "    return s(x)",
    "by the package": "import attncourse\ndef double(x, plus=0): return attncourse.softmax(x)",
    "by its module": "from attncourse.mechanisms.dense.softmax import softmax as s\n"
    "def double(x, plus=0): return s(x)",
    "by a helper": "from attncourse import softmax\ndef helper(x): return softmax(x)\n"
    "def double(x, plus=0): return helper(x)",
    "by another name": "import attncourse as a\ns = a.softmax\ndef double(x, plus=0): return s(x)",
    "as a partial": "from functools import partial\nfrom attncourse import softmax\n"
    "s = partial(softmax)\ndef double(x, plus=0): return s(x)",
}


@pytest.mark.parametrize("what", LIBRARY)
def test_the_courses_own_answers_are_refused_whatever_was_imported(told, what):
    check("double", lines_of(LIBRARY[what]))
    lines = told()
    assert lines[0] == "✘ double: 0 of 3 checks passed"
    said = "This exercise asks you to write it yourself: attncourse.softmax is not allowed ("
    assert lines[1].strip().startswith(f"{said}code cell 1, line ")
    assert torch.equal(attncourse.softmax(torch.zeros(2)), torch.tensor([0.5, 0.5]))


@pytest.mark.parametrize("module", ["attncourse.mechanisms", "attncourse.exercises.masks"])
def test_no_module_that_holds_answers_can_be_imported_in_an_answer(told, module):
    check("double", lines_of(f"def double(x, plus=0):\n    import {module}\n    return x"))
    assert f"yourself: {'.'.join(module.split('.')[:2])} is not allowed" in " ".join(told())


def test_after_an_answer_that_fails_in_any_way_the_library_is_as_it_was(told):
    from attncourse.mechanisms.dense import softmax as module

    code, known = module.softmax.__code__, set(sys.modules)
    for line in ("raise SystemExit", "raise KeyboardInterrupt", "return 1 / 0", "return x"):
        with contextlib.suppress(KeyboardInterrupt):
            check("double", lines_of(f"def double(x, plus=0):\n    {line}"))
        assert module.softmax.__code__ is code
        assert known <= set(sys.modules)
        assert attncourse.softmax is module.softmax


def test_what_measures_is_no_answer_and_may_be_used(told):
    source = "from attncourse import flops\ndef double(x, plus=0.0):\n"
    source += "    flops(lambda a: a @ a, torch.ones(2, 2))\n    return 2 * x + plus"
    check("double", lines_of(source))
    assert told()[0] == PASSED


def test_an_answer_without_an_end_is_stopped_and_the_kernel_goes_on(told, monkeypatch):
    monkeypatch.setattr(notebook, "allowed", lambda exercise: 0.2)
    check("double", lines_of("def double(x, plus=0):\n    while True: pass"))
    assert told()[:3] == [
        "✘ double: 0 of 3 checks passed",
        "     It used more processor time than it may (5 s, or 20 times what the solution "
        "takes), and was stopped.",
        "     After that the other 2 checks were not run.",
    ]
    check("double", lines_of(SOLVED))
    assert told()[0] == PASSED


@pytest.mark.parametrize("catches", ["except Exception: 2", "except: 2"])
def test_who_catches_what_stops_him_is_stopped_too(told, monkeypatch, catches):
    monkeypatch.setattr(notebook, "allowed", lambda exercise: 0.1)
    body = f"    for _ in range(2):\n        try:\n            while True: 1\n        {catches}"
    check("double", lines_of(f"def double(x, plus=0):\n{body}\n    while True: pass"))
    assert "was stopped" in told()[1]


def test_in_another_thread_time_is_not_limited_and_nothing_breaks(told):
    thread = threading.Thread(target=lambda: check("double", lines_of(SOLVED)))
    thread.start()
    thread.join()
    assert told()[0] == PASSED


BROKEN = """def helper(x):
    inside = 3
    return x.missing
def double(x, plus=0):
    return helper(x)
"""


def test_an_exception_shows_the_learners_lines_and_can_be_debugged(told):
    check("double", lines_of(BROKEN))
    assert told()[1].strip() == (
        "Your function raised AttributeError: 'Tensor' object has no attribute 'missing' "
        "(code cell 1, line 5: return helper(x) → line 3, in helper: return x.missing)."
    )
    frames = [frame.f_code.co_name for frame, _ in traceback.walk_tb(sys.last_traceback)]
    assert frames == ["execute", "double", "helper"]
    assert isinstance(sys.last_value, AttributeError)


SESSION = """
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.run_cell("1 / 0")
shell.run_cell("from attncourse import check")
shell.run_cell("def softmax(x):\\n    inside = 41\\n    return x.missing")
shell.run_cell("check(softmax)")
shell.run_line_magic("debug", "")
"""


def test_in_a_real_shell_debug_goes_to_the_learners_line(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", SESSION],
        cwd=tmp_path,
        env=os.environ | {"IPYTHONDIR": str(tmp_path), "OMP_NUM_THREADS": "1"},
        input="p inside + 1\nq\n",
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert "ipdb> 42" in done.stdout


def test_a_stub_leaves_nothing_to_debug(told, monkeypatch):
    monkeypatch.setattr(sys, "last_value", None, raising=False)
    check("double", lines_of("def double(x, plus=0):\n    raise NotImplementedError"))
    assert sys.last_value is None
