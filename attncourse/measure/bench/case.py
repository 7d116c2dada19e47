"""What the bench measures: one implementation of one mechanism, with inputs and a definition."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

Function = Callable[..., Any]
Inputs = tuple[Any, ...]


@dataclass(frozen=True)
class Size:
    """The size of a problem: n tokens (queries and keys, or cached), h heads of width d."""

    n: int
    h: int = 8
    d: int = 64
    dtype: torch.dtype = torch.float32
    device: str = "cpu"

    def normal(self, *shape: int, seed: int = 0) -> Tensor:
        """Independent standard normal numbers, the same for the same seed, never zeros."""
        generator = torch.Generator().manual_seed(seed)
        return torch.randn(shape, generator=generator).to(self.device, self.dtype)


def self_attention(size: Size) -> Inputs:
    """Queries, keys and values (1, h, n, d) of one sequence."""
    shape = 1, size.h, size.n, size.d
    return tuple(size.normal(*shape, seed=seed) for seed in range(3))


def as_they_are(*inputs: Any) -> Inputs:
    """The inputs, for a function that takes them so."""
    return inputs


def as_it_is(out: Any) -> Tensor:
    """The output, for a function that returns nothing else."""
    return out


@dataclass(frozen=True)
class Case:
    """One row of the table, for each length and direction.

    definition is called with the same inputs in float64. growth is the exponent of n that theory
    gives for the time. native turns inputs into what the function takes, outside of the clock (a
    cache that is filled, axes in another order), and result turns its result back. package is the
    installed one whose version matters; countable says that its FLOPs happen where PyTorch sees
    them.
    """

    mechanism: str
    function: Function
    definition: Function
    inputs: Callable[[Size], Inputs] = self_attention
    growth: float = 1.0
    longest: int = 2**17
    check_length: int = 333
    tolerance: float = 1e-4
    implementation: str = "attncourse"
    differentiable: bool = True
    native: Callable[..., Inputs] = as_they_are
    result: Callable[[Any], Tensor] = as_it_is
    remark: str = ""
    package: str = ""
    countable: bool = True

    @property
    def name(self) -> str:
        """Mechanism and implementation: what no other case of a suite has."""
        return f"{self.mechanism} · {self.implementation}"


@dataclass(frozen=True)
class Suite:
    """Cases that are measured against one of them, the baseline, at the same lengths."""

    name: str
    baseline: Case
    cases: tuple[Case, ...]
    lengths: tuple[int, ...] = (512, 1024, 2048, 4096, 8192)
    quick_lengths: tuple[int, ...] = (256, 512)

    def only(self, names: tuple[str, ...]) -> "Suite":
        """The suite with the cases whose mechanism holds one of the names, or all for none."""
        kept = [c for c in self.cases if not names or any(n in c.mechanism for n in names)]
        return replace(self, cases=tuple(kept))


def relative_error(case: Case, *, backward: bool, device: str = "cpu") -> float:
    """How far the function in float32 is from its definition in float64, at a small length.

    The largest difference over the largest entry, of the value and, with backward, of the
    gradient for every floating input; NaN where the shapes differ or anything is NaN. An error of
    either function comes through.
    """
    inputs = case.inputs(Size(case.check_length, h=2, device=device))
    actual = outcome(lambda *raw: case.result(case.function(*case.native(*raw))), inputs, backward)
    exact = outcome(case.definition, tree_map(_double, inputs), backward)
    return max(map(_distance, actual, exact))


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
