"""Entmax-1.5: between softmax, which is never zero, and sparsemax, which often is."""

import math
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from attncourse.core.by_hand import HandWritten, keep, kept
from attncourse.core.dtypes import accumulation_dtype
from attncourse.core.shapes import checked
from attncourse.core.transforms import composable
from attncourse.mechanisms.content._row_blocks import attention_by_rows, pull_back
from attncourse.mechanisms.content._simplex import centred, simplex_threshold


@checked
def entmax15_by_definition(x: Float[Tensor, "... n"]) -> Float[Tensor, "... n"]:
    """Entmax-1.5 by sorting: the support is a prefix of the sorted row.

    p_i = max(x_i / 2 - t, 0)^2. If the k largest z = x / 2 are the support, with mean M and sum of
    squared deviations S, then t = M - sqrt((1 - S) / k); the right k is the largest for which this
    t does not exceed the k-th entry. Time O(n log n) a row.

    Source: Peters, Niculae and Martins 2019, algorithm 2.
    """
    wide = x.to(accumulation_dtype(x.dtype))
    top = wide.detach().amax(dim=-1, keepdim=True)
    z = (wide - top.masked_fill(top == -math.inf, 0.0)) / 2
    ordered = z.detach().sort(dim=-1, descending=True).values
    count = torch.arange(1, x.shape[-1] + 1, device=x.device)
    mean = ordered.cumsum(dim=-1) / count
    deviation = ordered.square().cumsum(dim=-1) - count * mean.square()
    inside = mean - ((1 - deviation) / count).clamp_min(0).sqrt() <= ordered
    k = inside.sum(dim=-1, keepdim=True)
    support = ((z >= ordered.gather(-1, (k - 1).clamp_min(0))) & (k > 0)) | z.isnan()
    kept, k = z.masked_fill(~support, 0.0), k.clamp_min(1)
    mean = kept.sum(dim=-1, keepdim=True) / k
    deviation = (kept - mean).square().masked_fill(~support, 0.0).sum(dim=-1, keepdim=True)
    t = mean - ((1 - deviation) / k).sqrt()
    return torch.where(support, kept - t, 0.0).square().to(x.dtype)


@checked
@composable
def entmax15(x: Float[Tensor, "... n"]) -> Float[Tensor, "... n"]:
    """Weights p_i = max(x_i / 2 - t, 0)^2 along the last axis, with t such that they sum to one.

    They maximise p . x + H(p) for the Tsallis entropy H(p) = 4/3 sum_i (p_i - p_i^1.5): softmax has
    Shannon's entropy there (alpha = 1), sparsemax has alpha = 2. Entries far below the largest get
    exactly 0, and so does -inf; a row of -inf alone gives zeros. Scores of any size are safe. With
    u = sqrt(p) the gradient is u (g - mean of g weighted by u): it reaches the support only.
    Newton's method finds t without a sort, to rounding: time O(n) for each of a handful of steps,
    memory O(n) a row. Half-precision input is computed in float32.

    Source: Peters, Niculae and Martins 2019, section 3 and proposition 2.

    >>> entmax15(torch.tensor([0.4, 0.0, -9.0]))  # the square roots .8 and .6 differ by .4 / 2
    tensor([0.6400, 0.3600, 0.0000])
    """
    out: Tensor = _Entmax15.call(x)
    return out


class _Entmax15(HandWritten):
    @staticmethod
    def plain(x: Tensor) -> Tensor:
        return entmax15_by_definition(x)

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        wide = x.to(accumulation_dtype(x.dtype), copy=True)
        weights = _weigh(wide, torch.empty_like(wide))
        keep(ctx, (x,), weights)
        return weights.to(x.dtype, copy=True)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,), (weights,) = kept(ctx)
        return pull_back(weights.sqrt(), grad.to(weights.dtype, copy=True)).to(x.dtype)


def _weigh(scores: Tensor, scratch: Tensor) -> Tensor:
    """Entmax-1.5 of each row, in place."""
    z = centred(scores).mul_(0.5)
    return z.sub_(simplex_threshold(z, scratch, _newton_step)).clamp_min_(0.0).square_()


def _newton_step(excess: Tensor) -> Tensor:
    """(|excess| - 1) |excess| / sum of the excess, with the Euclidean norm."""
    norm = torch.linalg.vector_norm(excess, dim=-1, keepdim=True)
    total = excess.sum(dim=-1, keepdim=True)
    return (norm - 1) * norm / total.clamp_min(torch.finfo(total.dtype).tiny)


@checked
def entmax15_attention_by_definition(
    q: Float[Tensor, "... n d"],
    k: Float[Tensor, "... m d"],
    v: Float[Tensor, "... m e"],
    *,
    mask: Bool[Tensor, "... #n #m"] | None = None,
) -> Float[Tensor, "... n e"]:
    """Dense scores, entmax-1.5 by sorting, and the weighted sum of the values."""
    wide = accumulation_dtype(q.dtype)
    scores = q.to(wide) @ k.to(wide).mT / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    return (entmax15_by_definition(scores) @ v.to(wide)).to(v.dtype)


@checked
@composable
def entmax15_attention(
    q: Float[Tensor, "... n d"],
    k: Float[Tensor, "... m d"],
    v: Float[Tensor, "... m e"],
    *,
    mask: Bool[Tensor, "... #n #m"] | None = None,
) -> Float[Tensor, "... n e"]:
    """Attention with entmax-1.5 in place of softmax: entmax15(q k^T / sqrt(d)) v.

    A query ignores all keys whose scores lie 2 or more below its largest. mask is Boolean, True
    where a query may attend; a query that may attend to nothing gets zeros. Computed by blocks of
    rows, and again in the backward pass: time O(n m (d + e)), since the support is known only
    after the scores; memory O(n (d + e) + m (d + e + block)). Second derivatives hold O(n m).

    Source: Peters, Niculae and Martins 2019; Correia, Niculae and Martins 2019, section 3.

    >>> q, eye = torch.tensor([[0.8, 0.0, -9.0, -9.0]]), torch.eye(4)
    >>> entmax15_attention(q, eye, eye)
    tensor([[0.6400, 0.3600, 0.0000, 0.0000]])
    >>> entmax15_attention(q, eye, eye, mask=torch.tensor([[False]])).tolist()
    [[0.0, 0.0, 0.0, 0.0]]
    """
    return attention_by_rows(q, k, v, mask, _weigh, Tensor.sqrt_, entmax15_attention_by_definition)
