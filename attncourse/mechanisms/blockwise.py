"""Exact attention in tiles: partial results are merged, and no (n, m) matrix is ever held."""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from attncourse.core.dtypes import accumulation_dtype
from attncourse.core.masks import causal_mask
from attncourse.core.shapes import checked
from attncourse.mechanisms.softmax import attention


@checked
def blockwise_attention_by_definition(
    q: Float[Tensor, "... n d"],
    k: Float[Tensor, "... m d"],
    v: Float[Tensor, "... m e"],
    *,
    block: int,
    causal: bool = False,
) -> Float[Tensor, "... n e"]:
    """Dense attention, whatever the block: tiles change the order of work, not the result."""
    _check_block(block)
    mask = causal_mask(q.shape[-2], k.shape[-2]).to(q.device) if causal else None
    return attention(q, k, v, mask=mask)


@checked
def merge_attention(
    out_a: Float[Tensor, "... n e"],
    lse_a: Float[Tensor, "... n"],
    out_b: Float[Tensor, "... n e"],
    lse_b: Float[Tensor, "... n"],
) -> tuple[Float[Tensor, "... n e"], Float[Tensor, "... n"]]:
    """Join attention over two disjoint sets of keys into attention over both.

    Each part is an output and the logsumexp of its scores, lse = log sum_j exp(s_j). The whole has
    lse = log(exp(lse_a) + exp(lse_b)) and out = exp(lse_a - lse) out_a + exp(lse_b - lse) out_b.
    An empty part has lse -inf and counts nothing; two empty parts give zeros and -inf. The order
    of merging does not matter. Time O(n e).

    Source: Milakov and Gimelshein 2018, section 3.1; Rabe and Staats 2021.
    """
    top = torch.maximum(lse_a, lse_b).detach()
    top = top.masked_fill(top == -math.inf, 0.0)
    part_a, part_b = (lse_a - top).exp(), (lse_b - top).exp()
    total = part_a + part_b
    empty = total == 0
    safe = total.masked_fill(empty, 1.0)
    out = (part_a / safe)[..., None] * out_a + (part_b / safe)[..., None] * out_b
    return out, (top + safe.log()).masked_fill(empty, -math.inf)


@checked
def blockwise_attention(
    q: Float[Tensor, "... n d"],
    k: Float[Tensor, "... m d"],
    v: Float[Tensor, "... m e"],
    *,
    block: int,
    causal: bool = False,
) -> Float[Tensor, "... n e"]:
    """Attention over tiles of `block` keys, merged one by one; exact for any block.

    causal is aligned to the bottom right, as in `causal_mask`; queries that see nothing of a tile
    are left out of it, which saves about half of the work. The backward pass computes each tile
    again from the logsumexp instead of storing its weights. Half-precision input is accumulated
    in float32. Time O(n m (d + e)), memory O(n (block + d + e) + m (d + e)), forward and
    backward: nothing is n by m.

    Raises ValueError unless block is at least 1. Differentiable once.
    Source: Rabe and Staats 2021; Dao et al. 2022, algorithm 1 and appendix B.
    """
    _check_block(block)
    out: Tensor = _Blockwise.apply(q, k, v, block, causal)  # type: ignore[no-untyped-call]
    return out


class _Blockwise(torch.autograd.Function):
    """The loop over tiles of keys, and its hand-written backward pass."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, block: int, causal: bool) -> Tensor:
        wide = accumulation_dtype(q.dtype)
        out = torch.zeros(*q.shape[:-1], v.shape[-1], dtype=wide, device=q.device)
        lse = torch.full(q.shape[:-1], -math.inf, dtype=wide, device=q.device)
        for rows, columns in _tiles(q, k, block, causal):
            scores = _scores(q, k, rows, columns, causal)
            tile_lse = scores.logsumexp(dim=-1)
            weights = (scores - _finite(tile_lse)[..., None]).exp()
            tile = weights @ v[..., columns, :].to(wide)
            merged = merge_attention(out[..., rows, :], lse[..., rows], tile, tile_lse)
            out[..., rows, :], lse[..., rows] = merged
        ctx.save_for_backward(q, k, v, out, lse)
        ctx.block, ctx.causal = block, causal
        return out.to(v.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, out, lse = ctx.saved_tensors
        g, scale = grad.to(out.dtype), 1 / math.sqrt(q.shape[-1])
        d_q, d_k, d_v = (torch.zeros_like(x, dtype=out.dtype) for x in (q, k, v))
        mean = (g * out).sum(dim=-1, keepdim=True)  # p . dp of each row, without its weights
        for rows, columns in _tiles(q, k, ctx.block, ctx.causal):
            scores = _scores(q, k, rows, columns, ctx.causal)
            weights = (scores - _finite(lse[..., rows])[..., None]).exp()
            seen = g[..., rows, :]
            d_v[..., columns, :] = weights.mT @ seen
            d_weights = seen @ v[..., columns, :].to(out.dtype).mT
            d_scores = weights * (d_weights - mean[..., rows, :]) * scale
            d_q[..., rows, :] += d_scores @ k[..., columns, :].to(out.dtype)
            d_k[..., columns, :] = d_scores.mT @ q[..., rows, :].to(out.dtype)
        return d_q.to(q.dtype), d_k.to(k.dtype), d_v.to(v.dtype), None, None


def _tiles(q: Tensor, k: Tensor, block: int, causal: bool) -> list[tuple[slice, slice]]:
    """The tiles: a slice of keys each, with the slice of queries that may attend to any of them."""
    n, m = q.shape[-2], k.shape[-2]
    starts = range(0, m, block)
    first = [max(0, start - (m - n)) if causal else 0 for start in starts]
    return [(slice(i, n), slice(j, min(j + block, m))) for i, j in zip(first, starts, strict=True)]


def _scores(q: Tensor, k: Tensor, rows: slice, columns: slice, causal: bool) -> Tensor:
    """The scaled scores of one tile, -inf where a query may not attend."""
    wide = accumulation_dtype(q.dtype)
    queries, keys = q[..., rows, :].to(wide), k[..., columns, :].to(wide)
    scores = queries @ keys.mT / math.sqrt(q.shape[-1])
    if not causal:
        return scores
    positions = torch.arange(rows.start, rows.stop, device=q.device) + k.shape[-2] - q.shape[-2]
    hidden = torch.arange(columns.start, columns.stop, device=q.device) > positions[:, None]
    return scores.masked_fill(hidden, -math.inf)


def _finite(lse: Tensor) -> Tensor:
    """0 in place of -inf, so that the weights of an empty row are exp(-inf - 0) = 0."""
    return lse.masked_fill(lse == -math.inf, 0.0)


def _check_block(block: int) -> None:
    if block < 1:
        raise ValueError(f"block must be at least 1: got block={block}")


FORMS = (blockwise_attention_by_definition, blockwise_attention)
