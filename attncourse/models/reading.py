"""What is read off a text's states: one vector for all of them, or the span of an answer."""

import math

import torch
from jaxtyping import Bool, Float, Integer
from torch import Tensor

from attncourse.core.shapes import checked
from attncourse.mechanisms.dense.softmax import masked_softmax


@checked
def attention_pooling(
    states: Float[Tensor, "... m d"],
    query: Float[Tensor, " d"],
    *,
    mask: Bool[Tensor, "... m"] | None = None,
) -> Float[Tensor, "... d"]:
    """The mean of m states, each weighted by how well it fits one query that all texts share.

    softmax(states . query / sqrt(d)) states. mask is True where a state is none of the padding; a
    text without any gives zeros. The query is a parameter that is learned. Time O(m d).

    Source: Yang et al. 2016, equations 5 to 7, with keys that are the states themselves.

    >>> states = torch.tensor([[1.0, 0.0], [3.0, 0.0]])
    >>> attention_pooling(states, torch.zeros(2)).tolist()
    [2.0, 0.0]
    """
    scores = states @ query / math.sqrt(query.shape[-1])
    real = torch.ones_like(scores, dtype=torch.bool) if mask is None else mask
    weights = masked_softmax(scores[..., None, :], real[..., None, :])
    return (weights @ states)[..., 0, :]


@checked
def best_span(
    start_logits: Float[Tensor, "... m"], end_logits: Float[Tensor, "... m"], *, longest: int
) -> tuple[Integer[Tensor, "..."], Integer[Tensor, "..."]]:
    """The first and the last token of the likeliest answer, each (...).

    Of all spans with start <= end < start + longest, the one whose sum of start logit and end logit
    is largest; of equal ones the one that starts first, then the shorter. Time and memory
    O(m^2). Raises ValueError unless longest is at least 1.

    Source: Seo et al. 2016, section 2; the bound on the length as in use.

    >>> start, end = torch.tensor([0.0, 2.0, 0.0]), torch.tensor([3.0, 0.0, 1.0])
    >>> [int(place) for place in best_span(start, end, longest=2)]
    [1, 2]
    """
    if longest < 1:
        raise ValueError(f"longest must be at least 1: got {longest}")
    m = start_logits.shape[-1]
    sums = start_logits[..., :, None] + end_logits[..., None, :]
    places = torch.arange(m, device=sums.device)
    length = places - places[:, None]  # 0 for one token
    allowed = (length >= 0) & (length < longest)
    best = sums.masked_fill(~allowed, -torch.inf).flatten(-2).argmax(dim=-1)
    return best // m, best % m
