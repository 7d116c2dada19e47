"""Segment recurrence: each segment also attends to its past, through which no gradient flows."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from attncourse.core.dtypes import accumulation_dtype
from attncourse.core.masks import causal_mask
from attncourse.core.shapes import checked
from attncourse.mechanisms.dense.softmax import attention, masked_softmax
from attncourse.mechanisms.exact.blockwise import blockwise_attention

TILE = 256  # keys at once


@checked
def segment_attention_by_definition(
    x: Float[Tensor, "... n d_x"],
    memory: Float[Tensor, "... t d_x"],
    w_q: Float[Tensor, "d_x d"],
    w_k: Float[Tensor, "d_x d"],
    w_v: Float[Tensor, "d_x e"],
) -> Float[Tensor, "... n e"]:
    """Causal attention of [memory; x] to itself, of which the rows of x are kept."""
    whole = torch.cat([memory.detach(), x], dim=-2)
    n, m = x.shape[-2], whole.shape[-2]
    mask = causal_mask(m, m).to(x.device)
    return attention(whole @ w_q, whole @ w_k, whole @ w_v, mask=mask)[..., m - n :, :]


@checked
def segment_attention(
    x: Float[Tensor, "... n d_x"],
    memory: Float[Tensor, "... t d_x"],
    w_q: Float[Tensor, "d_x d"],
    w_k: Float[Tensor, "d_x d"],
    w_v: Float[Tensor, "d_x e"],
) -> Float[Tensor, "... n e"]:
    """Causal attention of a segment to its memory of t >= 0 tokens and to itself.

    Queries are x W_q; keys and values are projections of [stopgrad(memory); x]: each position
    sees the whole memory and what came before it in the segment. The first segment has an empty
    memory. The gradient of memory is exactly zero; that of the weights is not. A layer on top of L
    others reaches back L + 1 memories. Positions are not added: give x and memory relative or
    rotated ones. Half-precision input is accumulated in float32. Time
    O((n + t) d_x (d + e) + n (n + t) (d + e)), memory O((n + t) (d + e)): nothing is n by t.

    Raises ValueError where shapes do not fit.
    Source: Dai et al. 2019, section 3.2.

    >>> x, zero, one = torch.tensor([[2.0], [6.0]]), torch.zeros(1, 1), torch.ones(1, 1)
    >>> segment_attention(x, torch.tensor([[4.0]]), zero, one, one).tolist()
    [[3.0], [4.0]]
    >>> segment_attention(x, torch.empty(0, 1), zero, one, one).tolist()
    [[2.0], [4.0]]
    """
    return _read_past_and_self(x, memory, w_q, w_k, w_v)


@checked
def segment_recurrence_by_definition(
    x: Float[Tensor, "... n d_x"],
    w_q: Float[Tensor, "d_x d"],
    w_k: Float[Tensor, "d_x d"],
    w_v: Float[Tensor, "d_x e"],
    *,
    segment: int,
    memory: int,
) -> Float[Tensor, "... n e"]:
    """Masked attention in which a key, seen from another segment, is taken from stopgrad(x)."""
    _check_segments(segment, memory)
    positions = torch.arange(x.shape[-2], device=x.device)
    start = positions // segment * segment  # where the segment of each query begins
    own = positions >= start[:, None]
    seen = (positions <= positions[:, None]) & (positions >= start[:, None] - memory)
    q, past = x @ w_q / math.sqrt(w_q.shape[-1]), x.detach()
    scores = torch.where(own, q @ (x @ w_k).mT, q @ (past @ w_k).mT)
    weights = masked_softmax(scores, seen)
    return (weights * own) @ (x @ w_v) + (weights * ~own) @ (past @ w_v)


@checked
def segment_recurrence(
    x: Float[Tensor, "... n d_x"],
    w_q: Float[Tensor, "d_x d"],
    w_k: Float[Tensor, "d_x d"],
    w_v: Float[Tensor, "d_x e"],
    *,
    segment: int,
    memory: int,
) -> Float[Tensor, "... n e"]:
    """`segment_attention` of a whole sequence, cut into segments of `segment` tokens.

    The memory of a segment are the `memory` tokens before it; the last segment may be short. The
    value is that of causal attention as soon as memory reaches back to the beginning; the
    gradient stops at each border. Time O(n (segment + memory) (d + e)), memory
    O(n e + (segment + memory) (d + e)).

    Raises ValueError unless segment is at least 1 and memory at least 0.
    Source: Dai et al. 2019, section 3.2.

    >>> x = torch.tensor([[1.0], [3.0], [5.0], [7.0]])
    >>> zero, one = torch.zeros(1, 1), torch.ones(1, 1)
    >>> segment_recurrence(x, zero, one, one, segment=2, memory=1).tolist()
    [[1.0], [2.0], [4.0], [5.0]]
    """
    _check_segments(segment, memory)
    n, weights = x.shape[-2], (w_q, w_k, w_v)
    outputs = []
    for start in range(0, n, segment):
        current = x[..., start : start + segment, :]
        past = x[..., max(0, start - memory) : start, :]
        outputs.append(_read_past_and_self(current, past, *weights))
    return torch.cat(outputs, dim=-2)


def _check_segments(segment: int, memory: int) -> None:
    if segment < 1:
        raise ValueError(f"segment must be at least 1: got segment={segment}")
    if memory < 0:
        raise ValueError(f"memory must be at least 0: got memory={memory}")


def _read_past_and_self(x: Tensor, memory: Tensor, *weights: Tensor) -> Tensor:
    """Causal attention of x to [stopgrad(memory); x]; memory may be empty."""
    wide = accumulation_dtype(x.dtype)
    w_q, w_k, w_v = (w.to(wide) for w in weights)
    past = torch.cat([memory.detach(), x], dim=-2).to(wide)
    out = blockwise_attention(x.to(wide) @ w_q, past @ w_k, past @ w_v, block=TILE, causal=True)
    return out.to(x.dtype)
