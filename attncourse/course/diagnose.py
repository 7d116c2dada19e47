"""Naming the mistake: which known misconception computes what the learner's function computes.

A misconception is a function (``wrong_*``) in the exercise's module. It is run on the inputs of
the learner's own calls; where its outcomes agree with the learner's on every one of them, and
differ from the solution's on at least one, its docstring is the diagnosis.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from attncourse.course.execution import Outcome, execute
from attncourse.course.exercise import Exercise, Function, whole_doc
from attncourse.testing import same_value


@runtime_checkable
class Repeated(Protocol):
    """What the course's own functions gave on one call's inputs: a dict, or what is like it."""

    def get(self, function: Function, /) -> Outcome | None:
        """The outcome of a function; None if it is not known."""
        ...

    def __setitem__(self, function: Function, outcome: Outcome, /) -> None:
        """Keep it, or not."""
        ...


@dataclass(frozen=True)
class Call:
    """One call of the learner's function (or one probe of it), and what it gave."""

    probe: str | None
    args: Sequence[Any]
    kwargs: dict[str, Any]
    outcome: Outcome
    repeated: Repeated = field(default_factory=dict[Function, Outcome])

    def repeat(self, function: Function) -> Outcome:
        """The outcome of a function of the course's own on the same inputs, computed once."""
        found = self.repeated.get(function)
        if found is None:
            found = execute(function, self.probe, self.args, self.kwargs)
            self.repeated[function] = found
        return found


@dataclass(frozen=True)
class Misconception:
    """A known wrong answer that the learner's function equals."""

    name: str
    advice: str


def misconception(
    exercise: Exercise, calls: Sequence[Call], others: Sequence[Call] = ()
) -> Misconception | None:
    """The misconception that explains `calls`; among several, the one that best fits `others`."""
    if not any(not agree(c.outcome, c.repeat(exercise.solution)) for c in calls):
        return None
    fitting = {
        name: wrong
        for name, wrong in exercise.wrong.items()
        if all(agree(call.outcome, call.repeat(wrong)) for call in calls)
    }
    if not fitting:
        return None
    best = max(fitting, key=lambda name: sum(_fits(fitting[name], call) for call in others))
    return Misconception(best, whole_doc(fitting[best]))


def agree(a: Outcome, b: Outcome) -> bool:
    """Did two calls give the same value, or fail in the same way?"""
    if a.failure or b.failure:
        return bool(
            a.failure
            and b.failure
            and (a.failure.kind, a.failure.message) == (b.failure.kind, b.failure.message)
        )
    return same_value(a.value, b.value)


def property_that_broke(calls: Sequence[Call], exercise: Exercise) -> str | None:
    """Say what differs on the first call whose value is not the solution's; None if none is."""
    for call in calls:
        expected = call.repeat(exercise.solution)
        if comparable(call, expected):
            actual, wanted = call.outcome.value, expected.value
            if not same_value(actual, wanted) and isinstance(actual, Tensor):
                return describe_difference(actual, wanted)
    return None


def comparable(call: Call, expected: Outcome) -> bool:
    """Did the learner's function and the solution both give a value on a plain call?"""
    return call.probe is None and not call.outcome.failure and not expected.failure


def describe_difference(actual: Tensor, expected: Tensor) -> str:
    """One or two sentences on how `actual` differs from `expected`, of the same shape."""
    if actual.dtype == torch.bool:
        return _boolean_difference(actual, expected)
    if not actual.is_floating_point():
        return _largest_difference(actual, expected)
    if bool((~actual.isfinite() & expected.isfinite()).any()):
        return _not_finite(actual, expected)
    for sentence in (_row_sums(actual, expected), _simple_relation(actual, expected)):
        if sentence:
            return sentence
    return _largest_difference(actual, expected)


def _fits(wrong: Function, call: Call) -> bool:
    return agree(call.outcome, call.repeat(wrong))


