"""Sparsemax: the point of the simplex nearest to the scores; weights that are exactly zero."""

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
def sparsemax_by_definition(x: Float[Tensor, "... n"]) -> Float[Tensor, "... n"]:
    """Sparsemax by sorting: the support is a prefix of the sorted row.

    With x_(1) >= x_(2) >= ... the support has k = max {j : 1 + j x_(j) > x_(1) + ... + x_(j)}
    entries, t = (x_(1) + ... + x_(k) - 1) / k, and p_i = max(x_i - t, 0). Time O(n log n) a row.

    Source: Martins and Astudillo 2016, algorithm 1.
    """
    wide = x.to(accumulation_dtype(x.dtype))
    top = wide.detach().amax(dim=-1, keepdim=True)
    z = wide - top.masked_fill(top == -math.inf, 0.0)
    ordered = z.detach().sort(dim=-1, descending=True).values
    count = torch.arange(1, x.shape[-1] + 1, device=x.device)
    inside = 1 + count * ordered > ordered.cumsum(dim=-1)
    k = inside.sum(dim=-1, keepdim=True)
    smallest = ordered.gather(-1, (k - 1).clamp_min(0))
    support = ((z >= smallest) & (k > 0)) | z.isnan()
    t = (z.masked_fill(~support, 0.0).sum(dim=-1, keepdim=True) - 1) / k.clamp_min(1)
    return torch.where(support, z - t, 0.0).to(x.dtype)


@checked
@composable
def sparsemax(x: Float[Tensor, "... n"]) -> Float[Tensor, "... n"]:
    """The weights of the simplex nearest to x along the last axis: argmin_p |p - x|^2.

    p_i = max(x_i - t, 0) with the t for which they sum to one. Entries far below the largest get
    exactly 0, and so does -inf; a row of -inf alone gives zeros. Adding a constant changes nothing;
    scores of any size are safe. The gradient reaches the support only: there, the incoming
    gradient minus its mean over the support. Newton's method finds t without a sort, exact to
    rounding: time O(n) for each of a handful of steps, memory O(n) a row. Half-precision input is
    computed in float32.

    Source: Martins and Astudillo 2016, equation 2, propositions 1 and 2; Condat 2016 for the
    search without a sort.

    >>> sparsemax(torch.tensor([1.0, 0.5, -1.0])).round(decimals=2).tolist()
    [0.75, 0.25, 0.0]
    """
    out: Tensor = _Sparsemax.call(x)
    return out


class _Sparsemax(HandWritten):
    @staticmethod
    def plain(x: Tensor) -> Tensor:
        return sparsemax_by_definition(x)

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        wide = x.to(accumulation_dtype(x.dtype), copy=True)
        weights = _weigh(wide, torch.empty_like(wide))
        keep(ctx, (x,), weights)
        return weights.to(x.dtype, copy=True)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,), (weights,) = kept(ctx)
        return pull_back(weights.sign(), grad.to(weights.dtype, copy=True)).to(x.dtype)


def _weigh(scores: Tensor, scratch: Tensor) -> Tensor:
    """Sparsemax of each row, in place."""
    z = centred(scores)
    return z.sub_(simplex_threshold(z, scratch, _newton_step)).clamp_min_(0.0)


def _newton_step(excess: Tensor) -> Tensor:
    """(sum of the excess - 1) / (how many are above t); overwrites the excess."""
    missing = excess.sum(dim=-1, keepdim=True) - 1
    return missing / excess.sign_().sum(dim=-1, keepdim=True)


@checked
def sparsemax_attention_by_definition(
    q: Float[Tensor, "... n d"],
    k: Float[Tensor, "... m d"],
    v: Float[Tensor, "... m e"],
    *,
    mask: Bool[Tensor, "... #n #m"] | None = None,
) -> Float[Tensor, "... n e"]:
    """Dense scores, sparsemax by sorting, and the weighted sum of the values."""
    wide = accumulation_dtype(q.dtype)
    scores = q.to(wide) @ k.to(wide).mT / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    return (sparsemax_by_definition(scores) @ v.to(wide)).to(v.dtype)


@checked
@composable
def sparsemax_attention(
    q: Float[Tensor, "... n d"],
    k: Float[Tensor, "... m d"],
    v: Float[Tensor, "... m e"],
    *,
    mask: Bool[Tensor, "... #n #m"] | None = None,
) -> Float[Tensor, "... n e"]:
    """Attention with sparsemax in place of softmax: sparsemax(q k^T / sqrt(d)) v.

    A query ignores all keys but the few whose scores lie within 1 of its largest. mask is Boolean,
    True where a query may attend; a query that may attend to nothing gets zeros. Computed by blocks
    of rows, and again in the backward pass: time O(n m (d + e)), since the support is known only
    after the scores; memory O(n (d + e) + m (d + e + block)). Second derivatives hold O(n m).

    Source: Martins and Astudillo 2016, section 4.3 (in attention).

    >>> q, eye = torch.tensor([[2.0, 1.0, 0.0, -2.0]]), torch.eye(4)
    >>> sparsemax_attention(q, eye, eye).round(decimals=2).tolist()
    [[0.75, 0.25, 0.0, 0.0]]
    >>> sparsemax_attention(q, eye, eye, mask=torch.tensor([[False]])).tolist()
    [[0.0, 0.0, 0.0, 0.0]]
    """
    return attention_by_rows(q, k, v, mask, _weigh, Tensor.sign_, sparsemax_attention_by_definition)
