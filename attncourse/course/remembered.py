"""Outcomes of the course's own functions, remembered: a whole class is asked on the same inputs.

Solutions and known mistakes are pure functions, so that the same inputs give the same outcome.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten

from attncourse.course.execution import Function, Outcome, execute

MOST = 64 * 2**20  # bytes of tensors that are remembered in all
LARGEST = 2**20  # bytes of tensors in one outcome and its inputs

_PLAIN = (bool, int, float, str, type(None))

Key = tuple[Any, ...]

_kept: OrderedDict[Any, tuple[Outcome, int]] = OrderedDict()
_bytes = 0


def key(args: Sequence[Any], kwargs: dict[str, Any]) -> Key | None:
    """What tells inputs apart from others, bit for bit; None for what is not remembered."""
    leaves, form = tree_flatten((list(args), kwargs))
    usual = all(isinstance(leaf, _PLAIN) or _usual(leaf) for leaf in leaves)
    if not usual or _size(leaves) > LARGEST:
        return None
    return (str(form), *map(_digest, leaves))


def outcome(
    function: Function, probe: str | None, args: Sequence[Any], kwargs: dict[str, Any], of: Key
) -> Outcome:
    """What `execute` gives, from memory if the function was called on equal inputs before."""
    global _bytes
    whole = (function, probe, of)
    if whole in _kept:
        _kept.move_to_end(whole)
        return _kept[whole][0]
    found = execute(function, probe, args, kwargs)
    size = _size(tree_flatten(found.value)[0])
    if size <= LARGEST:
        _kept[whole] = found, size
        _bytes += size
        while _bytes > MOST:
            _bytes -= _kept.popitem(last=False)[1][1]
    return found


def size_of(args: Sequence[Any], kwargs: dict[str, Any]) -> int:
    """Bytes of the tensors among the inputs, and some for each."""
    return _size(tree_flatten((list(args), kwargs))[0])


def _usual(value: Any) -> bool:
    """Is it a dense tensor on the CPU, or one without values?"""
    return (
        type(value) is Tensor
        and value.layout == torch.strided
        and value.device.type in ("cpu", "meta")
        and not value.is_quantized
    )


def _size(leaves: Sequence[Any]) -> int:
    tensors = (leaf for leaf in leaves if isinstance(leaf, Tensor) and not leaf.is_meta)
    return 64 + sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _digest(value: Any) -> Any:
    """A leaf of the key: the value itself, or its form and a hash of its bytes."""
    if not isinstance(value, Tensor):
        return type(value), repr(value)
    form = value.dtype, value.shape, value.stride(), value.device.type, value.requires_grad
    if value.is_meta:
        return form
    data = value.detach().contiguous().view(-1).view(torch.uint8).numpy().tobytes()
    return *form, hashlib.blake2b(data, digest_size=16).digest()
