"""Strided attention, causal, and dilated attention: every stride-th key."""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad

from attncourse.core.patterns import dilated_mask, strided_mask
from attncourse.core.shapes import checked
from attncourse.core.sizes import check_stride
from attncourse.core.transforms import composable
from attncourse.mechanisms.dense.softmax import attention
from attncourse.mechanisms.patterns._tiles import (
    fused,
    in_blocks,
    like,
    of_one_width,
    summary,
    windows_and_summary,
)


@checked
def strided_attention_by_definition(
    q: Float[Tensor, "... n d"],
    k: Float[Tensor, "... n d"],
    v: Float[Tensor, "... n e"],
    *,
    stride: int,
) -> Float[Tensor, "... n e"]:
    """Dense attention under `strided_mask`. Time O(n^2 (d + e)), memory O(n^2)."""
    return attention(q, k, v, mask=strided_mask(q.shape[-2], stride).to(q.device))


@checked
@composable
def strided_attention(
    q: Float[Tensor, "... n d"],
    k: Float[Tensor, "... n d"],
    v: Float[Tensor, "... n e"],
    *,
    stride: int,
) -> Float[Tensor, "... n e"]:
    """Attention of query i over the last `stride` keys and every stride-th key before it.

    Positions i = row stride + column stand in a table of n / stride rows, where every stride-th key
    is a column. The keys of its column that lie further back than the last `stride` are one more
    key for a query: its score is the logsumexp of theirs, its value their own weighted mean.
    Attention over the last `stride` keys and this one is attention over all, and no key counts
    twice. Half-precision input is accumulated in float32. Time
    O(n (stride + 64 + n / stride) (d + e)), memory O(n (n / stride + d + e)): n^1.5 where stride
    is near sqrt(n).

    Keys and values must be finite.
    Raises ValueError unless stride is at least 1 and q, k and v have one length n.
    Source: Child et al. 2019, section 4.3.

    >>> q, v = torch.zeros(8, 1), torch.arange(8.0)[:, None]  # equal scores: the mean of those seen
    >>> strided_attention(q, q, v, stride=2)[:6].mT.round(decimals=2).tolist()
    [[0.0, 0.5, 1.0, 2.0, 2.25, 3.25]]
    """
    check_stride(stride)
    n = q.shape[-2]
    stride = min(stride, n)
    q_, k_, v_ = of_one_width(q, k, v)
    columns = (in_blocks(x, stride).transpose(1, 2) for x in (q_, k_, v_))  # (L, stride, rows, d)
    score, mean = (x.transpose(1, 2).flatten(1, 2)[:, :n] for x in _far(*columns))
    return like(v, windows_and_summary(q_, k_, v_, score, mean, before=stride, after=0))


def _far(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """The summary of each query's column above the window, which has its last two keys."""
    scores = q @ k.mT / math.sqrt(q.shape[-1])  # (L, stride, rows, rows)
    seen = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).tril(-2)
    return summary(scores, seen, v)


@checked
def dilated_attention_by_definition(
    q: Float[Tensor, "... n d"],
    k: Float[Tensor, "... n d"],
    v: Float[Tensor, "... n e"],
    *,
    stride: int,
) -> Float[Tensor, "... n e"]:
    """Dense attention under `dilated_mask`. Time O(n^2 (d + e)), memory O(n^2)."""
    return attention(q, k, v, mask=dilated_mask(q.shape[-2], stride).to(q.device))


@checked
@composable
def dilated_attention(
    q: Float[Tensor, "... n d"],
    k: Float[Tensor, "... n d"],
    v: Float[Tensor, "... n e"],
    *,
    stride: int,
) -> Float[Tensor, "... n e"]:
    """Attention of query i over the keys j with (i - j) mod stride = 0, before and after it.

    Positions i = row stride + column stand in a table of n / stride rows; each column attends to
    itself. Where stride does not divide n, the last row is short, and the columns that reach it
    are a call of their own. Half-precision input is accumulated in float32. Time
    O(n^2 / stride (d + e)), memory O(n (d + e)).

    Raises ValueError unless stride is at least 1 and q, k and v have one length n.

    >>> q, v = torch.zeros(6, 1), torch.arange(6.0)[:, None]  # equal scores: the mean of those seen
    >>> dilated_attention(q, q, v, stride=2).mT.round(decimals=2).tolist()
    [[2.0, 3.0, 2.0, 3.0, 2.0, 3.0]]
    """
    check_stride(stride)
    n = q.shape[-2]
    columns = [  # (L, stride, rows, d)
        in_blocks(x, min(stride, n)).transpose(1, 2) for x in of_one_width(q, k, v)
    ]
    rest = n % columns[0].shape[1]
    if rest == 0:
        out = fused(*columns)
    else:
        long = fused(*(x[:, :rest] for x in columns))
        short = fused(*(x[:, rest:, :-1] for x in columns))
        out = torch.cat([long, pad(short, (0, 0, 0, 1))], dim=1)
    return like(v, out.transpose(1, 2).flatten(1, 2)[:, :n])
