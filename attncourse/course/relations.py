"""Simple relations of a value to the expected one: what one more step would make right."""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor


def relation(actual: Tensor, expected: Tensor) -> str | None:
    """How all of `actual` follows from `expected`, of the same shape, in a sentence."""
    if near(actual, expected):
        return None
    return next((told for find in _RELATIONS for told in find(actual, expected)), None)


def shape_relation(actual: Tensor, expected: Tensor) -> str | None:
    """What is right about a result of another shape or dtype; None where nothing is."""
    mine, wanted = _comparable(actual, expected)
    if actual.shape == expected.shape:
        return "Its numbers are right." if near(mine, wanted) else None
    if actual.ndim == expected.ndim > 1 and near(mine.mT, wanted):
        return "Transposed, it is what is expected."
    if actual.numel() == expected.numel() > 1 and near(mine.squeeze(), wanted.squeeze()):
        return "Its numbers are right, only its axes of length one are not."
    return None


def _comparable(actual: Tensor, expected: Tensor) -> tuple[Tensor, Tensor]:
    """Both in the coarser of the two precisions; whole numbers as they are, in float64."""
    kinds = [x.dtype for x in (actual, expected) if x.is_floating_point()] or [torch.float64]
    coarser = max(kinds, key=lambda dtype: torch.finfo(dtype).eps)
    return actual.to(coarser), expected.to(coarser)


def near(a: Tensor, b: Tensor) -> bool:
    """The same shape and, but for rounding, the same numbers."""
    if a.shape != b.shape:
        return False
    if not a.is_floating_point():
        return torch.equal(a, b.to(a.dtype))
    return torch.allclose(a, b.to(a.dtype), rtol=max(1e-6, 2 * rounding(a)), atol=1e-8)


def rounding(x: Tensor) -> float:
    """The relative error of one number in this precision; none of what is counted."""
    return torch.finfo(x.dtype).eps if x.is_floating_point() else 0.0


def _transposed(actual: Tensor, expected: Tensor) -> Iterator[str]:
    square = actual.ndim > 1 and actual.shape[-1] == actual.shape[-2] > 1
    if square and near(actual, expected.mT):
        yield "Your result is the transpose of the expected one."


def _one_factor(actual: Tensor, expected: Tensor) -> Iterator[str]:
    if actual.numel() < 2 or not bool((expected != 0).any()):
        return
    at = expected.abs().flatten().argmax()
    factor = float(actual.flatten()[at] / expected.flatten()[at])
    simple = factor != 0 and math.isfinite(factor) and abs(factor - 1) > 1e-3
    if simple and near(actual, factor * expected):
        yield f"Your result is {factor:.4g} times the expected one, in every entry."
    offset = float(actual.flatten()[at] - expected.flatten()[at])
    if offset and near(actual, expected + offset):
        yield f"Your result is the expected one plus {offset:.4g}, in every entry."


def _signs(actual: Tensor, expected: Tensor) -> Iterator[str]:
    if actual.numel() > 2 and near(actual.abs(), expected.abs()):
        wrong = (actual.sign() != expected.sign()) & (expected != 0)
        if bool(wrong.any()):
            count = f"{int(wrong.sum())} of {wrong.numel()}"
            yield f"{count} entries have the wrong sign; the sizes are right."


def _row_by_row(actual: Tensor, expected: Tensor) -> Iterator[str]:
    """A factor or an offset for each row: with two columns, anything would have one of them."""
    if actual.ndim < 2 or actual.shape[-1] < 3 or actual.numel() == actual.shape[-1]:
        return
    at = expected.abs().argmax(dim=-1, keepdim=True)
    mine, other = actual.gather(-1, at), expected.gather(-1, at)
    factors = torch.where(other == 0, 1.0, mine / other)
    usable = bool(((factors != 0) & factors.isfinite()).all())
    if bool(torch.isclose(mine, other).any()):
        return  # some rows are right as they are
    if usable and near(actual, factors * expected) and _several(factors):
        yield "Each row of your result is the expected one times a number of its own."
    if near(actual, expected + (mine - other)) and _several(mine - other):
        yield "Each row of your result is the expected one plus a number of its own."


def _several(numbers: Tensor) -> bool:
    return not near(numbers, numbers.flatten()[0].expand_as(numbers))


def _of_a_function(actual: Tensor, expected: Tensor) -> Iterator[str]:
    if actual.numel() < 3 or not _several(expected):
        return
    for function, name in _FUNCTIONS:
        changed = function(expected)
        if bool(changed.isfinite().any()) and near(actual, changed):
            yield f"Your result is {name} of the expected one."


def _axes(actual: Tensor, expected: Tensor) -> Iterator[str]:
    for axis in range(-1, -actual.ndim - 1, -1):
        if actual.shape[axis] > 2 and near(actual, expected.flip(axis)):
            yield f"Your result is the expected one in reverse order along axis {axis}."


_FUNCTIONS: tuple[tuple[Callable[[Tensor], Tensor], str], ...] = (
    (torch.log, "the logarithm"),
    (torch.exp, "the exponential"),
    (torch.square, "the square"),
    (torch.sqrt, "the square root"),
)

_RELATIONS = (_transposed, _one_factor, _signs, _row_by_row, _of_a_function, _axes)
