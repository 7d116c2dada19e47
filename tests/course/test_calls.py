"""When two calls gave the same."""

import math

import pytest
import torch

from attncourse.course.calls import agree, close
from attncourse.course.execution import Failure, Outcome
from attncourse.testing import gaussian, same_value

NAN, INF = math.nan, math.inf


def numbers(*values):
    return torch.tensor(values, dtype=torch.float64)


TWO = numbers(2.0)

FAILED = Outcome(failure=Failure("ValueError", "no", "line 3"))


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (FAILED, Outcome(failure=Failure("ValueError", "no", "line 9")), True),
        (FAILED, Outcome(failure=Failure("ValueError", "other", "line 3")), False),
        (FAILED, Outcome(failure=Failure("TypeError", "no", "line 3")), False),
        (FAILED, Outcome(1), False),
        (Outcome(1), FAILED, False),
        (Outcome(1), Outcome(1), True),
        (Outcome(TWO, modified=(0,)), Outcome(TWO), True),
    ],
)
def test_outcomes_agree(a, b, expected):
    assert agree(a, b) is expected


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (TWO, TWO * (1 + 1e-9), True),
        (TWO, TWO * (1 + 1e-5), False),
        (numbers(NAN, INF), numbers(NAN, INF), True),
        (numbers(NAN), numbers(0.0), False),
        (TWO, TWO.float(), False),
        (TWO, TWO[None], False),
        (TWO, 2.0, False),
        (TWO, None, False),
        (3, 3, True),
        (3, 3.0, False),
        (True, 1, False),
        ((TWO, 1), (TWO, 1), True),
        ((TWO, 1), [TWO, 1], False),
        ((TWO,), (TWO, TWO), False),
        ([TWO, (None, "a")], [TWO, (None, "a")], True),
        (torch.tensor([True]), torch.tensor([False]), False),
        (TWO.to("meta"), TWO, False),
    ],
)
def test_values_are_the_same(a, b, expected):
    assert same_value(a, b) is expected
    assert same_value(b, a) is expected


MATRIX = gaussian(5, 6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_rounding_in_low_precision_is_no_difference(dtype):
    room = torch.finfo(dtype).eps
    x = MATRIX.to(dtype)
    assert close(x + (x.abs().max() * room).to(dtype), x)
    assert not close(x * 1.5, x)
    assert not close(x.masked_fill(x > 3, NAN), x)
    assert close(x.masked_fill(x > 3, NAN), x.masked_fill(x > 3, NAN))
    assert not close(x.masked_fill(x > 3, INF), x.masked_fill(x > 3, -INF))


def test_in_float64_only_what_the_checks_call_equal_is_close():
    assert close(MATRIX * (1 + 1e-9), MATRIX)
    assert not close(MATRIX * (1 + 1e-6), MATRIX)


def test_a_pair_is_close_where_its_parts_are():
    assert close((MATRIX.bfloat16(), 3), (MATRIX.bfloat16(), 3))
    assert not close((MATRIX, 3), (MATRIX, 4))
    assert not close((MATRIX,), [MATRIX])
