"""Attention by blocks of rows: every row of scores is seen whole, and never all rows at once.

Sparse mappings need a whole row of scores before they know which keys count. A block holds at most
ROWS rows of the scores and about ENTRIES entries, in buffers that are used again.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from attncourse.core.by_hand import HandWritten, keep, kept
from attncourse.core.dtypes import accumulation_dtype
from attncourse.core.numbers import decides

ROWS, ENTRIES = 128, 2**20

Block = tuple[slice, slice]


def attention_by_rows(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None,
    weigh: Callable[[Tensor, Tensor], Tensor],
    sensitivity: Callable[[Tensor], Tensor],
    definition: Callable[..., Tensor],
) -> Tensor:
    """Attention whose weights are any function of a row of scores, forward and backward.

    weigh(scores, scratch) turns a block of scores into weights; both tensors are its to overwrite.
    sensitivity(weights) gives u, where the Jacobian of the weights is diag(u) - u u^T / sum(u):
    u = p for softmax, p > 0 for sparsemax, sqrt(p) for entmax-1.5; it may overwrite the weights.
    Masked scores are -inf. The backward pass computes each block again; second derivatives are
    those of definition(q, k, v, mask=mask).
    """
    out: Tensor = _ByRows.call(q, k, v, mask, weigh, sensitivity, definition)
    return out


class _ByRows(HandWritten):
    """The loop over blocks of rows, and its hand-written backward pass."""

    @staticmethod
    def plain(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, *how: Any) -> Tensor:
        _, _, definition = how
        out: Tensor = definition(q, k, v, mask=mask)
        return out

    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, *how: Any
    ) -> Tensor:
        keep(ctx, (q, k, v, mask, *how))
        weigh, _, _ = how
        queries, keys, values = batched(q), batched(k), batched(v)
        out = values.new_empty(*queries.shape[:2], values.shape[-1])
        for (leads, rows), scores, scratch in score_blocks(queries, keys):
            weights = weigh(_masked(scores, mask, q, (leads, rows)), scratch)  # (leads, rows, m)
            out[leads, rows] = weights @ values[leads]
        return out.view(*q.shape[:-1], v.shape[-1]).to(v.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (q, k, v, mask, weigh, sensitivity, _), _ = kept(ctx)
        queries, keys, values, g = batched(q), batched(k), batched(v), batched(grad)
        d_q, d_k, d_v = (torch.zeros_like(x) for x in (queries, keys, values))
        scale = 1 / math.sqrt(q.shape[-1])
        for (leads, rows), scores, scratch in score_blocks(queries, keys):
            weights = weigh(_masked(scores, mask, q, (leads, rows)), scratch)
            d_v[leads].baddbmm_(weights.mT, g[leads, rows])
            d_weights = torch.bmm(g[leads, rows], values[leads].mT, out=scratch)
            d_scores = pull_back(sensitivity(weights), d_weights).mul_(scale)
            d_q[leads, rows] = d_scores @ keys[leads]
            d_k[leads].baddbmm_(d_scores.mT, queries[leads, rows])
        d = (x.view(y.shape).to(y.dtype) for x, y in ((d_q, q), (d_k, k), (d_v, v)))
        return *d, None, None, None, None


def pull_back(u: Tensor, d_weights: Tensor) -> Tensor:
    """d_scores = u (d_weights - mean), the mean weighted by u; overwrites d_weights."""
    total = u.sum(dim=-1, keepdim=True)
    d_weights.mul_(u)
    mean = d_weights.sum(dim=-1, keepdim=True).div_(total.masked_fill(total == 0, 1.0))
    return d_weights.addcmul_(u, mean, value=-1)


def batched(x: Tensor) -> Tensor:
    """All leading axes as one, in the dtype of accumulation."""
    lead = math.prod(x.shape[:-2])
    return x.reshape(lead, *x.shape[-2:]).to(accumulation_dtype(x.dtype))


def row_blocks(lead: int, n: int, m: int) -> Iterator[Block]:
    """The blocks of the scores (lead, n, m): a slice of leading indices and one of rows."""
    rows = max(1, min(n, ROWS, ENTRIES // m))
    leads = max(1, min(lead, ENTRIES // (rows * m)))
    for first in range(0, lead, leads):
        for row in range(0, n, rows):
            yield slice(first, min(first + leads, lead)), slice(row, min(row + rows, n))


def score_blocks(q: Tensor, k: Tensor) -> Iterator[tuple[Block, Tensor, Tensor]]:
    """Each block of the scaled scores, with a scratch tensor like it; the next overwrites both."""
    buffers: tuple[Tensor, Tensor] | None = None
    (lead, n), m = q.shape[:2], k.shape[1]
    for leads, rows in row_blocks(lead, n, m):
        shape = leads.stop - leads.start, rows.stop - rows.start, m
        buffers = buffers or (q.new_empty(math.prod(shape)), q.new_empty(math.prod(shape)))
        scores, scratch = (buffer[: math.prod(shape)].view(shape) for buffer in buffers)
        torch.bmm(q[leads, rows] / math.sqrt(q.shape[-1]), k[leads].mT, out=scores)
        yield (leads, rows), scores, scratch


def holds_anywhere(condition: Tensor) -> bool:
    """Is any entry True? On the meta device, where nobody knows, no."""
    return decides(condition) and bool(condition.any())


def _masked(scores: Tensor, mask: Tensor | None, q: Tensor, block: Block) -> Tensor:
    """The scores of one block, -inf where its part of the mask is False."""
    if mask is None:
        return scores
    leads, rows = block
    tables = mask.shape[:-2]  # which table of the mask does each leading index of q use?
    number = torch.arange(math.prod(tables), device=mask.device).view(tables)
    used = number.expand(q.shape[:-2]).reshape(-1)[leads]
    part = mask.reshape(-1, *mask.shape[-2:])[:, rows if mask.shape[-2] > 1 else slice(None)]
    return scores.masked_fill_(~part[used], -math.inf)
