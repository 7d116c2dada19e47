"""A case made ready: its inputs are there and in form, and what is left is to call it."""

from collections.abc import Callable
from itertools import cycle
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

from attncourse.measure.bench.case import Case, Inputs
from attncourse.measure.bench.comparison import as_leaf, floating, gradients
from attncourse.measure.bench.report import Direction


class Prepared:
    """A case's function on inputs made ready, in one direction: a call without arguments.

    Forward no graph is recorded; otherwise the gradient for every floating input is computed. With
    several sets of inputs each call takes the next one, so that a cache that holds the inputs of
    the last call is of no use to this one: copies(bytes of one set) says how many sets.
    """

    def __init__(
        self,
        case: Case,
        inputs: Inputs,
        direction: Direction,
        *,
        copies: Callable[[int], int] = lambda size: 1,
    ) -> None:
        self._case = case
        sets = [inputs, *(tree_map(_copy, inputs) for _ in range(copies(_bytes(inputs)) - 1))]
        ready = [case.native(*each) for each in sets]
        self.input_bytes = _bytes(ready[0] if _all_tensors(ready[0]) else inputs)
        self.output_bytes = 0
        self._cotangent: Tensor | None = None
        self._backward = direction != "forward"
        self._turns = cycle(tree_map(as_leaf, ready) if self._backward else ready)

    def __call__(self) -> Any:
        """Run it once: the output or, with the backward pass, the gradients."""
        arguments = next(self._turns)
        return self._with_gradients(arguments) if self._backward else self._forward(arguments)

    def _forward(self, arguments: Inputs) -> Any:
        with torch.no_grad():
            out = self._case.function(*arguments)
        if not self.output_bytes:
            self.output_bytes = _bytes(self._case.result(out))
        return out

    def _with_gradients(self, arguments: Inputs) -> Any:
        out = self._case.result(self._case.function(*arguments))
        if self._cotangent is None:
            self.output_bytes = _bytes(out)
            generator = torch.Generator().manual_seed(9)
            self._cotangent = torch.randn(out.shape, generator=generator).to(out)
        return gradients(out, floating(arguments), self._cotangent)


def _copy(x: Any) -> Any:
    return x.clone() if isinstance(x, Tensor) else x


def _all_tensors(inputs: Any) -> bool:
    """Is there nothing else that may hold numbers, such as a cache or a module?"""
    return all(isinstance(x, Tensor) for x in tree_leaves(inputs))


def _bytes(inputs: Any) -> int:
    tensors = (x for x in tree_leaves(inputs) if isinstance(x, Tensor))
    return sum(x.numel() * x.element_size() for x in tensors)
