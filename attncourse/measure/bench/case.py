"""What the bench measures: one implementation of one mechanism, with inputs and a definition."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

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
        """Independent standard normal numbers, the same for the same seed, never zeros.

        On the device "meta" they take neither time nor memory, and are none.
        """
        if self.device == "meta":
            return torch.empty(shape, dtype=self.dtype, device="meta")
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
    that it takes, all if there is none. capability is the least compute capability of a card that
    runs it (80 for 8.0), nvidia says that it was tried on no other maker's.
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
    capability: int = 0
    nvidia: bool = False

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

    def every_case(self, shape: Shape) -> list[Case]:
        """The baseline first, then the others, of those that take the shape's dtype."""
        cases = {case.name: case for case in (self.baseline, *self.cases)}.values()
        return [case for case in cases if not case.dtypes or shape.dtype in case.dtypes]
