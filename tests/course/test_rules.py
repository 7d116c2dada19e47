"""The rules of a good exercise: each can be broken, and says what was found instead."""

from dataclasses import replace

import pytest

import double
from attncourse.course import exercise as contract
from attncourse.course.exercise import all_exercises
from attncourse.course.rules import RULES, broken_rules, in_words, misplaced

GOOD = all_exercises()["softmax"]


def says(text):
    def function(x):
        return x

    function.__doc__ = text
    return function


def leaning(x):
    return says(x)


def also(functions, **more):
    return {**functions, **more}


ADVICE = "You did nothing. Do it: {}."
FAULTS = {
    "a statement": ({"statement": ""}, "it has a title only"),
    "a `difficulty` from 1 to 5": ({"difficulty": 0}, "it has 0"),
    "`minutes` from 5 to 60": ({"minutes": 61}, "it has 61"),
    "exactly 2 `hints`": ({"hints": ("one",)}, "it has 1"),
    "no line of the solution": (
        {"solution": double.wrong_squared, "hints": ("It is", "return x*x + plus")},
        "they hold 'return x * x + plus'",
    ),
    "at least 4 `check_*`": ({"checks": {}}, "it has 0"),
    "a docstring of one phrase": (
        {"checks": also(GOOD.checks, new=says("Is right."))},
        "check_new says 'Is right.'",
    ),
    "at least 3 `wrong_*`": ({"wrong": {"one": says(ADVICE)}}, "it has 1"),
    "advice for each `wrong_*`": (
        {"wrong": also(GOOD.wrong, new=says("You squared x."))},
        "wrong_new says 'You squared x.'",
    ),
    "advice of its own": (
        {"wrong": also(GOOD.wrong, a=says(ADVICE), b=says(ADVICE))},
        f"2 say {ADVICE!r}",
    ),
    "at least 2 `right_*`": ({"right": {}}, "it has 0"),
    "a docstring for each `right_*`": (
        {"right": also(GOOD.right, new=says(None))},
        "right_new has none",
    ),
    "the solution's parameters": (
        {"right": also(GOOD.right, new=double.right_by_product)},
        "right_new has (x, *, plus=0.0), the solution (x)",
    ),
    "a `stub`": ({"stub": leaning}, "it needs says"),
}


def test_every_rule_has_a_fault_here():
    assert len(FAULTS) == len(RULES)


@pytest.mark.parametrize("needs", FAULTS)
def test_a_broken_rule_says_what_is_needed_and_what_was_found(needs):
    changes, found = FAULTS[needs]
    sentences = broken_rules(replace(GOOD, **changes))
    matching = [s for s in sentences if s.startswith(f"exercise softmax needs {needs}")]
    assert [s.endswith(f": {found}") for s in matching] == [True], sentences


def test_the_rules_in_words_are_a_list():
    assert len(in_words().splitlines()) == len(RULES)
    assert all(line.startswith("- ") for line in in_words().splitlines())


def test_a_name_used_twice_and_a_folder_of_no_chapter_are_found(monkeypatch, tmp_path):
    for folder in ("masks", "cost", "mask"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "padding.py").touch()
    monkeypatch.setattr(contract.exercises, "__path__", [str(tmp_path)])
    assert misplaced() == [
        "2 exercises are called padding: names are unique",
        "attncourse/exercises/mask is the folder of no chapter",
    ]
