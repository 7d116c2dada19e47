"""Tied queries and keys: one matrix projects both sides, and scores become symmetric."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from attncourse.core.dtypes import accumulation_dtype
from attncourse.core.shapes import checked
from attncourse.mechanisms.dense.softmax import attention


@checked
def shared_attention_by_definition(
    q: Float[Tensor, "... n d"],
    k: Float[Tensor, "... m d"],
    v: Float[Tensor, "... m e"],
    w: Float[Tensor, "d r"],
) -> Float[Tensor, "... n e"]:
    """softmax(q W W^T k^T / sqrt(r)) v, with the matrix W W^T between the two sides."""
    scores = q @ (w @ w.mT) @ k.mT / math.sqrt(w.shape[-1])
    return torch.softmax(scores, dim=-1) @ v


@checked
def shared_attention(
    q: Float[Tensor, "... n d"],
    k: Float[Tensor, "... m d"],
    v: Float[Tensor, "... m e"],
    w: Float[Tensor, "d r"],
) -> Float[Tensor, "... n e"]:
    """Attention with one projection for queries and keys: softmax((q W)(k W)^T / sqrt(r)) v.

    Values are not projected. If q = k the scores are symmetric and positive semi-definite, so
    s_ij^2 <= s_ii s_jj: no pair outscores both of its diagonals. Only W W^T counts, so that an
    orthogonal R in W R changes nothing. Half-precision input is accumulated in float32. Time
    O((n + m) d r + n m (r + e)), memory O(n m).

    Raises ValueError where shapes do not fit.
    Source: Kitaev et al. 2020, section 2 (shared-QK), here without its normalisation and masking.

    >>> x, v = torch.eye(2), torch.tensor([[1.0], [3.0]])
    >>> shared_attention(x, x, v, 100 * torch.eye(2)).tolist()  # each token finds itself
    [[1.0], [3.0]]
    """
    wide = accumulation_dtype(q.dtype)
    w = w.to(wide)
    return attention(q.to(wide) @ w, k.to(wide) @ w, v.to(wide)).to(v.dtype)


@checked
def signed_shared_attention(
    q: Float[Tensor, "... n d"],
    k: Float[Tensor, "... m d"],
    v: Float[Tensor, "... m e"],
    w: Float[Tensor, "d r"],
    signs: Float[Tensor, " r"],
) -> Float[Tensor, "... n e"]:
    """Attention with symmetric scores of any sign: softmax((q W) D (k W)^T / sqrt(r)) v.

    D = diag(signs). If q = k the scores are symmetric, but a token may now score below zero with
    itself; signs of one are `shared_attention`. Cost as there.

    Raises ValueError where shapes do not fit.

    >>> x, v = torch.eye(2), torch.tensor([[1.0], [3.0]])
    >>> signed_shared_attention(x, x, v, 100 * torch.eye(2), -torch.ones(2)).tolist()
    [[3.0], [1.0]]
    """
    wide = accumulation_dtype(q.dtype)
    w = w.to(wide)
    return attention((q.to(wide) @ w) * signs.to(wide), k.to(wide) @ w, v.to(wide)).to(v.dtype)