def _boolean_difference(actual: Tensor, expected: Tensor) -> str:
    if torch.equal(actual, ~expected):
        return "Every entry is the opposite of what is expected: True means may attend."
    wrong = actual != expected
    place = tuple(wrong.nonzero()[0].tolist())
    return (
        f"{int(wrong.sum())} of {wrong.numel()} entries are wrong; the first is at {place}: "
        f"yours is {bool(actual[place])}, expected {bool(expected[place])}."
    )


def _not_finite(actual: Tensor, expected: Tensor) -> str:
    bad = ~actual.isfinite() & expected.isfinite()
    place = tuple(bad.nonzero()[0].tolist())
    kind = "NaN" if bool(actual[place].isnan()) else "infinity"
    where = f"Your result is {kind}"
    if bad.ndim:
        rows = bad.reshape(-1, bad.shape[-1]).any(dim=-1)
        where = (
            f"Your result holds {kind} in {int(bad.sum())} of {bad.numel()} entries "
            f"({int(rows.sum())} of {len(rows)} rows), the first at {place}"
        )
    return (
        f"{where}, where a finite number is expected. Think of exp of a large number, 0/0, and "
        "rows that may attend to nothing."
    )


def _row_sums(actual: Tensor, expected: Tensor) -> str | None:
    """Rows that should be weights but do not sum to one, or are negative."""
    sums = expected.sum(dim=-1) if expected.ndim else expected
    ones = torch.ones_like(sums)
    if (
        expected.ndim == 0
        or expected.shape[-1] < 2
        or not _near(sums, ones)
        or (expected < 0).any()
    ):
        return None
    if (actual < 0).any():
        return f"Weights must not be negative; the smallest of yours is {float(actual.min()):.3g}."
    found = actual.sum(dim=-1)
    if not _near(found, ones):
        worst = float(found.flatten()[(found - 1).abs().nan_to_num(math.inf).flatten().argmax()])
        columns = actual.ndim > 1 and _near(actual.sum(dim=-2), torch.ones_like(actual[..., 0, :]))
        extra = " Your columns do: the softmax runs over the wrong axis." if columns else ""
        return f"Each row must sum to one; one of yours sums to {worst:.3g}.{extra}"
    return None


def _simple_relation(actual: Tensor, expected: Tensor) -> str | None:
    """A constant factor, a constant offset, a sign or a transpose."""
    square = actual.ndim > 1 and actual.shape[-1] == actual.shape[-2] > 1
    if square and _near(actual, expected.mT):
        return "Your result is the transpose of the expected one."
    if actual.numel() > 1 and bool((expected != 0).any()):
        at = expected.abs().flatten().argmax()
        factor = float(actual.flatten()[at] / expected.flatten()[at])
        simple = factor != 0 and math.isfinite(factor) and abs(factor - 1) > 1e-3
        if simple and _near(actual, factor * expected):
            return f"Your result is {factor:.4g} times the expected one, in every entry."
        offset = float(actual.flatten()[at] - expected.flatten()[at])
        if _near(actual, expected + offset):
            return f"Your result is the expected one plus {offset:.4g}, in every entry."
    return None


def _largest_difference(actual: Tensor, expected: Tensor) -> str:
    yours, wanted = actual.to(torch.float64), expected.to(torch.float64)
    wrong = ~torch.isclose(yours, wanted, rtol=1e-7, atol=1e-7, equal_nan=True)
    if actual.ndim == 0:
        return f"Yours is {yours.item():.4g}, expected {wanted.item():.4g}."
    difference = (yours - wanted).abs().nan_to_num(nan=math.inf, posinf=math.inf)
    flat = int(difference.masked_fill(~wrong, 0.0).flatten().argmax())
    place = tuple(int(i) for i in np.unravel_index(flat, difference.shape))  # torch's needs sympy
    mine, other = actual[place].item(), expected[place].item()
    digits = ".4g" if f"{mine:.4g}" != f"{other:.4g}" else ".10g"
    return (
        f"{int(wrong.sum())} of {wrong.numel()} entries differ, most at {place}: "
        f"yours is {mine:{digits}}, expected {other:{digits}}."
    )


def _near(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and torch.allclose(a, b.to(a.dtype), rtol=1e-6, atol=1e-8)
