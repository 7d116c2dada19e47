"""Coarse to fine: a query scores whole blocks of keys, and attends within the best of them."""

import math
from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad

from attncourse.core.by_hand import HandWritten, keep, kept
from attncourse.core.dtypes import accumulation_dtype
from attncourse.core.masks import causal_mask
from attncourse.core.numbers import decides
from attncourse.core.shapes import checked
from attncourse.core.transforms import composable
from attncourse.mechanisms.content._row_blocks import batched, row_blocks
from attncourse.mechanisms.content._selection import largest_entries
from attncourse.mechanisms.dense.softmax import attention
from attncourse.mechanisms.exact.merging import merge_attention


@checked
def block_selection_attention_by_definition(
    q: Float[Tensor, "... n d"],
    k: Float[Tensor, "... m d"],
    v: Float[Tensor, "... m e"],
    *,
    block: int,
    top: int,
    causal: bool = False,
) -> Float[Tensor, "... n e"]:
    """Dense attention with a mask that is True for the keys of the chosen blocks."""
    _check_options(k, block, top)
    wide = accumulation_dtype(q.dtype)
    parts = torch.split(k.detach().to(wide), block, dim=-2)
    means = torch.stack([part.mean(dim=-2) for part in parts], dim=-1)  # (..., d, blocks)
    coarse = q.detach().to(wide) @ means  # (..., n, blocks)
    n, m = q.shape[-2], k.shape[-2]
    visible = causal_mask(n, m).to(q.device) if causal else None
    if visible is not None:
        own = (torch.arange(n, device=q.device) + m - n).div(block, rounding_mode="floor")
        ahead = torch.arange(len(parts), device=q.device) - own[:, None]  # (n, blocks)
        coarse = coarse.masked_fill(ahead == 0, math.inf).masked_fill(ahead > 0, -math.inf)
    best = coarse.sort(dim=-1, descending=True, stable=True).indices[..., :top]
    chosen = torch.zeros_like(coarse, dtype=torch.bool).scatter(-1, best, 1)
    mask = chosen.repeat_interleave(block, dim=-1)[..., :m]  # (..., n, m)
    return attention(q, k, v, mask=mask if visible is None else mask & visible)


@checked
@composable
def block_selection_attention(
    q: Float[Tensor, "... n d"],
    k: Float[Tensor, "... m d"],
    v: Float[Tensor, "... m e"],
    *,
    block: int,
    top: int,
    causal: bool = False,
) -> Float[Tensor, "... n e"]:
    """Attention of each query over the keys of its `top` best blocks.

    Keys are cut into blocks of `block`, the last may be short. The coarse score of query i for a
    block is q_i times the mean of its keys; the `top` blocks with the largest scores are chosen, of
    equal ones the first, and softmax attention runs over their keys. Where causal (aligned to the
    bottom right, as in `causal_mask`) the block that holds the query's own position is always one
    of the `top`, seen up to that position, and later blocks never are. All blocks are plain
    attention. The choice is constant to the gradient.

    Each block of keys meets the queries that chose it, all at once, and partial results are merged;
    the backward pass does the same again. Time O(n (m / block) d + n top block (d + e)), memory
    O(n (d + e + top + block) + m (d + e)): nothing is n by m. Second derivatives hold O(n m).

    Raises ValueError unless block is at least 1 and top between 1 and the number of blocks.
    Source: Lu et al. 2025 (MoBA), section 2.2, choice and causal rule. Yuan et al. 2025 (NSA)
    score blocks by compressed keys that are learned, for the heads of a group together; Tang et
    al. 2024 (Quest) by an upper bound from the smallest and largest entries of a block's keys.

    >>> q, k = torch.tensor([[1.0], [-1.0]]), torch.tensor([[1.0], [1.0], [3.0], [3.0]])
    >>> v = torch.tensor([[0.0], [2.0], [4.0], [6.0]])
    >>> block_selection_attention(q, k, v, block=2, top=1).mT.round(decimals=2).tolist()
    [[5.0, 1.0]]
    """
    _check_options(k, block, top)
    out: Tensor = _BlockSelection.call(q, k, v, block, top, causal)
    return out


