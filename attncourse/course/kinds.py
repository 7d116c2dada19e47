"""Is an answer the right kind of thing? One clear sentence where it is not."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Foreign:
    """A value of a type that no exercise returns, named by its type (it stays where it was)."""

    type_name: str


def describe(value: Any) -> str:
    """A value as a learner would say it: ``a float64 tensor of shape (5, 6)``."""
    if isinstance(value, Tensor):
        return f"{_with_article(dtype_name(value))} tensor of shape {tuple(value.shape)}"
    if isinstance(value, tuple):
        return f"a tuple of {len(value)}"
    if isinstance(value, bool | int | float | str):
        return f"the {type(value).__name__} {value!r}"[:80]
    name = value.type_name if isinstance(value, Foreign) else type(value).__name__
    if name == "ndarray":
        return "a numpy array"
    if value is None:
        return "None"
    return _with_article(name)


def _with_article(name: str) -> str:
    return f"{'an' if name.lower().startswith(tuple('aeio')) else 'a'} {name}"


def kind_problem(actual: Any, expected: Any, what: str = "your function returned") -> str | None:
    """What is wrong with the kind of `actual`, beside `expected`; None where nothing is."""
    if isinstance(expected, tuple):
        if not isinstance(actual, tuple) or len(actual) != len(expected):
            return f"{what} {describe(actual)}; expected {describe(expected)}."
        parts = enumerate(zip(actual, expected, strict=True), start=1)
        problems = (kind_problem(a, e, f"part {i} of your result came as") for i, (a, e) in parts)
        return next((problem for problem in problems if problem), None)
    if isinstance(expected, Tensor):
        return _tensor_problem(actual, expected, what)
    if type(actual) is not type(expected):
        wanted = "None" if expected is None else _with_article(type(expected).__name__)
        return f"{what} {describe(actual)}; expected {wanted}."
    return None


def _tensor_problem(actual: Any, expected: Tensor, what: str) -> str | None:
    wanted = f"expected {describe(expected)}"
    if actual is None:
        return f"{what} None; {wanted}. A function without `return` gives None."
    if not isinstance(actual, Tensor):
        return f"{what} {describe(actual)}; {wanted}."
    if actual.shape != expected.shape:
        return f"{what} {describe(actual)}; {wanted}."
    if actual.dtype != expected.dtype:
        keep = "Keep the dtype that the inputs have."
        if not expected.is_floating_point():
            keep = "A comparison such as < gives Booleans." if expected.dtype == torch.bool else ""
        wanted = f"{dtype_name(actual)} numbers; expected {dtype_name(expected)}. {keep}"
        return f"{what} {wanted.strip()}"
    if actual.device != expected.device:
        return f"{what} a tensor on {actual.device}; expected one on {expected.device}."
    return None


def dtype_name(x: Tensor) -> str:
    """``float64`` rather than ``torch.float64``."""
    return str(x.dtype).removeprefix("torch.")


def matrix_of(value: Any) -> Tensor | None:
    """The first matrix of a tensor, to be drawn; None where there is none."""
    if isinstance(value, Sequence) and not isinstance(value, str) and value:
        value = value[0]
    if not isinstance(value, Tensor) or value.is_meta or value.numel() == 0:
        return None
    value = value.detach()
    if value.ndim < 2:
        return value.reshape(1, -1) if value.numel() > 1 else None
    return value.reshape(-1, *value.shape[-2:])[0]
