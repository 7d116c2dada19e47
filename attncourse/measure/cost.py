"""Counted cost: floating-point operations, the largest tensor, the number of operators.

Counts are exact and the same on every machine, so a test or a grader may rely on them; times
are neither. Matrix products count (2 FLOPs for a multiply-add), element-wise work does not.
"""

import math
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from attncourse.core.probes import probe

Function = Callable[..., Any]
Mode = TypeVar("Mode", bound=type)


def light(mode: Mode) -> Mode:
    """Keep a dispatch mode from importing torch._dynamo, 400 modules, at its first use."""
    handler: Any = vars(mode).get("__torch_dispatch__")
    while handler is not None and hasattr(handler, "__wrapped__"):
        inner = handler.__wrapped__
        inner.__dynamo_disable = inner
        handler = inner
    return mode


@probe
def flops(fn: Function, *args: Any, **kwargs: Any) -> int:
    """Floating-point operations in the matrix products of ``fn(*args, **kwargs)``.

    Counted by ``torch.utils.flop_counter.FlopCounterMode``, and besides what it leaves out: the
    products of a matrix or a vector with a vector, products added in place, weighted sums of chosen
    rows, and the fused attention of the CPU, of which the pairs that ``is_causal`` hides do not
    count. 2 for a multiply-add. Softmax, tanh and other element-wise work counts 0.

    >>> flops(torch.matmul, torch.ones(2, 3), torch.ones(3, 4))  # 2 * 2 * 3 * 4
    48
    """
    from torch.utils import flop_counter

    light(flop_counter._FlopCounterMode)
    uncounted = _vector_products() | _products_in_place() | _sums_of_rows() | _fused_attention()
    with flop_counter.FlopCounterMode(display=False, custom_mapping=uncounted) as counter:
        fn(*args, **kwargs)
    return int(counter.get_total_flops())


@probe
def largest_tensor(fn: Function, *args: Any, **kwargs: Any) -> int:
    """The number of elements of the largest tensor that any operator in the call returns.

    An element counts once, however often a view repeats it: what `expand` returns is no larger
    than what it was given. The arguments themselves do not count.

    >>> x = torch.ones(8, 2)
    >>> largest_tensor(attention, x, x, x)  # the scores
    64
    """
    with _Watch() as watch:
        fn(*args, **kwargs)
    return watch.largest


@probe
def operators(fn: Function, *args: Any, **kwargs: Any) -> int:
    """How many operators the call hands to the device, one after the other.

    A loop over positions shows here as a count that grows with the length; a matrix product is
    one operator at any length.

    >>> x = torch.ones(5, 3)
    >>> operators(torch.exp, x), operators(lambda x: [x[i].exp() for i in range(5)], x)
    (1, 10)
    """
    with _Watch() as watch:
        fn(*args, **kwargs)
    return watch.count


@probe
def moved_bytes(fn: Function, *args: Any, **kwargs: Any) -> int:
    """Bytes that the operators of the call read and write, each tensor once for each operator.

    That is what goes between memory and processor when every operator runs by itself and finds
    nothing in a cache. Views move nothing; an element that `expand` repeats is read once. A fused
    operator hides what it does inside.

    >>> x = torch.ones(4)
    >>> moved_bytes(torch.exp, x), moved_bytes(lambda x: x.exp().exp(), x)  # in and out: 4 bytes
    (32, 64)
    """
    with _Traffic() as watch:
        fn(*args, **kwargs)
    return watch.moved


def scaling_exponent(
    measure: Function, fn: Function, inputs: Callable[[int], tuple[Any, ...]], n: int
) -> float:
    """The local exponent of a cost in n: log2(cost at 2n / cost at n).

    measure is `flops`, `largest_tensor` or `operators`; inputs(n) gives the arguments at length
    n. 1 is linear, 2 quadratic. Raises ValueError where the cost at n or 2n is zero.

    >>> scaling_exponent(flops, attention, lambda n: (torch.ones(n, 2),) * 3, 16)
    2.0
    """
    once, twice = measure(fn, *inputs(n)), measure(fn, *inputs(2 * n))
    if not (once > 0 and twice > 0):
        raise ValueError(f"a cost must be positive to have an exponent: got {once} and {twice}")
    return math.log2(twice / once)