class _BlockSelection(HandWritten):
    """The loop over blocks of keys, and its hand-written backward pass."""

    @staticmethod
    def plain(q: Tensor, k: Tensor, v: Tensor, block: int, top: int, causal: bool) -> Tensor:
        return block_selection_attention_by_definition(q, k, v, block=block, top=top, causal=causal)

    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, block: int, top: int, causal: bool
    ) -> Tensor:
        queries, keys, values = batched(q), batched(k), batched(v)
        out = values.new_zeros(*queries.shape[:2], values.shape[-1])
        lse = queries.new_full(queries.shape[:2], -math.inf)
        chosen = _choose(queries, keys, block, top, causal)  # (lead, n, top)
        for head, rows, columns in _meetings(chosen, keys.shape[1], block):
            scores = _scores(queries, keys, head, rows, columns, causal)  # (rows, columns)
            tile_lse = scores.logsumexp(dim=-1)
            tile = torch.softmax(scores, dim=-1) @ values[head, columns]  # (rows, e)
            merged = merge_attention(out[head, rows], lse[head, rows], tile, tile_lse)
            out[head, rows], lse[head, rows] = merged
        keep(ctx, (q, k, v, block, top, causal), out, lse, chosen)
        return out.view(*q.shape[:-1], v.shape[-1]).to(v.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (q, k, v, block, _, causal), (out, lse, chosen) = kept(ctx)
        queries, keys, values, g = batched(q), batched(k), batched(v), batched(grad)
        d_q, d_k, d_v = (torch.zeros_like(x) for x in (queries, keys, values))
        mean, scale = (g * out).sum(dim=-1), 1 / math.sqrt(q.shape[-1])
        for head, rows, columns in _meetings(chosen, keys.shape[1], block):
            scores = _scores(queries, keys, head, rows, columns, causal)
            weights = (scores - lse[head, rows, None]).exp()
            seen = g[head, rows]
            d_v[head, columns] = weights.mT @ seen
            d_weights = seen @ values[head, columns].mT
            d_scores = weights * (d_weights - mean[head, rows, None]) * scale
            d_q[head, rows] += d_scores @ keys[head, columns]
            d_k[head, columns] = d_scores.mT @ queries[head, rows]
        d = (x.view(y.shape).to(y.dtype) for x, y in ((d_q, q), (d_k, k), (d_v, v)))
        return *d, None, None, None


def _choose(q: Tensor, k: Tensor, block: int, top: int, causal: bool) -> Tensor:
    """The numbers (lead, n, top) of the chosen blocks; one past the last where there is none."""
    means = _block_means(k, block)
    lead, n, blocks = *q.shape[:2], means.shape[1]
    numbers = torch.arange(blocks, device=q.device)
    chosen = q.new_empty(lead, n, top, dtype=torch.int64)
    for leads, rows in row_blocks(lead, n, blocks):
        coarse = q[leads, rows] @ means[leads].mT  # (leads, rows, blocks)
        if causal:
            positions = torch.arange(rows.start, rows.stop, device=q.device) + k.shape[1] - n
            own = positions.div(block, rounding_mode="floor")[:, None]
            coarse.masked_fill_(numbers == own, math.inf).masked_fill_(numbers > own, -math.inf)
        values, indices = largest_entries(coarse, top)  # (leads, rows, top)
        chosen[leads, rows] = indices.masked_fill(values == -math.inf, blocks)
    return chosen


def _block_means(k: Tensor, block: int) -> Tensor:
    """The mean key of each block, the last one over the keys that it has."""
    m = k.shape[1]
    parts = torch.unflatten(pad(k, (0, 0, 0, -m % block)), 1, (-1, block))
    sums = parts.sum(dim=2)  # (lead, blocks, block, d) -> (lead, blocks, d)
    sizes = k.new_full((sums.shape[1], 1), block)
    sizes[-1] -= -m % block
    return sums / sizes


def _meetings(chosen: Tensor, m: int, block: int) -> Iterator[tuple[int, Tensor, slice]]:
    """Each head and block of keys, with the queries that chose it, where there are any.

    On the meta device, where nobody knows the choice, every query chose every block.
    """
    blocks, top = -(-m // block), chosen.shape[-1]
    for head, choice in enumerate(chosen):  # (n, top)
        if not decides(choice):
            parts = (torch.arange(len(choice), device=choice.device),) * blocks
        else:
            order = choice.flatten().argsort(stable=True)  # the pairs (query, choice), by block
            counts = torch.bincount(choice.flatten(), minlength=blocks + 1)
            parts = (order // top).split(counts.tolist())[:blocks]
        for number, rows in enumerate(parts):
            if len(rows):
                yield head, rows, slice(number * block, min(number * block + block, m))


def _scores(q: Tensor, k: Tensor, head: int, rows: Tensor, columns: slice, causal: bool) -> Tensor:
    """The scaled scores of some queries with one block of keys, -inf in the future."""
    scores = q[head, rows] @ k[head, columns].mT / math.sqrt(q.shape[-1])
    if not causal:
        return scores
    positions = rows + k.shape[1] - q.shape[1]
    ahead = torch.arange(columns.start, columns.stop, device=q.device) > positions[:, None]
    return scores.masked_fill_(ahead, -math.inf)


def _check_options(k: Tensor, block: int, top: int) -> None:
    if block < 1:
        raise ValueError(f"block must be at least 1: got block={block}")
    blocks = -(-k.shape[-2] // block)
    if not 1 <= top <= blocks:
        raise ValueError(
            f"top must be between 1 and the number of blocks, {blocks} of {block} keys for"
            f" m={k.shape[-2]}: got top={top}"
        )
