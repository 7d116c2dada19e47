"""How much it tells that two functions give the same: not every agreement is evidence.

Two functions that both fail to give a number, or whose softmax both picks one key, agree whatever
else they do.
"""

from enum import IntEnum
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from attncourse.course.calls import Call, close
from attncourse.course.execution import Outcome
from attncourse.course.kinds import strange


class Evidence(IntEnum):
    """What an output that is not the solution's tells of the function that gave it.

    NONE: nothing but NaN, zeros or weights of one. PATTERN: NaN for every zero and nowhere else,
    which entry was picked, which exception was raised. NUMBERS: what another function hardly gives.
    """

    NONE = 0
    PATTERN = 1
    NUMBERS = 2


def evidence(call: Call, expected: Outcome) -> Evidence:
    """What a call's outcome tells, where the solution gives what is `expected`."""
    found = call.outcome
    if found.failure or expected.failure:
        return Evidence.PATTERN if found.failure and not found.failure.fatal else Evidence.NONE
    ours, theirs = tree_leaves(found.value), tree_leaves(expected.value)
    if len(ours) != len(theirs):
        return Evidence.PATTERN
    inputs = [x for x in tree_leaves((list(call.args), call.kwargs)) if isinstance(x, Tensor)]
    pairs = zip(ours, theirs, strict=True)
    return max((_of_values(a, b, inputs) for a, b in pairs), default=Evidence.NONE)


def _of_values(actual: Any, expected: Any, inputs: list[Tensor]) -> Evidence:
    if close(actual, expected):
        return Evidence.NONE
    plain = type(actual) is Tensor and type(expected) is Tensor
    if not plain or strange(actual) or actual.is_meta or not actual.numel():
        return Evidence.PATTERN
    if actual.shape != expected.shape or actual.dtype != expected.dtype:
        return _of_another_kind(actual)
    if not actual.is_floating_point():
        return Evidence.PATTERN if _constant(actual) else Evidence.NUMBERS
    return _of_numbers(actual, expected, inputs)


def _of_another_kind(actual: Tensor) -> Evidence:
    """The kind itself is a pattern, whatever the numbers; numbers that vary tell more."""
    finite = actual[actual.isfinite()]
    return Evidence.PATTERN if not len(finite) or _constant(finite) else Evidence.NUMBERS


def _of_numbers(actual: Tensor, expected: Tensor, inputs: list[Tensor]) -> Evidence:
    differs = ~torch.isclose(actual, expected, rtol=1e-7, atol=1e-7, equal_nan=True)
    differs &= ~((actual == expected) | (actual.isnan() & expected.isnan()))
    told = actual[differs & actual.isfinite()]
    if not len(told):
        return Evidence.PATTERN if _where_zero(actual, expected) else Evidence.NONE
    if _saturated(actual):
        return Evidence.NONE
    pattern = _saturated(told) or _constant(actual) or _picked(actual, inputs)
    return Evidence.PATTERN if pattern else Evidence.NUMBERS


def _where_zero(actual: Tensor, expected: Tensor) -> bool:
    """Is it NaN exactly where zero is expected? Elsewhere overflow has too many causes."""
    bad = ~actual.isfinite() & expected.isfinite()
    return bool((bad == (expected == 0)).all()) and bool(actual.isfinite().any())


def _saturated(x: Tensor) -> bool:
    """Is every entry a weight of nothing or of one?"""
    return bool(((x == 0) | (x == 1)).all())


def _constant(x: Tensor) -> bool:
    """Are all entries alike, of several?"""
    first = x.flatten()[0]
    return x.numel() > 1 and bool((x == first).all() if x.dtype == torch.bool else _near(x, first))


def _near(x: Tensor, number: Tensor) -> Tensor:
    return torch.isclose(x, number, equal_nan=True).all()


def _picked(x: Tensor, inputs: list[Tensor]) -> bool:
    """Is every row a row of one of the inputs? Then a softmax has picked one key for each query."""
    if x.ndim == 0 or x.shape[-1] < 2:
        return False
    rows = x.reshape(-1, x.shape[-1])
    return any(_rows_among(rows, y) for y in inputs if y.ndim and y.shape[-1] == x.shape[-1])


def _rows_among(rows: Tensor, source: Tensor) -> bool:
    among = source.reshape(-1, source.shape[-1])
    if among.dtype != rows.dtype or len(among) * rows.numel() > 10**6:
        return False
    same = torch.isclose(rows[:, None], among[None]).all(dim=-1).any(dim=-1)
    return bool((same | (rows == 0).all(dim=-1)).all())
