"""Attention by the kernels of `band`: full, causal and sliding-window, on a GPU."""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from attncourse.core.by_hand import HandWritten, keep, kept
from attncourse.core.shapes import checked
from attncourse.core.sizes import check_window
from attncourse.kernels import band
from attncourse.kernels.launch import capability_of, check_place, launch, padded, tile_sizes


@checked
def flash_attention(
    q: Float[Tensor, "... h n d"],
    k: Float[Tensor, "... g m d"],
    v: Float[Tensor, "... g m e"],
    *,
    causal: bool = False,
) -> Float[Tensor, "... h n e"]:
    """softmax(q k^T / sqrt(d)) v by a fused kernel, for h query heads and g key/value heads.

    Head i reads head i // (h / g) of k and v, as in `grouped_query_attention`. causal is aligned
    to the bottom right, as in `causal_mask`; a query that sees nothing gets zeros. Half-precision
    tiles are multiplied as they are and summed in float32. Time O(h n m (d + e)), memory O(h n)
    beside inputs and output, forward and backward. Second derivatives raise RuntimeError.

    Raises ValueError unless g divides h and the tensors are on a CUDA device (or Triton interprets:
    TRITON_INTERPRET=1), TypeError for float64.
    Source: Dao 2023, algorithms 1 and 2.
    """
    n, m = q.shape[-2], k.shape[-2]
    everything = n + m
    return _attend(q, k, v, before=everything, after=0 if causal else everything)


@checked
def flash_window_attention(
    q: Float[Tensor, "... h n d"],
    k: Float[Tensor, "... g n d"],
    v: Float[Tensor, "... g n e"],
    *,
    window: int,
    causal: bool = False,
) -> Float[Tensor, "... h n e"]:
    """`flash_attention` in which query i sees |i - j| <= window, or 0 <= i - j <= window if causal.

    Tiles outside of the window are never read: time O(h n window (d + e)).

    Raises as `flash_attention`, and ValueError unless window is at least 0.
    Source: Beltagy et al. 2020, section 3.1; Dao 2023.
    """
    check_window(window)
    reach = min(window, q.shape[-2])
    return _attend(q, k, v, before=reach, after=0 if causal else reach)


def _attend(q: Tensor, k: Tensor, v: Tensor, *, before: int, after: int) -> Tensor:
    """The kernels want contiguous matrices whose widths are powers of two."""
    h, g = q.shape[-3], k.shape[-3]
    if h % g:
        raise ValueError(f"g must divide h: got g={g} and h={h} for {tuple(q.shape)}")
    check_place("q", q)
    scale = 1 / math.sqrt(q.shape[-1])
    heads = (padded(x) for x in (q, k, v))
    out: Tensor = _Band.call(*heads, scale, before, after)
    return out[..., : v.shape[-1]].reshape(*q.shape[:-1], v.shape[-1])


class _Band(HandWritten):
    """The kernels as one differentiable function."""

    refusal = (
        "flash_attention and flash_window_attention have neither second derivatives nor rules for"
        " torch.func: take grouped_query_attention or sliding_window_attention"
    )

    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, scale: float, before: int, after: int
    ) -> Tensor:
        (heads, n, _), m = q.shape, k.shape[1]
        out = v.new_empty(heads, n, v.shape[-1])
        lse = torch.empty(heads, n, dtype=torch.float32, device=q.device)
        sizes = tile_sizes(q, v, capability_of(q))
        numbers = scale, n, m, heads // max(1, len(k)), before, after
        launch(band.forward, (n, sizes.rows, heads), (q, k, v, out, lse, *numbers), sizes)
        keep(ctx, (q, k, v, scale, before, after), out, lse)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (q, k, v, scale, before, after), (out, lse) = kept(ctx)
        (heads, n, _), (groups, m, _) = q.shape, k.shape
        grad, sizes = grad.contiguous(), tile_sizes(q, v, capability_of(q), backward=True)
        mean = (grad.float() * out.float()).sum(dim=-1)  # p . dp of each row, without its weights
        d_q, d_k, d_v = torch.empty_like(q), torch.empty_like(k), torch.empty_like(v)
        read = q, k, v, grad, lse, mean
        numbers = scale, n, m, heads // max(1, groups), before, after
        launch(band.backward_queries, (n, sizes.rows, heads), (*read, d_q, *numbers), sizes)
        launch(band.backward_keys, (m, sizes.keys, groups), (*read, d_k, d_v, *numbers), sizes)
        return d_q, d_k, d_v, None, None, None
