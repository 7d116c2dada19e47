"""What a learner's function was asked and gave, and what the course's own functions give there."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from attncourse.course.execution import Outcome, execute
from attncourse.course.exercise import Function
from attncourse.course.kinds import strange
from attncourse.testing import same_value

# What two ways to write the same may differ by, as a share of the largest number. In float64 the
# comparison of the checks is enough; here sums in another order must not look like another answer.
_ROOM = {torch.float32: 2.0**-15, torch.float16: 2.0**-8, torch.bfloat16: 2.0**-5}


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

    @property
    def counts(self) -> bool:
        """Was a cost counted? Two ways to write the same may well differ in that."""
        return self.probe is not None and type(self.outcome.value) is int


@dataclass(frozen=True)
class Misconception:
    """A known wrong answer that the learner's function equals."""

    name: str
    advice: str


def agree(a: Outcome, b: Outcome) -> bool:
    """Did two calls give the same value, or fail in the same way?"""
    if a.failure or b.failure:
        return bool(
            a.failure
            and b.failure
            and (a.failure.kind, a.failure.message) == (b.failure.kind, b.failure.message)
        )
    return close(a.value, b.value)


def close(a: Any, b: Any) -> bool:
    """The same value, but for what rounding in low precision may do."""
    if isinstance(a, tuple | list) and type(a) is type(b) and len(a) == len(b):
        return all(close(x, y) for x, y in zip(a, b, strict=True))
    if strange(a) or strange(b):
        return False
    return same_value(a, b) or _within_rounding(a, b)


def _within_rounding(a: Any, b: Any) -> bool:
    if not (type(a) is Tensor and type(b) is Tensor and a.dtype == b.dtype and a.dtype in _ROOM):
        return False
    if a.shape != b.shape or not (a.device == b.device and a.layout == b.layout == torch.strided):
        return False
    finite = a.isfinite() & b.isfinite()
    if a.is_meta or not same_value(a[~finite], b[~finite]):
        return False
    x, y = a[finite].to(torch.float64), b[finite].to(torch.float64)
    return not len(x) or bool((x - y).abs().max() <= _ROOM[a.dtype] * y.abs().max())
