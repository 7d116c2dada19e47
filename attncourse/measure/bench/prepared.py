"""A case made ready: its inputs are there and in form, and what is left is to call it."""

from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

from attncourse.measure.bench.case import Case, Inputs, as_leaf, floating, gradients
from attncourse.measure.bench.report import Direction


class Prepared:
    """A case's function on inputs made ready, in one direction: a call without arguments.

    Forward no graph is recorded; otherwise the gradient for every floating input is computed.
    """

    def __init__(self, case: Case, inputs: Inputs, direction: Direction) -> None:
        ready = case.native(*inputs)
        self._case = case
        self._arguments = ready if direction == "forward" else tree_map(as_leaf, ready)
        self._cotangent: Tensor | None = None
        self.input_bytes = _bytes(ready if _all_tensors(ready) else inputs)
        self.output_bytes = 0
        self._run = self._forward if direction == "forward" else self._forward_and_backward

    def __call__(self) -> Any:
        """Run it once: the output or, with the backward pass, the gradients."""
        return self._run()

    def _forward(self) -> Any:
        with torch.no_grad():
            out = self._case.function(*self._arguments)
        if not self.output_bytes:
            self.output_bytes = _bytes(self._case.result(out))
        return out

    def _forward_and_backward(self) -> Any:
        out = self._case.result(self._case.function(*self._arguments))
        if self._cotangent is None:
            self.output_bytes = _bytes(out)
            generator = torch.Generator().manual_seed(9)
            self._cotangent = torch.randn(out.shape, generator=generator).to(out)
        return gradients(out, floating(self._arguments), self._cotangent)


def _all_tensors(inputs: Any) -> bool:
    """Is there nothing else that may hold numbers, such as a cache or a module?"""
    return all(isinstance(x, Tensor) for x in tree_leaves(inputs))


def _bytes(inputs: Any) -> int:
    tensors = (x for x in tree_leaves(inputs) if isinstance(x, Tensor))
    return sum(x.numel() * x.element_size() for x in tensors)
