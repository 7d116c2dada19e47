"""Outcomes of the course's own functions, remembered: a whole class is asked on the same inputs.

Solutions and known mistakes are pure functions, so that the same inputs give the same outcome.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten

from attncourse.course.calls import Repeated
from attncourse.course.execution import Function, Outcome

MOST = 64 * 2**20  # bytes of tensors that are remembered in all
LARGEST = 2**20  # bytes of tensors in one outcome and its inputs

_PLAIN = (bool, int, float, str, type(None))

Key = tuple[Any, ...]


class Outcomes:
    """What functions gave on which inputs; what was not needed for long is forgotten."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Any, tuple[Outcome, int]] = OrderedDict()
        self._bytes = 0

    def on(self, probe: str | None, inputs: Key | None) -> Repeated:
        """Those of one call: what is remembered of these inputs, or as good as nothing."""
        return {} if inputs is None else _OnInputs(self, (probe, inputs))

    def get(self, call: Any) -> Outcome | None:
        """The outcome of a call; None if it is not known."""
        if call not in self._kept:
            return None
        self._kept.move_to_end(call)
        return self._kept[call][0]

    def keep(self, call: Any, outcome: Outcome) -> None:
        """Remember the outcome of a call, unless it is large."""
        size = _size(tree_flatten(outcome.value)[0])
        if size <= LARGEST:
            self._kept[call] = outcome, size
            self._bytes += size
        while self._bytes > MOST:
            self._bytes -= self._kept.popitem(last=False)[1][1]


@dataclass(frozen=True)
class _OnInputs:
    """The outcomes on one call's inputs, by function."""

    outcomes: Outcomes
    inputs: Any

    def get(self, function: Function, /) -> Outcome | None:
        return self.outcomes.get((function, self.inputs))

    def __setitem__(self, function: Function, outcome: Outcome, /) -> None:
        self.outcomes.keep((function, self.inputs), outcome)


def key(args: Sequence[Any], kwargs: dict[str, Any]) -> Key | None:
    """What tells inputs apart from others, bit for bit; None for what is not remembered."""
    leaves, form = tree_flatten((list(args), kwargs))
    usual = all(isinstance(leaf, _PLAIN) or _usual(leaf) for leaf in leaves)
    if not usual or _size(leaves) > LARGEST:
        return None
    return (str(form), *map(_digest, leaves))


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
