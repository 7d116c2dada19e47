"""What a learner calls in a notebook: check and hint."""

import functools
import inspect
import sys
import time
import warnings

import IPython.display
import matplotlib.pyplot as plt
import pytest
import torch
from IPython.core.interactiveshell import InteractiveShell

import attncourse
import attncourse.plots
import double
from attncourse.course import exercise as contract
from attncourse.course import progress
from attncourse.course.checking import LocalAnswer, run
from attncourse.course.exercise import read
from attncourse.course.notebook import NotPassedError, check, hint
from attncourse.exercises.masks import masked_softmax
from attncourse.exercises.scores_and_scaling import softmax
from attncourse.exercises.weighted_mean import soft_lookup


@pytest.fixture(autouse=True)
def _a_fresh_learner(tmp_path, monkeypatch, toy_course):
    """A folder of its own, and not the strict mode of our own test runs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ATTNCOURSE_STRICT", raising=False)


@pytest.fixture
def told(capsys):
    """What was said since the last call."""
    return lambda: capsys.readouterr().out.splitlines()


def called(name, function):
    """The function under another name."""

    def learners(*args, **kwargs):
        return function(*args, **kwargs)

    learners.__name__ = name
    return learners


SOLVED = called("double", double.solution)
SQUARED = called("double", double.wrong_squared)


def unattempted(x, *, plus=0.0):
    raise NotImplementedError


NAMELESS = (
    'check cannot tell which exercise this is for: name it, as in check("softmax", your_function).'
)


# check


def test_the_package_offers_both():
    assert attncourse.check is check
    assert attncourse.hint is hint


def test_a_function_is_checked_by_its_own_name(told):
    check(SOLVED)
    assert told()[0] == "✔ double: 3 of 3 checks passed"


def test_a_function_is_checked_under_the_name_given(told):
    check("double", double.wrong_number_forgotten)
    assert told() == [
        "✘ double: 2 of 3 checks passed",
        "     Your function does what this mistake does, on every input tried: "
        "You left the number out. Add it at the end.",
        "  ✔ doubles every entry of a matrix",
        "  ✘ adds the number after doubling",
        "       Your result is the expected one plus -1.5, in every entry.",
        "  ✔ the gradient is two",
        'Stuck? hint("double") shows the next hint (2 left).',
    ]


def test_anything_callable_is_checked(told):
    class Doubling(torch.nn.Module):
        def forward(self, x, *, plus=0.0):
            return 2 * x + plus

    check("double", Doubling())
    check("double", lambda x, *, plus=0.0: 2 * x + plus)
    assert [line for line in told() if "double:" in line] == ["✔ double: 3 of 3 checks passed"] * 2


def twice(x, *, plus=0.0):
    return 2 * x + plus


class Twice(torch.nn.Module):
    def forward(self, x, *, plus: float = 0.0):
        return 2 * x + plus

    def double(self, x, *, plus=0.0):
        return 2 * x + plus


class Scripted(torch.nn.Module):
    def forward(self, x, plus: float = 0.0):
        return 2 * x + plus


CALLABLES = {
    "a partial": functools.partial(twice, plus=0.0),
    "a lambda": lambda x, *, plus=0.0: 2 * x + plus,
    "a function of another name": twice,
    "an instance": Twice(),
    "a bound method of that name": Twice().double,
    "a bound method of another": Twice().forward,
    "a function that remembers": functools.lru_cache(twice),
}


@pytest.mark.parametrize("what", [*CALLABLES, "compiled by TorchScript"])
def test_what_can_be_called_is_checked_by_the_name_that_it_is_bound_to(told, what):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        double = CALLABLES[what] if what in CALLABLES else torch.jit.script(Scripted())
    check(double)
    assert told()[0] == "✔ double: 3 of 3 checks passed"
    hint(double)
    assert told()[0].startswith("Hint 1 of 2")


def test_a_stub_is_told_what_to_replace(told):
    check("double", unattempted)
    assert told() == [
        "○ double: not attempted yet",
        "Replace `raise NotImplementedError` in double and run the cell again.",
    ]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("doubel", double.solution), "there is no exercise 'doubel'; did you mean 'double'?"),
        (("doubel",), "there is no exercise 'doubel'; did you mean 'double'?"),
        ((called("doubler", len),), "there is no exercise 'doubler'; did you mean 'double'?"),
        ((lambda x: x,), NAMELESS),
        ((functools.partial(len),), NAMELESS),
        (("double",), "check needs your function as well: check('double', double)."),
        (("double", 3), "check needs your function as well: check('double', double)."),
        ((3,), "check takes your function, not the int 3: check(softmax)."),
        ((None,), "check takes your function, not None: check(softmax)."),
        (
            (torch.ones(2, 3),),
            "check takes your function, not a float32 tensor of shape (2, 3): check(softmax).",
        ),
    ],
)
def test_a_call_that_makes_no_sense_gets_one_sentence(told, arguments, sentence):
    inspect.unwrap(check)(*arguments)  # beneath the type checks of our own test runs
    assert told() == [sentence]
    assert progress.load() == {}


def test_the_result_is_kept(tmp_path):
    check(SQUARED)
    assert progress.load(tmp_path) == {"double": {"state": "failed", "passed": 0, "checks": 3}}
    check(SOLVED)
    assert progress.load(tmp_path)["double"]["state"] == "passed"


def test_the_answer_is_told_even_where_nothing_can_be_kept(tmp_path, told):
    (tmp_path / progress.FILE_NAME).mkdir()
    check(SOLVED)
    assert told()[0] == "✔ double: 3 of 3 checks passed"


@pytest.mark.parametrize("module", [soft_lookup, softmax, masked_softmax])
def test_a_second_check_of_a_typical_exercise_is_quick(module):
    exercise = read(module)
    wrong = next(iter(exercise.wrong.values()))

    def answered():
        before = time.process_time()
        result = run(exercise, LocalAnswer(wrong, exercise.forbidden))
        assert result.state == "failed"
        return time.process_time() - before

    assert sorted(answered() for _ in range(4))[1] < 0.3  # seconds


# The strict mode of our own test runs


def test_strict_mode_raises_what_it_would_have_told(monkeypatch, tmp_path):
    monkeypatch.setenv("ATTNCOURSE_STRICT", "1")
    check(SOLVED)
    with pytest.raises(NotPassedError, match=r"(?s)✘ double: 0 of 3 checks passed.*You squared x"):
        check(SQUARED)
    with pytest.raises(NotPassedError, match="not attempted yet"):
        check("double", unattempted)
    with pytest.raises(NotPassedError, match="did you mean 'double'"):
        check("doubel", double.solution)
    with pytest.raises(NotPassedError, match="needs your function"):
        check("double")
    assert progress.load(tmp_path)["double"]["state"] == "passed"


@pytest.mark.parametrize("value", ["", "0", "yes"])
def test_only_the_value_one_is_strict(monkeypatch, told, value):
    monkeypatch.setenv("ATTNCOURSE_STRICT", value)
    check(SQUARED)
    assert told()[0] == "✘ double: 0 of 3 checks passed"


def test_an_exercise_that_cannot_be_loaded_is_said(told, monkeypatch):
    def load(module):
        raise contract.BrokenExercise("exercise module double cannot be loaded: KeyError: 1")

    monkeypatch.setattr(contract, "_load", load)
    check(SOLVED)
    hint("double")
    assert told() == ["exercise module double cannot be loaded: KeyError: 1"] * 2


# hint


def test_hints_come_one_by_one_then_all(told):
    hint("double")
    hint(SOLVED)
    assert told() == [
        "Hint 1 of 2: Twice is a sum.",
        "Hint 2 of 2: Write `x + x`, then add the number.",
    ]
    for _ in range(2):
        hint("double")
        assert told() == [
            "Hint 1 of 2: Twice is a sum.",
            "Hint 2 of 2: Write `x + x`, then add the number.",
            "There are no more hints for double.",
        ]


def test_a_failed_check_offers_the_hints_that_are_left(told):
    offers = []
    for _ in range(3):
        check(SQUARED)
        offers.append(told()[-1])
        hint("double")
        told()
    assert offers[:2] == [
        'Stuck? hint("double") shows the next hint (2 left).',
        'Stuck? hint("double") shows the next hint (1 left).',
    ]
    assert "hint" not in offers[2]


@pytest.mark.parametrize("what", ["doubel", called("doubel", len)])
def test_a_hint_for_an_unknown_exercise_gets_one_sentence(told, what):
    hint(what)
    assert told() == ["there is no exercise 'doubel'; did you mean 'double'?"]


def test_a_hint_for_what_is_no_exercise_gets_one_sentence(told):
    inspect.unwrap(hint)(3)
    (line,) = told()
    assert line.startswith("there is no exercise")


# Jupyter


class Shell:
    """What IPython's get_ipython returns; only a kernel's has a kernel."""


class KernelShell(Shell):
    kernel = object()


@pytest.fixture
def shown(monkeypatch):
    """What was displayed in the notebook."""
    plt.switch_backend("Agg")  # which asks for the shell: before one is pretended
    displayed = []

    def display(data, raw):
        assert raw
        displayed.append(data)

    monkeypatch.setattr(IPython.display, "display", display)
    return displayed


@pytest.mark.parametrize("shell", [None, Shell()])
def test_a_terminal_gets_plain_text(monkeypatch, told, shown, shell):
    monkeypatch.setattr(IPython, "get_ipython", lambda: shell)
    check(SOLVED)
    assert told()[0] == "✔ double: 3 of 3 checks passed"
    assert shown == []


def test_python_without_ipython_gets_plain_text(monkeypatch, told):
    monkeypatch.delitem(sys.modules, "IPython")
    check(SOLVED)
    assert told()[0] == "✔ double: 3 of 3 checks passed"


def test_a_kernel_gets_html_with_a_figure(monkeypatch, told, shown):
    monkeypatch.setattr(IPython, "get_ipython", KernelShell)
    check(SQUARED)
    (data,) = shown
    html = data["text/html"]
    assert "You squared x. Twice a number is a sum" in html
    assert "hint(&quot;double&quot;)" in html
    assert html.count("<img ") == 2  # a light drawing and a dark one
    assert told() == []


def test_who_reads_plain_text_reads_the_same(monkeypatch, told, shown):
    check(SQUARED)
    plain = told()
    monkeypatch.setattr(IPython, "get_ipython", KernelShell)
    check(SQUARED)
    assert shown[0]["text/plain"].splitlines() == plain
    assert plain[-1].startswith("Stuck?")


def test_a_kernel_shows_hints_as_markdown(monkeypatch, told, shown):
    monkeypatch.setattr(IPython, "get_ipython", KernelShell)
    for _ in range(3):
        hint("double")
    first, _, all_of_them = shown
    assert first["text/plain"].startswith("Hint 1 of 2: ")
    assert first["text/markdown"].startswith("**Hint 1 of 2:** ")
    assert "\n\n**Hint 2 of 2:** " in all_of_them["text/markdown"]
    assert told() == []


# A cell that is no Python


class Remembering(Shell):
    """A shell that knows the cells that ran."""

    def __init__(self, *cells):
        self.user_ns = {"In": ["", *cells]}

    def transform_cell(self, source):
        return source.replace("%matplotlib inline", "pass")


BROKEN = "%matplotlib inline\ndef double(x, *, plus=0.0):\n    return (2 * x + plus\n"
WHOLE = BROKEN.replace("return (", "return ")
STALE = {
    "a broken definition": (["x = 1", BROKEN, "check(double)"], 2),
    "broken after a whole one": ([WHOLE, BROKEN, "check(double)"], 2),
    "a broken lambda": (["double = lambda x: (x", "check(double)"], 1),
}


@pytest.mark.parametrize("case", STALE)
def test_after_a_cell_that_is_no_python_nothing_is_judged(monkeypatch, told, case):
    cells, number = STALE[case]
    monkeypatch.setattr(IPython, "get_ipython", lambda: Remembering(*cells))
    check(SQUARED)
    (line,) = told()
    assert line.startswith(f"double: the cell In [{number}] could not be read: line ")
    assert "'(' was never closed" in line
    assert line.endswith("Nothing was checked: what stands there is not your function yet.")
    assert progress.load() == {}


@pytest.mark.parametrize(
    "cells",
    [
        [BROKEN, WHOLE, "check(double)"],
        [BROKEN.replace("double", "other"), "check(double)"],
        ["double == (", "check(double)"],
        [],
    ],
)
def test_what_is_broken_elsewhere_or_mended_does_not_matter(monkeypatch, told, cells):
    monkeypatch.setattr(IPython, "get_ipython", lambda: Remembering(*cells))
    check(SOLVED)
    assert told()[0] == "✔ double: 3 of 3 checks passed"


def test_jupyter_remembers_a_cell_that_is_no_python(monkeypatch, told):
    shell = InteractiveShell()
    monkeypatch.setattr(IPython, "get_ipython", lambda: shell)
    shell.run_cell("def double(x):\n    return 2 * x", store_history=True)
    shell.run_cell("def double(x):\n    return (2 * x", store_history=True)
    told()
    check("double", shell.user_ns["double"])
    assert told()[0].startswith("double: the cell In [2] could not be read: line 2: '(' was never")


def test_check_gives_nothing_that_a_cell_would_print_again():
    assert check(SOLVED) is None
    assert hint("double") is None
