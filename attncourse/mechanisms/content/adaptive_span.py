"""Adaptive span: how far back a head looks is a number that it learns."""

import math
from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from attncourse.core.by_hand import HandWritten, keep, kept
from attncourse.core.dtypes import accumulation_dtype
from attncourse.core.numbers import decides
from attncourse.core.shapes import checked
from attncourse.core.transforms import composable
from attncourse.mechanisms.content._row_blocks import ENTRIES, ROWS, batched

STEP = 64  # spans are rounded up to whole steps, so that few different ones are left

Tile = tuple[Tensor, slice, slice]


@checked
def adaptive_span_attention_by_definition(
    q: Float[Tensor, "... n d"],
    k: Float[Tensor, "... m d"],
    v: Float[Tensor, "... m e"],
    span: Float[Tensor, "..."],
    *,
    ramp: float,
) -> Float[Tensor, "... n e"]:
    """Dense: exp of the scores, times the soft mask of the distances, divided by its sum."""
    _check_span(q, span, ramp)
    wide = accumulation_dtype(q.dtype)
    n, m = q.shape[-2], k.shape[-2]
    positions = torch.arange(n, device=q.device)[:, None] + m - n
    distance = positions - torch.arange(m, device=q.device)
    soft = ((ramp + span.to(wide)[..., None, None] - distance) / ramp).clamp(0, 1)
    soft = soft.masked_fill(distance < 0, 0.0)
    scores = q.to(wide) @ k.to(wide).mT / math.sqrt(q.shape[-1])
    largest = scores.detach().masked_fill(soft == 0, -math.inf).amax(dim=-1, keepdim=True)
    shifted = (scores - largest.masked_fill(largest == -math.inf, 0.0)).clamp_max(0)
    masses = soft * shifted.exp()
    total = masses.sum(dim=-1, keepdim=True)
    return (masses / total.masked_fill(total == 0, 1.0) @ v.to(wide)).to(v.dtype)


@checked
@composable
def adaptive_span_attention(
    q: Float[Tensor, "... n d"],
    k: Float[Tensor, "... m d"],
    v: Float[Tensor, "... m e"],
    span: Float[Tensor, "..."],
    *,
    ramp: float,
) -> Float[Tensor, "... n e"]:
    """Causal attention over a span of past tokens whose length z is learned, one for each head.

    a_ij = m(x) exp(s_ij) / sum_r m(p - r) exp(s_ir) over keys r <= p, with s = q k^T / sqrt(d), the
    position p = i + m - n of query i, the distance x = p - j >= 0 in tokens, and the soft mask
    m(x) = min(max((R + z - x) / R, 0), 1): 1 up to distance z, then falling to 0 over a ramp of R
    tokens, where the gradient to z comes from. The query's own token is at distance 0.

    span holds z in tokens and broadcasts to the leading axes of q: (h,) for q (b, h, n, d), and
    () where q has none. Heads with like spans are computed together, each block of queries against
    the keys in its reach alone, and again in the backward pass: time O(n (z + R) (d + e)) for a
    head, memory O(n (d + e)) and O(block (z + R)). A query that sees nothing (z <= -R, or n > m)
    gets zeros. At the two kinks of m its slope counts as 0. Second derivatives cost O(n m).

    Raises ValueError unless ramp is positive and span broadcasts to the leading axes of q.
    Source: Sukhbaatar et al. 2019, section 2.2, equations for m_z and a_tr.

    >>> q, v = torch.zeros(4, 1), torch.tensor([[0.0], [3.0], [6.0], [9.0]])
    >>> span = torch.tensor(0.5)  # the token before counts half, one two tokens back not at all
    >>> adaptive_span_attention(q, q, v, span, ramp=1.0).mT.round(decimals=2).tolist()
    [[0.0, 2.0, 5.0, 8.0]]
    """
    _check_span(q, span, ramp)
    out: Tensor = _AdaptiveSpan.call(q, k, v, span, ramp)
    return out


