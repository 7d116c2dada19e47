"""How far a case is from its definition, in value and gradient."""

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from attncourse.measure.bench.case import Case, Function, Inputs, Shape


@dataclass(frozen=True)
class Comparison:
    """How far a case is from its definition, and how far it may be."""

    error: float
    allowed: float

    @property
    def right(self) -> bool:
        """Is it a number, and near enough?"""
        return math.isfinite(self.error) and self.error <= self.allowed


HALVES = torch.float16, torch.bfloat16


def compare(case: Case, shape: Shape, *, backward: bool, device: str = "cpu") -> Comparison:
    """How far the function is from its definition in float64, at a small length and with 2 heads.

    The largest difference over the largest entry, of the value and, with backward, of the
    gradient for every floating input; NaN where the shapes differ or anything is NaN. In half
    precision twice the definition's own error in that precision is allowed, if that is more than
    the case's tolerance. An error of either function comes through.
    """
    inputs = case.inputs(replace(shape, batch=1, h=2).of(case.check_length, device))
    exact = outcome(case.definition, tree_map(_double, inputs), backward)

    def error(function: Function) -> float:
        return max(map(_distance, outcome(function, inputs, backward), exact))

    own = error(lambda *raw: case.result(case.function(*case.native(*raw))))
    allowed = case.tolerance
    if shape.dtype in HALVES:
        allowed = max(allowed, 2 * error(case.definition))
    return Comparison(own, allowed)


def outcome(function: Function, inputs: Inputs, backward: bool) -> list[Tensor]:
    """The value and, if asked for, the gradient for every floating input, in order.

    The cotangent is a fixed pattern of values between -1 and 1, the same in every dtype.
    """
    if not backward:
        with torch.no_grad():
            return [function(*inputs)]
    leaves = tree_map(as_leaf, inputs)
    out = function(*leaves)
    cotangent = torch.arange(out.numel(), dtype=torch.float64).sin().view(out.shape).to(out)
    return [out.detach(), *gradients(out, floating(leaves), cotangent)]


def gradients(out: Tensor, leaves: list[Tensor], cotangent: Tensor) -> list[Tensor]:
    """The gradient for each leaf, zeros where the output does not depend on it.

    By ``backward``, not ``autograd.grad``, which checkpoints in older style refuse.
    """
    torch.autograd.backward(out, cotangent)
    found = [torch.zeros_like(x) if x.grad is None else x.grad for x in leaves]
    for leaf in leaves:
        leaf.grad = None
    return found


def floating(inputs: Any) -> list[Tensor]:
    """The floating-point tensors among inputs, in order."""
    found: list[Tensor] = []
    tree_map(lambda x: found.append(x) if _is_floating(x) else None, inputs)
    return found


def as_leaf(x: Any) -> Any:
    """A floating tensor as a leaf that wants a gradient; anything else as it is."""
    return x.detach().clone().requires_grad_() if _is_floating(x) else x


def _distance(actual: Tensor, exact: Tensor) -> float:
    if actual.shape != exact.shape:
        return math.nan
    scale = float(exact.abs().max()) or 1.0
    return float((actual.to(exact) - exact).abs().max()) / scale


def _double(x: Any) -> Any:
    return x.double() if _is_floating(x) else x


def _is_floating(x: Any) -> bool:
    return isinstance(x, Tensor) and x.is_floating_point()
