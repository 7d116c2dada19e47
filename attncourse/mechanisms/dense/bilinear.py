"""Bilinear ("general") scores: a learned matrix between query and key."""

from jaxtyping import Float
from torch import Tensor

from attncourse.core.dtypes import accumulation_dtype
from attncourse.core.shapes import checked


@checked
def bilinear_scores_by_definition(
    q: Float[Tensor, "... n d_q"], k: Float[Tensor, "... m d_k"], w: Float[Tensor, "d_q d_k"]
) -> Float[Tensor, "... n m"]:
    """s_ij = sum_a sum_b q_ia w_ab k_jb as the double sum. Time and memory O(n m d_q d_k)."""
    wide = accumulation_dtype(q.dtype)
    pairs = q.to(wide)[..., :, None, :, None] * k.to(wide)[..., None, :, None, :]
    products = pairs * w.to(wide)  # (..., n, m, d_q, d_k)
    return products.sum(dim=(-2, -1)).to(q.dtype)


@checked
def bilinear_scores(
    q: Float[Tensor, "... n d_q"], k: Float[Tensor, "... m d_k"], w: Float[Tensor, "d_q d_k"]
) -> Float[Tensor, "... n m"]:
    """Bilinear scores s_ij = q_i^T W k_j, that is Q W K^T, not scaled.

    Queries and keys may differ in width; W = I gives the dot product. Half-precision input is
    accumulated in float32. Time O(n d_q d_k + n m d_k), memory O(n m).

    Raises ValueError where shapes do not fit.
    Source: Luong et al. 2015, section 3.1 ("general").

    >>> q, k = torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> bilinear_scores(q, k, torch.tensor([[1.0, 0.0], [0.0, 10.0]])).tolist()
    [[1.0, 20.0]]
    """
    wide = accumulation_dtype(q.dtype)
    return (q.to(wide) @ w.to(wide) @ k.to(wide).mT).to(q.dtype)
