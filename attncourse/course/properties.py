"""What broke, where no mistake can be named: how one value differs from what was expected."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from attncourse.course.calls import Call
from attncourse.course.execution import Outcome
from attncourse.course.exercise import Exercise
from attncourse.course.relations import near, relation, rounding
from attncourse.testing import same_value


def property_that_broke(
    calls: Sequence[Call], exercise: Exercise, others: Sequence[Call] = ()
) -> str | None:
    """Say what differs on the first call whose value is not the solution's; None if none is.

    What is asked of weights is told only where all that the exercise expects, also of the
    `others`, are weights.
    """
    for call in calls:
        expected = call.repeat(exercise.solution)
        if comparable(call, expected):
            actual, wanted = call.outcome.value, expected.value
            if not same_value(actual, wanted) and isinstance(actual, Tensor):
                weights = all(_gives_weights(each, exercise) for each in (*calls, *others))
                return describe_difference(actual, wanted, weights)
    return None


def comparable(call: Call, expected: Outcome) -> bool:
    """Did the learner's function and the solution both give a value on a plain call?"""
    return call.probe is None and not call.outcome.failure and not expected.failure


def describe_difference(actual: Tensor, expected: Tensor, weights: bool = False) -> str:
    """One or two sentences on how `actual` differs from `expected`, of the same shape.

    weights: the exercise asks for weights, which are not negative and sum to one.
    """
    if actual.dtype == torch.bool:
        return _boolean_difference(actual, expected)
    if not actual.is_floating_point():
        return _largest_difference(actual, expected)
    if bool((~actual.isfinite() & expected.isfinite()).any()):
        return _not_finite(actual, expected)
    broken = _row_sums(actual, expected) if weights else None
    return broken or relation(actual, expected) or _largest_difference(actual, expected)


def _boolean_difference(actual: Tensor, expected: Tensor) -> str:
    if torch.equal(actual, ~expected):
        return "Every entry is the opposite of what is expected: True means may attend."
    wrong = actual != expected
    place = _first(wrong)
    return (
        f"{int(wrong.sum())} of {wrong.numel()} entries are wrong; the first is at {place}: "
        f"yours is {bool(actual[place])}, expected {bool(expected[place])}."
    )


def _first(where: Tensor) -> tuple[int, ...]:
    """The place of the first True."""
    return tuple(where.nonzero()[0].tolist())


def _not_finite(actual: Tensor, expected: Tensor) -> str:
    bad = ~actual.isfinite() & expected.isfinite()
    place = _first(bad)
    kind = "NaN" if bool(actual[place].isnan()) else "infinity"
    where = f"Your result is {kind}"
    if bad.ndim:
        rows = bad.reshape(-1, bad.shape[-1]).any(dim=-1)
        where = (
            f"Your result holds {kind} in {int(bad.sum())} of {bad.numel()} entries "
            f"({int(rows.sum())} of {len(rows)} rows), the first at {place}"
        )
        empty = (expected == 0).reshape(-1, bad.shape[-1]).all(dim=-1)
        if bool(empty.any()) and torch.equal(rows, empty):
            return f"{where}: in the rows that must be zero, and in no other. Think of 0/0 there."
        if kind == "infinity" and bool(expected.isinf().any()):
            inf = expected.isinf()
            inf = expected.isinf()
            return (
                f"{where}, where a finite number is expected; infinity belongs to "
                f"{int(inf.sum())} of {inf.numel()}, the first at {_first(inf)}."
            )
    return (
        f"{where}, where a finite number is expected. Think of exp of a large number, 0/0, and "
        "rows that may attend to nothing."
    )


def _gives_weights(call: Call, exercise: Exercise) -> bool:
    """Does the exercise expect weights here? A call without a value does not deny it."""
    expected = call.repeat(exercise.solution)
    value = expected.value
    if call.probe is not None or expected.failure:
        return True
    if not (isinstance(value, Tensor) and value.is_floating_point() and value.ndim):
        return False
    sums = value.to(torch.float64).sum(dim=-1)
    one = (sums - 1).abs() <= _room(value)
    empty = (value == 0).all(dim=-1)
    return bool(value.shape[-1] > 1 and (value >= 0).all() and (one | empty).all())


def _row_sums(actual: Tensor, expected: Tensor) -> str | None:
    """Rows that should be weights but do not sum to one, or are negative."""
    room = _room(actual)
    if bool((actual < -room).any()):
        smallest = _digits(float(actual.min()), 0.0)
        return f"Weights must not be negative; the smallest of yours is {smallest}."
    full = ~(expected == 0).all(dim=-1)
    found = actual.to(torch.float64).sum(dim=-1)
    off = ((found - 1).abs() * full).flatten()
    if not bool((off > room).any()):
        return None
    worst = _digits(float(found.flatten()[off.argmax()]), 1.0)
    why = " Your columns do: the wrong axis is normalised, or the result transposed."
    extra = why if _columns(actual) else ""
    return f"Each row must sum to one; one of yours sums to {worst}.{extra}"


def _columns(actual: Tensor) -> bool:
    return actual.ndim > 1 and near(actual.sum(dim=-2), torch.ones_like(actual[..., 0, :]))


def _room(x: Tensor) -> float:
    """What a sum of weights may be away from one in this precision."""
    return max(1e-9, 2 * rounding(x) * math.sqrt(x.shape[-1]))


def _digits(number: float, other: float) -> str:
    """The number, with as many digits as show that it is not the other one."""
    texts = (f"{number:.{digits}g}" for digits in range(3, 17))
    return next((text for text in texts if float(text) != other), repr(number))


def _largest_difference(actual: Tensor, expected: Tensor) -> str:
    yours, wanted = actual.to(torch.float64), expected.to(torch.float64)
    room = max(1e-7, rounding(actual))
    wrong = ~torch.isclose(yours, wanted, rtol=room, atol=1e-7, equal_nan=True)
    if actual.ndim == 0:
        return f"Yours is {_beside(yours.item(), wanted.item())}."
    difference = (yours - wanted).abs().nan_to_num(nan=math.inf, posinf=math.inf)
    flat = int(difference.masked_fill(~wrong, 0.0).flatten().argmax())
    place = tuple(int(i) for i in np.unravel_index(flat, difference.shape))  # torch's needs sympy
    told = _beside(actual[place].item(), expected[place].item())
    return (
        f"{int(wrong.sum())} of {wrong.numel()} entries differ, most at {place}: yours is {told}."
    )


def _beside(mine: float, other: float) -> str:
    """Two numbers, with as many digits as show that they are not the same."""
    digits = (".4g", ".10g", ".17g")
    told = next((d for d in digits if f"{mine:{d}}" != f"{other:{d}}"), digits[-1])
    return f"{mine:{told}}, expected {other:{told}}"