def _vector_products() -> dict[Any, Callable[..., int]]:
    """How to count the products with a vector: 2 for each entry of the matrix (or vector)."""
    aten = torch.ops.aten

    def product(x: Any, *rest: Any, out_shape: Any = None, **options: Any) -> int:
        return 2 * math.prod(x)

    def sum_and_product(total: Any, x: Any, *rest: Any, out_shape: Any = None, **_: Any) -> int:
        return 2 * math.prod(x)

    return {
        aten.mv: product,
        aten.dot: product,
        aten.vdot: product,
        aten.addmv: sum_and_product,
    }


def _products_in_place() -> dict[Any, Callable[..., int]]:
    """How to count a product that is added to a tensor in place: 2 for each multiply-add."""
    aten = torch.ops.aten

    def sum_and_product(total: Any, a: Any, b: Any, out_shape: Any = None, **_: Any) -> int:
        return 2 * math.prod(a) * b[-1]

    return {
        aten.addmm_: sum_and_product,
        aten.baddbmm_: sum_and_product,
        aten.addmv_: _vector_products()[aten.addmv],
    }


def _sums_of_rows() -> dict[Any, Callable[..., int]]:
    """How to count the weighted sums of chosen rows of a table: 2 for each number of each row."""
    aten = torch.ops.aten

    def weighted(table: Any, chosen: Any, starts: Any, *rest: Any, **_: Any) -> int:
        _scaled, _mode, _sparse, weights, *_more = (*rest, None, None, None, None)
        return 2 * math.prod(chosen) * table[-1] if weights is not None else 0

    def of_weights(g: Any, table: Any, chosen: Any, *rest: Any, **_: Any) -> int:
        return 2 * math.prod(chosen) * table[-1]

    return {
        aten._embedding_bag: weighted,
        aten._embedding_bag_forward_only: weighted,
        aten._embedding_bag_per_sample_weights_backward: of_weights,
    }


def _fused_attention() -> dict[Any, Callable[..., int]]:
    """How to count PyTorch's attention on the CPU: scores and weighted sum, 2 n m (d + e).

    Its backward pass computes the scores again and then four products: 2 n m (3 d + 2 e).
    """
    aten = torch.ops.aten

    def pairs(q: Any, k: Any, causal: bool) -> int:
        n, m = q[-2], k[-2]
        seen = sum(min(i + 1, m) for i in range(n)) if causal else n * m
        return math.prod(q[:-2]) * seen

    def forward(
        q: Any, k: Any, v: Any, dropout: float = 0.0, causal: bool = False, **_: Any
    ) -> int:
        return 2 * pairs(q, k, causal) * (q[-1] + v[-1])

    def backward(
        g: Any, q: Any, k: Any, v: Any, out: Any, lse: Any, dropout: float, causal: bool, **_: Any
    ) -> int:
        return 2 * pairs(q, k, causal) * (3 * q[-1] + 2 * v[-1])

    return {
        aten._scaled_dot_product_flash_attention_for_cpu: forward,
        aten._scaled_dot_product_flash_attention_for_cpu_backward: backward,
    }


@light
class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts operators and remembers the size of the largest tensor returned."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.largest = 0
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        self.count += 1
        sizes = [_held(leaf) for leaf in tree_leaves(out) if isinstance(leaf, Tensor)]
        self.largest = max([self.largest, *sizes])
        return out


@light
class _Traffic(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the bytes of what operators take and return, views excepted."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.moved = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if not func.is_view:
            written = [x for x in tree_leaves(out) if isinstance(x, Tensor)]
            read = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
            self.moved += sum(_held(x) * x.element_size() for x in (*read, *written))
        return out


def _held(x: Tensor) -> int:
    """How many elements a tensor holds: those of its memory where it shows some repeatedly."""
    if x.layout != torch.strided:
        return x.numel()
    return min(x.numel(), x.untyped_storage().nbytes() // x.element_size())
