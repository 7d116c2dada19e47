"""Exact attention in tiles: partial results are merged, and no (n, m) matrix is ever held."""

import math
from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from attncourse.core.by_hand import HandWritten, keep, kept
from attncourse.core.dtypes import accumulation_dtype
from attncourse.core.masks import causal_mask
from attncourse.core.shapes import checked
from attncourse.core.transforms import composable
from attncourse.kernels import available
from attncourse.mechanisms.dense.softmax import attention


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
@composable
def blockwise_attention(
    q: Float[Tensor, "... n d"],
    k: Float[Tensor, "... m d"],
    v: Float[Tensor, "... m e"],
    *,
    block: int,
    causal: bool = False,
) -> Float[Tensor, "... n e"]:
    """Attention in tiles of `block` queries by `block` keys; exact for any block.

    The online softmax: each block of queries goes over the keys tile by tile and keeps, of each
    row, the largest score, the sum of exponentials and the sum of weighted values; a tile with a
    larger score scales down what came before. Causal is aligned to the bottom right, as in
    `causal_mask`, and leaves out the tiles of which nothing is visible, about half of them. The
    backward pass computes each tile again, from the largest score and the sum of each row,
    instead of storing its weights.
    Half-precision input is accumulated in float32. Time O(n m (d + e)), memory
    O(block^2 + n (d + e) + m (d + e)), forward and backward: nothing is n by m.

    Raises ValueError unless block is at least 1. Second derivatives hold O(n m).
    Source: Milakov and Gimelshein 2018, algorithm 3; Dao et al. 2022, algorithm 1, appendix B.

    >>> x, v = torch.zeros(3, 2), torch.tensor([[1.0], [3.0], [5.0]])
    >>> blockwise_attention(x, x, v, block=2, causal=True).tolist()
    [[1.0], [2.0], [3.0]]
    """
    _check_block(block)
    out: Tensor = _Blockwise.call(q, k, v, block, causal)
    return out


def _check_block(block: int) -> None:
    if block < 1:
        raise ValueError(f"block must be at least 1: got block={block}")


class _Blockwise(HandWritten):
    """The loops over tiles, and their hand-written backward pass; leading axes are one."""

    @staticmethod
    def plain(q: Tensor, k: Tensor, v: Tensor, block: int, causal: bool) -> Tensor:
        return blockwise_attention_by_definition(q, k, v, block=block, causal=causal)

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, block: int, causal: bool) -> Tensor:
        tiles = _Tiles(q, k, v, block, causal)
        out = tiles.q.new_zeros(*tiles.q.shape[:-1], v.shape[-1])
        largest, total = tiles.q.new_empty(2, *tiles.q.shape[:-1], 1)
        for rows in tiles.rows():
            largest[:, rows], total[:, rows] = _attend(tiles, rows, out[:, rows])
        keep(ctx, (q, k, v, block, causal), out, largest, total)
        return out.view(*q.shape[:-1], v.shape[-1]).to(v.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (q, k, v, block, causal), (out, largest, total) = kept(ctx)
        tiles = _Tiles(q, k, v, block, causal)
        # over the sums here, so that weights need not be, nor scores lose digits to a logarithm
        g = grad.reshape(out.shape).to(out.dtype) / total
        d_q, d_k, d_v = (torch.zeros_like(x) for x in (tiles.q, tiles.k, tiles.v))
        mean = (g * out).sum(dim=-1, keepdim=True)  # p . dp of each row, without its weights
        for rows in tiles.rows():
            for columns in tiles.columns(rows):
                weights = tiles.scores(rows, columns).sub_(largest[:, rows]).exp_()
                d_v[:, columns].baddbmm_(weights.mT, g[:, rows])
                d_scores = torch.bmm(g[:, rows], tiles.v[:, columns].mT)
                d_scores.sub_(mean[:, rows]).mul_(weights)
                d_q[:, rows].baddbmm_(d_scores, tiles.k[:, columns], alpha=tiles.scale)
                d_k[:, columns].baddbmm_(d_scores.mT, tiles.q[:, rows])  # q is scaled already
        gradients = zip((d_q, d_k, d_v), (q, k, v), strict=True)
        return *(d.view(x.shape).to(x.dtype) for d, x in gradients), None, None


def _attend(tiles: "_Tiles", rows: slice, out: Tensor) -> tuple[Tensor, Tensor]:
    """Write the outputs of a block of queries into `out`, which is zero.

    Returns of each row the largest score and the sum of exponentials, in units of the largest.
    """
    # the smallest number stands for "nothing seen": the weights of a hidden key are then 0
    largest = out.new_full((*out.shape[:-1], 1), torch.finfo(out.dtype).min)
    total = torch.zeros_like(largest)
    for columns in tiles.columns(rows):
        weights = tiles.scores(rows, columns)
        larger = torch.maximum(largest, weights.amax(dim=-1, keepdim=True))
        weights.sub_(larger).exp_()
        shrink = largest.sub_(larger).exp_()
        total.mul_(shrink).add_(weights.sum(dim=-1, keepdim=True))
        out.mul_(shrink).baddbmm_(weights, tiles.v[:, columns])
        largest = larger
    total.masked_fill_(total == 0, 1.0)
    out.div_(total)
    return largest, total


class _Tiles:
    """Queries (scaled), keys and values with one leading axis, and the tiles that are visible."""

    def __init__(self, q: Tensor, k: Tensor, v: Tensor, block: int, causal: bool) -> None:
        wide = accumulation_dtype(q.dtype)
        self.scale = 1 / math.sqrt(q.shape[-1])
        self.q = q.reshape(_batch(q), *q.shape[-2:]).to(wide) * self.scale
        self.k, self.v = (x.reshape(_batch(x), *x.shape[-2:]).to(wide) for x in (k, v))
        self.block, self.causal = block, causal
        size = min(block, q.shape[-2]) * min(block, k.shape[-2])
        self.buffer = self.q.new_empty(_batch(q) * size)  # one tile of scores, used over and over
        self.offset = k.shape[-2] - q.shape[-2]  # query i sees the keys up to i + offset

    def rows(self) -> Iterator[slice]:
        n = self.q.shape[-2]
        return (slice(i, min(i + self.block, n)) for i in range(0, n, self.block))

    def columns(self, rows: slice) -> Iterator[slice]:
        """The tiles of keys of which the last query of the block sees at least one."""
        m = self.k.shape[-2]
        end = max(0, rows.stop + self.offset) if self.causal else m
        return (slice(j, min(j + self.block, m)) for j in range(0, end, self.block))

    def scores(self, rows: slice, columns: slice) -> Tensor:
        """The scores of one tile, -inf where a query may not attend."""
        queries, keys = self.q[:, rows], self.k[:, columns]
        shape = (queries.shape[0], queries.shape[1], keys.shape[1])
        scores = torch.bmm(queries, keys.mT, out=self.buffer[: math.prod(shape)].view(shape))
        first_hidden = rows.start + self.offset + 1 - columns.start
        if self.causal and first_hidden < columns.stop - columns.start:
            hidden = torch.ones(scores.shape[1:], dtype=torch.bool, device=scores.device)
            scores.masked_fill_(hidden.triu_(first_hidden), -math.inf)
        return scores


def _batch(x: Tensor) -> int:
    return math.prod(x.shape[:-2])


FORMS = (
    blockwise_attention_by_definition,
    blockwise_attention,
    *available("flash", "flash_attention"),
)
