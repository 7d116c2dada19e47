"""Cosine scores: the angle between query and key, whatever their lengths."""

import torch
from jaxtyping import Float
from torch import Tensor

from attncourse.core.dtypes import accumulation_dtype
from attncourse.core.shapes import checked


@checked
def cosine_scores_by_definition(
    q: Float[Tensor, "... n d"], k: Float[Tensor, "... m d"]
) -> Float[Tensor, "... n m"]:
    """s_ij = q_i . k_j / (|q_i| |k_j|), one pair at a time; 0 where a vector is zero."""
    wide = accumulation_dtype(q.dtype)
    rows = [
        torch.stack([_one_pair(query, key) for key in k.to(wide).unbind(-2)], dim=-1)
        for query in q.to(wide).unbind(-2)
    ]
    return torch.stack(rows, dim=-2).to(q.dtype)


@checked
def cosine_scores(
    q: Float[Tensor, "... n d"], k: Float[Tensor, "... m d"]
) -> Float[Tensor, "... n m"]:
    """Cosine scores s_ij = q_i . k_j / (|q_i| |k_j|), between -1 and 1.

    A zero vector has no direction: its scores are 0, its gradient finite. Each vector is
    divided by its largest entry before it is squared, so that neither tiny nor huge vectors
    lose their direction. Half-precision input is accumulated in float32. Time O(n m d), memory
    O(n m).

    Raises ValueError where shapes do not fit.
    Source: Graves et al. 2014, section 3.3.1, equation 6.

    >>> k = torch.tensor([[5.0, 0.0], [0.0, 7.0], [-1.0, 0.0], [0.0, 0.0]])
    >>> cosine_scores(torch.tensor([[2.0, 0.0]]), k).tolist()
    [[1.0, 0.0, -1.0, 0.0]]
    """
    wide = accumulation_dtype(q.dtype)
    return (direction(q.to(wide)) @ direction(k.to(wide)).mT).to(q.dtype)


def _one_pair(query: Tensor, key: Tensor) -> Tensor:
    squares = query.square().sum(-1) * key.square().sum(-1)
    lengths = squares.masked_fill(squares == 0, 1.0).sqrt()
    return (query * key).sum(-1) / lengths


@checked
def direction(x: Float[Tensor, "... d"]) -> Float[Tensor, "... d"]:
    """The vectors x / |x| along the last axis; a zero vector stays zero, its gradient finite.

    Each vector is divided by its largest entry before it is squared, so that neither tiny nor huge
    ones lose their direction. Half-precision input is accumulated in float32. Time O(d) a vector.
    """
    wide = x.to(accumulation_dtype(x.dtype))
    largest = wide.detach().abs().amax(dim=-1, keepdim=True)
    scaled = wide / largest.masked_fill(largest == 0, 1.0)
    squares = scaled.square().sum(dim=-1, keepdim=True)
    return (scaled / squares.masked_fill(squares == 0, 1.0).sqrt()).to(x.dtype)
