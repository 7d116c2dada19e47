"""What ``torch.autocast`` does to a function of the library: what it does to PyTorch's attention.

Floating-point arguments come in autocast's dtype, float64 excepted, and autocast is off inside,
where the functions choose themselves what they accumulate in. So the result is the one for such
arguments, and in the dtype that ``scaled_dot_product_attention`` would give. The state of a
recurrence stays as it is, in float32 at least, and so does a cache that is an object. Layers and
models, whose parameters come in a dictionary or a module, leave autocast to what they call.
"""

import typing
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from attncourse.core.rules import TensorRule


def cast_parameters(annotations: Mapping[str, Any], rules: Mapping[str, Any]) -> frozenset[str]:
    """The parameters that autocast casts: floating-point tensors, sequences and pairs of tensors.

    None, where parameters of a model are among them.
    """
    found = set()
    for name, annotation in annotations.items():
        kind, of = typing.get_origin(annotation), typing.get_args(annotation)
        if Mapping in (kind, *map(typing.get_origin, of)):
            return frozenset()
        rule = rules[name]
        floats = isinstance(rule, TensorRule) and rule.kind == "Float"
        if floats or kind is Sequence or (kind is tuple and set(of) == {Tensor}):
            found.add(name)
    return frozenset(found)


def autocast_device(values: Iterable[Any]) -> str | None:
    """The type of the tensors' device, if autocast is on for it."""
    for x in values:
        first = x[0] if isinstance(x, list | tuple) and x else x
        if isinstance(first, torch.nn.Module):
            return None
        if isinstance(first, Tensor):
            device = first.device.type
            return device if _is_on(device) else None
    return None


def without_autocast(device: str) -> AbstractContextManager[Any]:
    """Autocast off for a type of device; not every type knows it."""
    return torch.autocast(device, enabled=False) if _is_on(device) else nullcontext()


def _is_on(device: str) -> bool:
    return torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)


def lowered(x: Any, dtype: torch.dtype) -> Any:
    """The tensor, or all in a sequence, in `dtype`; float64 and what is no number as it is."""
    if isinstance(x, list | tuple):
        return type(x)([lowered(y, dtype) for y in x])
    narrowable = isinstance(x, Tensor) and x.is_floating_point() and x.dtype != torch.float64
    return x.to(dtype) if narrowable else x
