"""What the bench measures: one implementation of one mechanism, with inputs and a definition."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from attncourse.mechanisms import definition_of

Function = Callable[..., Any]
Inputs = tuple[Any, ...]


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A problem but for its length: a batch of `batch` sequences, h heads of width d, a dtype."""

    batch: int = 1
    h: int = 8
    d: int = 64
    dtype: torch.dtype = torch.float32

    def __str__(self) -> str:
        several = f"batch {self.batch}, " if self.batch > 1 else ""
        return f"{several}{self.h} heads, d = {self.d}, {name_of(self.dtype)}"

    def of(self, n: int, device: str = "cpu") -> "Size":
        """The problem at a length."""
        return Size(n=n, device=device, **vars(self))


@dataclass(frozen=True, kw_only=True)
class Size(Shape):
    """A problem: n tokens (queries and keys, or cached ones) of a shape, on a device."""

    n: int
    device: str = "cpu"

    def normal(self, *shape: int, seed: int = 0) -> Tensor:
        """Independent standard normal numbers, the same for the same seed, never zeros."""
        generator = torch.Generator().manual_seed(seed)
        return torch.randn(shape, generator=generator).to(self.device, self.dtype)


def name_of(dtype: torch.dtype) -> str:
    """float32, bfloat16, ..."""
    return str(dtype).removeprefix("torch.")


def self_attention(size: Size) -> Inputs:
    """Queries, keys and values (batch, h, n, d)."""
    shape = size.batch, size.h, size.n, size.d
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

    definition is called with the same inputs in float64; it is the one beside the function unless
    it is given. growth is the exponent of n that theory
    gives for the time. native turns inputs into what the function takes, outside of the clock (a
    cache that is filled, axes in another order), and result turns its result back. package is the
    installed one whose version matters; countable says that its FLOPs happen where PyTorch sees
    them, and work gives those of a form where they do not: work(size, backward). dtypes are those
    that it takes, all if there is none.
    """

    mechanism: str
    function: Function
    definition: Function = None  # type: ignore[assignment]
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
    work: Callable[[Size, bool], int] | None = None
    dtypes: tuple[torch.dtype, ...] = ()

    def __post_init__(self) -> None:
        if self.definition is None:
            object.__setattr__(self, "definition", definition_of(self.function))

    @property
    def name(self) -> str:
        """Mechanism and implementation: what no other case of a suite has."""
        return f"{self.mechanism} · {self.implementation}"


@dataclass(frozen=True)
class Suite:
    """Cases that are measured against one of them, the baseline, at the same lengths and shapes."""

    name: str
    baseline: Case
    cases: tuple[Case, ...]
    lengths: tuple[int, ...] = (512, 1024, 2048, 4096, 8192)
    quick_lengths: tuple[int, ...] = (256, 512)
    shapes: tuple[Shape, ...] = (Shape(),)

    def only(self, names: tuple[str, ...]) -> "Suite":
        """The suite with the cases whose mechanism holds one of the names, or all for none."""
        kept = [c for c in self.cases if not names or any(n in c.mechanism for n in names)]
        return replace(self, cases=tuple(kept))

    def every_case(self, shape: Shape) -> list[Case]:
        """The baseline first, then the others, of those that take the shape's dtype."""
        cases = {case.name: case for case in (self.baseline, *self.cases)}.values()
        return [case for case in cases if not case.dtypes or shape.dtype in case.dtypes]


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
