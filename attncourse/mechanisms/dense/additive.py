"""Additive scores: a small network compares each query with each key."""

import torch
from jaxtyping import Float
from torch import Tensor

from attncourse.core.dtypes import accumulation_dtype
from attncourse.core.shapes import checked


@checked
def additive_scores_by_definition(
    q: Float[Tensor, "... n d_q"],
    k: Float[Tensor, "... m d_k"],
    w_q: Float[Tensor, "d_q r"],
    w_k: Float[Tensor, "d_k r"],
    u: Float[Tensor, " r"],
) -> Float[Tensor, "... n m"]:
    """s_ij = u . tanh(q_i W_q + k_j W_k), one pair at a time. Time O(n m r (d_q + d_k))."""
    wide = accumulation_dtype(q.dtype)
    q_wide, k_wide, u_wide = q.to(wide), k.to(wide), u.to(wide)
    rows = [
        torch.stack([_one_pair(query, key, w_q, w_k, u_wide) for key in k_wide.unbind(-2)], dim=-1)
        for query in q_wide.unbind(-2)
    ]
    return torch.stack(rows, dim=-2).to(q.dtype)


@checked
def additive_scores(
    q: Float[Tensor, "... n d_q"],
    k: Float[Tensor, "... m d_k"],
    w_q: Float[Tensor, "d_q r"],
    w_k: Float[Tensor, "d_k r"],
    u: Float[Tensor, " r"],
) -> Float[Tensor, "... n m"]:
    """Additive scores s_ij = u . tanh(q_i W_q + k_j W_k), not scaled.

    Queries and keys may differ in width: both are projected to r hidden units. Each projection
    is computed once; only the tanh is paid for every pair. Half-precision input is accumulated
    in float32. Time O(n d_q r + m d_k r + n m r), memory O(n m r).

    Raises ValueError where shapes do not fit.
    Source: Bahdanau et al. 2015, appendix A.1.2.

    >>> q, k, one = torch.tensor([[50.0], [-50.0]]), torch.tensor([[50.0], [0.0]]), torch.ones(1, 1)
    >>> additive_scores(q, k, one, one, torch.tensor([2.0])).tolist()  # no score is beyond 2
    [[2.0, 2.0], [0.0, -2.0]]
    """
    wide = accumulation_dtype(q.dtype)
    q_hidden = q.to(wide) @ w_q.to(wide)
    k_hidden = k.to(wide) @ w_k.to(wide)
    hidden = (q_hidden[..., :, None, :] + k_hidden[..., None, :, :]).tanh()  # (..., n, m, r)
    return (hidden @ u.to(wide)).to(q.dtype)


def _one_pair(query: Tensor, key: Tensor, w_q: Tensor, w_k: Tensor, u: Tensor) -> Tensor:
    hidden = query @ w_q.to(query.dtype) + key @ w_k.to(key.dtype)
    return hidden.tanh() @ u
