"""Is an answer the right kind of thing? One clear sentence where it is not."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

# What makes a plain tensor of one that no exercise returns, by a word of its description.
_PLAIN_BY = {
    "sparse": "`.to_dense()` makes a plain tensor of it.",
    "mkldnn": "`.to_dense()` makes a plain tensor of it.",
    "nested": "A plain tensor is wanted, whose rows all have the same length.",
    "NestedTensor": "A plain tensor is wanted, whose rows all have the same length.",
    "MaskedTensor": "A plain tensor is wanted: put the numbers themselves into it.",
    "numpy": "Work on the tensors with torch's own functions, which also give gradients.",
    "complex": "Real numbers are wanted.",
    "qu": "`.dequantize()` makes a plain tensor of it.",
    "qint": "`.dequantize()` makes a plain tensor of it.",
    "Parameter": "A plain tensor is wanted, computed from the arguments.",
}


@dataclass(frozen=True)
class Foreign:
    """A value of a type that no exercise returns, named by its type (it stays where it was)."""

    type_name: str


def describe(value: Any) -> str:
    """A value as a learner would say it: ``a float64 tensor of shape (5, 6)``."""
    unusual = strange(value)
    if unusual:
        return _with_article(unusual)
    if isinstance(value, Tensor):
        return f"{_with_article(dtype_name(value))} tensor of shape {tuple(value.shape)}"
    if isinstance(value, tuple):
        return f"a tuple of {len(value)}"
    if isinstance(value, bool | int | float | str):
        return f"the {type(value).__name__} {value!r}"[:80]
    if value is None:
        return "None"
    return _with_article(type(value).__name__)


def strange(value: Any) -> str:
    """The kind of a value that cannot be compared as it is; the same here as from a worker."""
    if isinstance(value, Foreign):
        name = value.type_name
    elif not isinstance(value, Tensor):
        name = "ndarray" if type(value).__name__ == "ndarray" else ""
    elif type(value) is not Tensor:
        name = type(value).__name__
    elif value.is_nested or value.layout != torch.strided or _unusual(value):
        layout = "nested" if value.is_nested else str(value.layout).removeprefix("torch.")
        name = f"{layout} tensor of {dtype_name(value)}"
    else:
        return ""
    name = re.sub(r"^strided tensor of (\w+)$", r"\1 tensor", name)
    name = re.sub(r"^sparse_\w+ tensor of (\w+)$", r"sparse tensor of \1", name)
    return "numpy array" if name == "ndarray" else name


def _unusual(value: Tensor) -> bool:
    return value.is_complex() or value.is_quantized


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
    if not isinstance(actual, Tensor) or strange(actual):
        return f"{what} {describe(actual)}; {wanted}.{_advice(actual)}"
    if actual.shape != expected.shape:
        return f"{what} {describe(actual)}; {wanted}."
    if actual.dtype != expected.dtype:
        keep = "Keep the dtype that the inputs have."
        if not expected.is_floating_point():
            keep = "A comparison such as < gives Booleans." if expected.dtype == torch.bool else ""
        wanted = f"{dtype_name(actual)} numbers; expected {dtype_name(expected)}. {keep}"
        return f"{what} {wanted.strip()}"
    if actual.device != expected.device:
        empty = " It has a shape and no numbers." if actual.is_meta else ""
        return f"{what} a tensor on {actual.device}; expected one on {expected.device}.{empty}"
    return None


def _advice(actual: Any) -> str:
    """What to do where one tensor was wanted, after a space; nothing where that is clear."""
    if actual is None:
        return " A function without `return` gives None."
    if isinstance(actual, tuple):
        return " One tensor is wanted: return it alone, without a comma after it."
    name = strange(actual)
    return next((f" {told}" for word, told in _PLAIN_BY.items() if word in name), "")


def dtype_name(x: Tensor) -> str:
    """``float64`` rather than ``torch.float64``."""
    return str(x.dtype).removeprefix("torch.")


def matrix_of(value: Any) -> Tensor | None:
    """The first matrix of a tensor, to be drawn; None where there is none."""
    if isinstance(value, Sequence) and not isinstance(value, str) and value:
        value = value[0]
    if not isinstance(value, Tensor) or strange(value) or value.is_meta or value.numel() == 0:
        return None
    value = value.detach()
    if value.ndim < 2:
        return value.reshape(1, -1) if value.numel() > 1 else None
    return value.reshape(-1, *value.shape[-2:])[0]
