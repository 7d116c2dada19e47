"""Naming the mistake: only the one that cannot be told from the learner's function is named."""

import math

import pytest
import torch

from attncourse.course.calls import Misconception
from attncourse.course.checking import LocalAnswer, run
from attncourse.course.diagnose import AMONG_OTHERS, HERE_ONLY
from attncourse.course.exercise import read
from attncourse.testing import assert_same, assert_that, gradients


def numbers(*values):
    return torch.tensor(values, dtype=torch.float64)


THREE, TWO, MINUS = numbers(3.0, 0.5), numbers(2.0), numbers(-3.0, -1.0)


def twice(x):
    """Twice x."""
    return 2 * x


def wrong_squared(x):
    """You squared."""
    return x * x


def wrong_negative_kept(x):
    """You doubled
    positive numbers only.
    """
    return torch.where(x > 0, 2 * x, x)


def wrong_empty(x):
    """You expected an entry."""
    return 2 * x if len(x) else x[0]


def wrong_nan(x):
    """You divided zero by zero."""
    return x / 0 * 0


def check_positive(student):
    """doubles positive numbers"""
    assert_same(student(THREE), 2 * THREE)


def check_negative(student):
    """doubles negative numbers"""
    assert_same(student(MINUS), 2 * MINUS)


def check_one(student):
    """doubles one number"""
    assert_same(student(TWO), 2 * TWO)


def check_nothing(student):
    """doubles nothing"""
    assert_same(student(THREE[:0]), THREE[:0])


def check_gradient(student):
    """has the gradient two"""
    assert_same(gradients(student, THREE), gradients(twice, THREE), "the gradient")


CHECKS = (check_positive, check_negative, check_one, check_nothing)
WRONG = (wrong_squared, wrong_negative_kept, wrong_empty, wrong_nan)


@pytest.fixture
def made(variant):
    """What is found of an answer to an exercise with these checks and mistakes."""

    def grade(function, checks=CHECKS, wrong=WRONG):
        own = {f.__name__: f for f in (*checks, *wrong)}
        old = dict.fromkeys(("check_doubles_a_matrix", "check_adds_the_number"))
        old |= dict.fromkeys(("check_has_the_right_gradient", "wrong_number_forgotten"))
        old |= {} if "wrong_squared" in own else {"wrong_squared": None}
        module = variant(solution=twice, right_by_product=twice, **old, **own)
        return run(read(module), LocalAnswer(function))

    return grade


def names(result):
    """The mistakes named at the failed checks."""
    return {c.misconception and c.misconception.name for c in result.checks if c.state == "failed"}


@pytest.mark.parametrize(
    ("function", "named"),
    [
        (lambda x: x**2, "squared"),
        (lambda x: 2 * x.clamp(min=0) + x.clamp(max=0), "negative_kept"),
        (lambda x: x[0] + x[0] if not len(x) else x + x, "empty"),
        (lambda x: x**3, None),
        (lambda x: x * x if len(x) > 1 else x, None),  # differs where another check asks
        (lambda x: x * x if len(x) else x.clone() + 1, "squared"),
        (lambda x: x * x + 1e-4, None),
        (lambda x: (x * x).float(), None),
        (lambda x: [9.0, 0.25], None),
    ],
)
def test_a_mistake_is_named_if_it_agrees_on_every_call_of_every_check(made, function, named):
    assert names(made(function)) == {named}


def test_a_mistake_that_agrees_at_one_check_only_is_said_to_be_of_that_check(made):
    result = made(lambda x: x * x if x.sum() > 0 else 2 * x)
    assert names(result) == {None}
    assert result.checks[0].message.endswith(f" {HERE_ONLY} You squared.")
    assert HERE_ONLY not in "".join(c.message for c in result.checks[1:])


def test_the_advice_is_the_whole_docstring(made):
    result = made(wrong_negative_kept)
    known = Misconception("negative_kept", "You doubled positive numbers only.")
    assert [c.misconception for c in result.checks] == [None, known, None, None]


def test_the_same_checks_must_fail(made):
    def check_exact(student):
        """is not nine"""
        assert_that(student(MINUS)[0] != 9.0, "it is nine.")

    assert names(made(wrong_squared, (check_positive, check_exact))) == {"squared"}
    result = made(lambda x: x * x + 1e-9, (check_positive, check_exact))
    assert [c.state for c in result.checks] == ["failed", "passed"]
    assert names(result) == {None}


def test_nan_names_nothing_and_is_told_as_one_way_among_others(made):
    result = made(lambda x: x * math.nan)
    assert names(result) == {None}
    first = result.checks[0].message
    assert first.startswith("Your result holds NaN in 2 of 2 entries")
    assert first.endswith(f" {AMONG_OTHERS} You divided zero by zero.")
    assert sum(AMONG_OTHERS in check.message for check in result.checks) == 1


def test_of_mistakes_that_no_input_tells_apart_it_is_said_that_it_is_one(made):
    def wrong_product(x):
        """You multiplied x by itself."""
        return x.square()

    result = made(wrong_squared, wrong=(wrong_squared, wrong_product))
    known = result.checks[0].misconception
    assert known.name == "squared or product"
    assert known.advice == (
        "one of 2 that give the same on every input here. "
        "Either: You squared. Or: You multiplied x by itself."
    )


def test_where_many_cannot_be_told_apart_none_is_named(made):
    wrong = [lambda x, i=i: x * x for i in range(4)]
    for i, function in enumerate(wrong):
        function.__name__, function.__doc__ = f"wrong_{i}", f"You squared in way {i}."
    result = made(wrong_squared, wrong=(wrong_squared, *wrong))
    assert names(result) == {None}
    assert (
        result.checks[0].message == "2 of 2 entries differ, most at (0,): yours is 9, expected 6."
    )


def test_a_probe_is_repeated_on_the_mistake(made):
    def wrong_gradient(x):
        """Your gradient is that of x."""
        return 2 * x.detach() + x - x.detach()

    result = made(lambda x: x + x.detach(), (check_gradient, check_one), (wrong_gradient,))
    assert names(result) == {"gradient"}


def test_a_right_answer_has_no_mistake(made):
    assert made(twice).state == "passed"
