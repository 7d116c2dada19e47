"""Cases for a CUDA device: PyTorch's attention by each of its kernels, FlexAttention, ours."""

from collections.abc import Callable
from functools import cache, partial
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from attncourse.core.flex import MaskMod, causal_mod, sliding_window_mod
from attncourse.measure.bench.case import Case, Function, Inputs, Size
from attncourse.measure.bench.comparison import HALVES
from attncourse.measure.bench.exact import causal_by_definition
from attncourse.measure.bench.sparse import WINDOW
from attncourse.mechanisms.dense import softmax
from attncourse.mechanisms.linear import linear_transformer
from attncourse.mechanisms.patterns import sliding_window

BACKENDS = {
    "flash": SDPBackend.FLASH_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "cuDNN": SDPBackend.CUDNN_ATTENTION,
    "math": SDPBackend.MATH,
}
window_by_definition = partial(
    sliding_window.sliding_window_attention_by_definition, window=WINDOW, causal=True
)


def sdpa_by(backend: SDPBackend, *, causal: bool) -> Function:
    """PyTorch's attention by one of its kernels and no other."""

    def run(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        with sdpa_kernel(backend):
            return scaled_dot_product_attention(q, k, v, is_causal=causal)

    return run


def pairs_work(pairs: Callable[[int], int]) -> Callable[[Size, bool], int]:
    """FLOPs of attention to a number of pairs: 4 d each, and backward 10 d more (five products)."""

    def work(size: Size, backward: bool) -> int:
        return size.batch * size.h * pairs(size.n) * size.d * (14 if backward else 4)

    return work


def all_pairs(n: int) -> int:
    """Every query with every key."""
    return n * n


def past_pairs(n: int) -> int:
    """Every query with the keys up to its own."""
    return n * (n + 1) // 2


def window_pairs(n: int) -> int:
    """Every query with its own key and `WINDOW` before it."""
    seen = min(n, WINDOW + 1)
    return past_pairs(seen) + (n - seen) * (WINDOW + 1)


def chunks_work(size: Size, backward: bool) -> int:
    """FLOPs of causal linear attention in chunks of 128: states, and the pairs within chunks.

    A causal product of widths a and c takes 4 a c for a token's part in the states and 2 (a + c)
    for each pair of a chunk; backward it is three more of them.
    """
    chunk = 128
    product = 4 * size.d**2 + 4 * size.d * chunk
    return size.batch * size.h * size.n * product * (4 if backward else 1)


SDPA = tuple(
    Case(
        "full, causal" if causal else "full",
        sdpa_by(backend, causal=causal),
        causal_by_definition if causal else softmax.attention,
        growth=2.0,
        implementation=f"PyTorch, {name}",
        work=pairs_work(past_pairs if causal else all_pairs),
        dtypes=HALVES if name in ("flash", "cuDNN") else (),
        capability=80 if name in ("flash", "cuDNN") else 0,
        nvidia=name == "cuDNN",
    )
    for causal in (False, True)
    for name, backend in BACKENDS.items()
)


@cache
def compiled_flex() -> Any:
    """FlexAttention, compiled for every shape anew."""
    from torch.nn.attention.flex_attention import flex_attention

    torch._dynamo.config.recompile_limit = 1000
    return torch.compile(flex_attention, dynamic=False)


def flex(rule: Callable[[int], MaskMod]) -> Function:
    """Queries, keys, values, and the block mask of the rule for so many tokens."""

    def with_mask(q: Tensor, k: Tensor, v: Tensor) -> Inputs:
        from torch.nn.attention.flex_attention import create_block_mask

        n = q.shape[-2]
        return q, k, v, create_block_mask(rule(n), None, None, n, n, q.device)

    return with_mask


def run_flex(q: Tensor, k: Tensor, v: Tensor, mask: Any) -> Any:
    """The compiled form under a block mask that was made before."""
    return compiled_flex()(q, k, v, block_mask=mask)


def sees_past(n: int) -> MaskMod:
    """Query i sees the keys up to its own."""
    return causal_mod(n, n)


def sees_window(n: int) -> MaskMod:
    """Query i sees its own key and `WINDOW` before it."""
    return sliding_window_mod(n, WINDOW, causal=True)


FLEX = (
    Case(
        "full, causal",
        run_flex,
        causal_by_definition,
        growth=2.0,
        implementation="FlexAttention",
        native=flex(sees_past),
        work=pairs_work(past_pairs),
        capability=80,
        nvidia=True,
    ),
    Case(
        f"window {WINDOW}, causal",
        run_flex,
        window_by_definition,
        check_length=777,
        implementation="FlexAttention",
        native=flex(sees_window),
        work=pairs_work(window_pairs),
        capability=80,
        nvidia=True,
    ),
)


KERNELS = 4  # of ours, where Triton is


def without_triton() -> int:
    """How many kernels of ours are missing because Triton is (on Windows, say)."""
    return 0 if find_spec("triton") else KERNELS


def kernels() -> tuple[Case, ...]:
    """Our kernels in Triton, where Triton is."""
    if find_spec("triton") is None:
        return ()
    from attncourse.kernels.flash import flash_attention, flash_window_attention
    from attncourse.kernels.linear import chunked_linear_attention

    case = partial(Case, implementation="attncourse, Triton", nvidia=True)
    return (
        case("full", flash_attention, softmax.attention, growth=2.0, work=pairs_work(all_pairs)),
        case(
            "full, causal",
            partial(flash_attention, causal=True),
            causal_by_definition,
            growth=2.0,
            work=pairs_work(past_pairs),
        ),
        case(
            f"window {WINDOW}, causal",
            partial(flash_window_attention, window=WINDOW, causal=True),
            window_by_definition,
            check_length=777,
            work=pairs_work(window_pairs),
        ),
        case(
            "linear, causal",
            chunked_linear_attention,
            partial(linear_transformer.causal_linear_attention_by_definition, chunk=128),
            work=chunks_work,
        ),
    )
