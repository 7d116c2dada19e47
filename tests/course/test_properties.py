"""What to say where no mistake can be named: how a value differs from what was expected."""

import math

import pytest
import torch

from attncourse.course.calls import Call
from attncourse.course.execution import Outcome, execute
from attncourse.course.properties import describe_difference, property_that_broke
from attncourse.testing import gaussian

NAN, INF = math.nan, math.inf


def calls(function, *inputs):
    """The calls of a learner's function on the inputs, one argument each."""
    return [Call(None, (x,), {}, execute(function, None, (x,), {})) for x in inputs]


def numbers(*values):
    return torch.tensor(values, dtype=torch.float64)


THREE, TWO = numbers(3.0, 0.5), numbers(2.0)


def test_the_property_is_that_of_the_first_call_that_differs(exercise):
    made = calls(lambda x: x * x, TWO, numbers(4.0, 1.0), THREE)
    said = property_that_broke(made, exercise)
    assert said == "2 of 2 entries differ, most at (0,): yours is 16, expected 8."


@pytest.mark.parametrize(
    "made",
    [
        [],
        calls(lambda x: 2 * x, THREE),
        calls(lambda x: x[99], THREE),
        [Call("flops", (THREE,), {}, Outcome(THREE))],
    ],
    ids=["no call", "right", "failed", "a probe"],
)
def test_there_is_no_property_where_nothing_can_be_compared(exercise, made):
    assert property_that_broke(made, exercise) is None


WEIGHTS = torch.softmax(gaussian(3, 4), dim=-1)
MATRIX = gaussian(3, 4, seed=5)
SQUARE = gaussian(3, 3, seed=6)
MASK = torch.tensor([[True, False, False], [True, True, False]])


def changed(x, *place_and_value):
    """A copy of x with one entry changed."""
    *place, value = place_and_value
    x = x.clone()
    x[tuple(place)] = value
    return x


SENTENCES = {
    "Every entry is the opposite of what is expected: True means may attend.": (~MASK, MASK),
    "1 of 6 entries are wrong; the first is at (1, 2): yours is True, expected False.": (
        changed(MASK, 1, 2, True),
        MASK,
    ),
    "2 of 6 entries are wrong; the first is at (0, 0): yours is False, expected True.": (
        changed(changed(MASK, 0, 0, False), 1, 1, False),
        MASK,
    ),
    "2 of 3 entries differ, most at (2,): yours is 9, expected 5.": (
        torch.tensor([1, 3, 9]),
        torch.tensor([1, 4, 5]),
    ),
    "Your result holds NaN in 2 of 12 entries (1 of 3 rows), the first at (1, 0), where a finite": (
        changed(changed(MATRIX, 1, 0, NAN), 1, 2, NAN),
        MATRIX,
    ),
    "Your result holds infinity in 1 of 12 entries (1 of 3 rows), the first at (2, 3), where": (
        changed(MATRIX, 2, 3, -INF),
        MATRIX,
    ),
    "the first at (0,), where a finite number is expected; infinity belongs to 2 of 4, the first": (
        numbers(-INF, 4.0, 5.0, 6.0),
        numbers(3.0, 4.0, -INF, -INF),
    ),
    "Your result is NaN, where a finite number is expected. Think of exp of a large number": (
        torch.tensor(NAN),
        torch.tensor(1.0),
    ),
    "Weights must not be negative; the smallest of yours is -0.25.": (
        changed(WEIGHTS, 0, 1, -0.25),
        WEIGHTS,
    ),
    "Each row must sum to one; one of yours sums to 2.": (2 * WEIGHTS, WEIGHTS),
    "1 of 4 entries differ, most at (0, 1): yours is -2, expected -1.": (
        torch.tensor([[2.0, -2.0], [0.5, 0.5]]),
        torch.tensor([[2.0, -1.0], [0.5, 0.5]]),  # rows that sum to one, and yet no weights
    ),
    "Each row must sum to one; one of yours sums to 0.": (torch.zeros(3, 4).double(), WEIGHTS),
    "Your columns do: the wrong axis is normalised, or the result transposed.": (
        torch.softmax(gaussian(3, 4), dim=-2),
        WEIGHTS,
    ),
    "Your result is the transpose of the expected one.": (SQUARE.mT, SQUARE),
    "Your result is 8 times the expected one, in every entry.": (8 * MATRIX, MATRIX),
    "Your result is -1 times the expected one, in every entry.": (-MATRIX, MATRIX),
    "Your result is 0.3536 times the expected one, in every entry.": (MATRIX / 8**0.5, MATRIX),
    "Your result is the expected one plus 0.5, in every entry.": (MATRIX + 0.5, MATRIX),
    "Your result is the expected one plus -3, in every entry.": (MATRIX - 3, MATRIX),
    "1 of 12 entries differ, most at (1, 2): yours is 50, expected ": (
        changed(MATRIX, 1, 2, 50.0),
        MATRIX,
    ),
    "12 of 12 entries differ, most at ": (gaussian(3, 4, seed=7), MATRIX),
    "Yours is 3, expected 2.": (
        torch.tensor(3.0),
        torch.tensor(2.0),
    ),
    "3 of 3 entries differ, most at (0,): yours is 1, expected 0.": (
        torch.ones(3),
        torch.zeros(3),
    ),
    "1 of 2 entries differ, most at (1,): yours is 4, expected inf.": (
        numbers(1.0, 4.0),
        numbers(1.0, INF),
    ),
    "1 of 2 entries differ, most at (1,): yours is 4, expected nan.": (
        numbers(1.0, 4.0),
        numbers(1.0, NAN),
    ),
    "1 of 3 entries differ, most at (2,): yours is 4, expected 5.": (
        numbers(INF, NAN, 4.0),
        numbers(INF, NAN, 5.0),
    ),
}