class _AdaptiveSpan(HandWritten):
    """The loop over blocks of queries within the band, and its hand-written backward pass."""

    @staticmethod
    def plain(q: Tensor, k: Tensor, v: Tensor, span: Tensor, ramp: float) -> Tensor:
        return adaptive_span_attention_by_definition(q, k, v, span, ramp=ramp)

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, span: Tensor, ramp: float) -> Tensor:
        queries, keys, values, spans = batched(q), batched(k), batched(v), _one_each(q, span)
        out = values.new_zeros(*queries.shape[:2], values.shape[-1])
        lse = queries.new_full(queries.shape[:2], math.inf)  # exp(s - inf) = 0: an empty row
        for tile in _tiles(spans, ramp, queries.shape[1], keys.shape[1]):
            heads, rows, columns = tile
            soft = _soft_mask(spans, ramp, queries, keys, tile)  # (heads, rows, columns)
            seen = _scores(queries, keys, tile).masked_fill(soft == 0, -math.inf)
            largest = seen.amax(dim=-1, keepdim=True)
            largest = largest.masked_fill(largest == -math.inf, 0.0)
            masses = soft * (seen - largest).exp()
            total = masses.sum(dim=-1, keepdim=True)
            divisor = total.masked_fill(total == 0, math.inf)
            out[heads, rows] = (masses / divisor) @ values[heads, columns]
            lse[heads, rows] = (largest + divisor.log()).squeeze(-1)
        keep(ctx, (q, k, v, span, ramp), out, lse)
        return out.view(*q.shape[:-1], v.shape[-1]).to(v.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (q, k, v, span, ramp), (out, lse) = kept(ctx)
        queries, keys, values, spans = batched(q), batched(k), batched(v), _one_each(q, span)
        g, scale = batched(grad), 1 / math.sqrt(q.shape[-1])
        d_q, d_k, d_v, d_span = (torch.zeros_like(x) for x in (queries, keys, values, spans))
        for tile in _tiles(spans, ramp, queries.shape[1], keys.shape[1]):
            heads, rows, columns = tile
            soft = _soft_mask(spans, ramp, queries, keys, tile)  # (heads, rows, columns)
            seen = _scores(queries, keys, tile).masked_fill(soft == 0, -math.inf)
            shares = (seen - lse[heads, rows, None]).exp()  # weights = soft shares
            mean = (g[heads, rows] * out[heads, rows]).sum(dim=-1, keepdim=True)
            d_shares = shares * (g[heads, rows] @ values[heads, columns].mT - mean)
            d_span[heads] += d_shares.masked_fill(soft == 1, 0.0).sum(dim=(-2, -1)) / ramp
            d_scores = d_shares.mul_(soft).mul_(scale)
            d_q[heads, rows] = d_scores @ keys[heads, columns]
            d_k[heads, columns] += d_scores.mT @ queries[heads, rows]
            d_v[heads, columns] += (soft * shares).mT @ g[heads, rows]
        d = (x.view(y.shape).to(y.dtype) for x, y in ((d_q, q), (d_k, k), (d_v, v)))
        return *d, d_span.view(q.shape[:-2]).sum_to_size(span.shape).to(span.dtype), None


def _one_each(q: Tensor, span: Tensor) -> Tensor:
    """The span of each leading index of q, in one row."""
    return span.to(accumulation_dtype(span.dtype)).expand(q.shape[:-2]).reshape(-1)


def _tiles(spans: Tensor, ramp: float, n: int, m: int) -> Iterator[Tile]:
    """For heads of like spans: the heads, a block of queries, and the keys in their reach."""
    for width, alike in _by_width(spans, ramp, m):
        for heads in torch.split(alike, max(1, ENTRIES // (ROWS * (ROWS + width)))):
            for start in range(max(0, n - m), n, ROWS):
                stop = min(start + ROWS, n)
                first, last = start + m - n, stop - 1 + m - n
                yield heads, slice(start, stop), slice(max(0, first - width + 1), last + 1)


def _by_width(spans: Tensor, ramp: float, m: int) -> list[tuple[int, Tensor]]:
    """The heads by the number of keys they reach, z + R rounded up to whole steps and at most m.

    On the meta device, where nobody knows the spans, every head reaches all keys.
    """
    if not decides(spans):
        return [(m, torch.arange(len(spans), device=spans.device))]
    steps = ((spans + ramp).nan_to_num(nan=m).clamp(0, m) / STEP).ceil().to(torch.int64)
    widths = sorted(set(steps.tolist()) - {0})
    return [(min(step * STEP, m), (steps == step).nonzero()[:, 0]) for step in widths]


def _scores(q: Tensor, k: Tensor, tile: Tile) -> Tensor:
    heads, rows, columns = tile
    return q[heads, rows] @ k[heads, columns].mT / math.sqrt(q.shape[-1])


def _soft_mask(spans: Tensor, ramp: float, q: Tensor, k: Tensor, tile: Tile) -> Tensor:
    """m(x) for each pair of one tile, 0 in the future."""
    heads, rows, columns = tile
    positions = torch.arange(rows.start, rows.stop, device=q.device) + k.shape[1] - q.shape[1]
    distance = positions[:, None] - torch.arange(columns.start, columns.stop, device=q.device)
    soft = ((ramp + spans[heads, None, None] - distance) / ramp).clamp_(0, 1)
    return soft.masked_fill_(distance < 0, 0.0)


def _check_span(q: Tensor, span: Tensor, ramp: float) -> None:
    if not ramp > 0:
        raise ValueError(f"ramp must be positive: got ramp={ramp}")
    lead = q.shape[:-2]
    fits = span.ndim <= len(lead) and all(
        a in (1, b) for a, b in zip(reversed(span.shape), reversed(lead), strict=False)
    )
    if not fits:
        raise ValueError(
            f"span must broadcast to the leading axes of q: got span {tuple(span.shape)}"
            f" and {tuple(lead)} for q {tuple(q.shape)}"
        )