@pytest.mark.parametrize("sentence", SENTENCES)
def test_a_difference_is_said_in_a_sentence(sentence):
    actual, expected = SENTENCES[sentence]
    assert sentence in describe_difference(actual, expected, weights=expected is WEIGHTS)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_a_difference_is_said_in_every_precision(dtype):
    said = describe_difference((2 * MATRIX).to(dtype), MATRIX.to(dtype))
    assert said == "Your result is 2 times the expected one, in every entry."


def test_not_finite_points_to_the_three_usual_causes():
    said = describe_difference(numbers(NAN, 1.0), numbers(0.0, 1.0))
    assert said.endswith(
        "Think of exp of a large number, 0/0, and rows that may attend to nothing."
    )


@pytest.mark.parametrize("shape", [(5,), (2, 3, 4), (1, 1), (2, 2, 3, 3)])
def test_every_difference_ends_as_a_sentence(shape):
    for seed in range(5):
        actual, expected = gaussian(*shape, seed=seed), gaussian(*shape, seed=seed + 50)
        said = describe_difference(actual, expected)
        assert said[0].isdigit() or said[0].isupper()
        assert said.endswith(".")


BFLOAT16 = WEIGHTS.bfloat16()
WEIGHED = {
    "a row of bfloat16 weights sums to about one": (
        torch.softmax(gaussian(3, 40), -1).bfloat16(),
        torch.softmax(gaussian(3, 40) + 0.01 * gaussian(3, 40, seed=1), -1).bfloat16(),
        "must sum",
    ),
    "an empty row sums to zero": (
        changed(changed(WEIGHTS, 1, 0.0), 0, 0.25),
        changed(WEIGHTS, 1, 0.0),
        "sums to 0.",
    ),
}


@pytest.mark.parametrize("case", WEIGHED)
def test_no_law_is_told_that_the_numbers_keep(case):
    actual, expected, never = WEIGHED[case]
    assert never not in describe_difference(actual, expected, weights=True)


@pytest.mark.parametrize("slip", [1e-3, 1e-6, 1e-8])
def test_a_number_never_contradicts_its_sentence(slip):
    said = describe_difference(WEIGHTS * (1 + slip), WEIGHTS, weights=True)
    number = said.partition("sums to ")[2].rstrip(".")
    assert float(number) != 1.0
    said = describe_difference(changed(MATRIX, 0, 0, 1.0 + slip), changed(MATRIX, 0, 0, 1.0))
    mine, _, other = said.partition("yours is ")[2].rstrip(".").partition(", expected ")
    assert mine != other


def test_a_law_is_inferred_only_if_every_expected_value_keeps_it(exercise):
    """Softmax of two rows; then numbers that are no weights."""
    solution = exercise.solution
    ones = calls(lambda x: 3 * x, numbers(0.25, 0.25))
    others = calls(lambda x: 3 * x, numbers(3.0, 0.5))
    assert solution(numbers(0.25, 0.25)).sum() == 1
    assert "must sum to one" in property_that_broke(ones, exercise)
    assert "must sum to one" not in property_that_broke(ones, exercise, others)


RELATIONS = {
    "Each row of your result is the expected one times a number of its own.": (
        MATRIX * numbers(2.0, 3.0, 5.0)[:, None]
    ),
    "Each row of your result is the expected one plus a number of its own.": (
        MATRIX + numbers(2.0, 3.0, 5.0)[:, None]
    ),
    "entries have the wrong sign; the sizes are right.": MATRIX.abs(),
    "Your result is the exponential of the expected one.": MATRIX.exp(),
    "Your result is the square of the expected one.": MATRIX.square(),
    "Your result is the expected one in reverse order along axis -1.": MATRIX.flip(-1),
    "Your result is the expected one in reverse order along axis -2.": MATRIX.flip(-2),
}


@pytest.mark.parametrize("sentence", RELATIONS)
def test_a_simple_relation_is_said(sentence):
    assert sentence in describe_difference(RELATIONS[sentence], MATRIX)


def test_nan_in_the_rows_that_must_be_zero_is_said_of_them_alone():
    expected = changed(WEIGHTS, 1, 0.0)
    said = describe_difference(changed(expected, 1, NAN), expected)
    assert said.endswith("in the rows that must be zero, and in no other. Think of 0/0 there.")
    assert "in no other" not in describe_difference(changed(expected, 0, NAN), expected)
