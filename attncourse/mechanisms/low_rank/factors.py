"""Low rank: the best approximation of a matrix by two thin ones, and products that use it."""

import torch
from jaxtyping import Float
from torch import Tensor

from attncourse.core.dtypes import accumulation_dtype
from attncourse.core.shapes import checked


@checked
def factored_linear_by_definition(
    x: Float[Tensor, "... n d_x"], left: Float[Tensor, "d_x r"], right: Float[Tensor, "r d_o"]
) -> Float[Tensor, "... n d_o"]:
    """The projection x w with the whole matrix w = left right built first."""
    wide = accumulation_dtype(x.dtype)
    return (x.to(wide) @ (left.to(wide) @ right.to(wide))).to(x.dtype)


@checked
def factored_linear(
    x: Float[Tensor, "... n d_x"], left: Float[Tensor, "d_x r"], right: Float[Tensor, "r d_o"]
) -> Float[Tensor, "... n d_o"]:
    """A projection of rank r: (x left) right, for w = left right that is never built.

    r (d_x + d_o) parameters in place of d_x d_o, and 2 n r (d_x + d_o) FLOPs in place of
    2 n d_x d_o: both fall where r < d_x d_o / (d_x + d_o), half of the width if w is square.
    Half-precision input is accumulated in float32. Memory O(n (r + d_o)).

    Source: Sainath et al. 2013.

    >>> left, right = torch.tensor([[1.0], [1.0]]), torch.tensor([[1.0, 0.0, 2.0]])
    >>> factored_linear(torch.tensor([[1.0, 2.0]]), left, right).tolist()
    [[3.0, 0.0, 6.0]]
    """
    wide = accumulation_dtype(x.dtype)
    return (x.to(wide) @ left.to(wide) @ right.to(wide)).to(x.dtype)


@checked
def truncated_svd_by_definition(
    a: Float[Tensor, "... n m"], r: int
) -> tuple[Float[Tensor, "... n r"], Float[Tensor, "... r m"]]:
    """The projection of a onto the r eigenvectors of a^T a with the largest eigenvalues.

    Squaring a halves the digits of its small singular values: right on paper, and in exact
    arithmetic only.
    """
    _check_rank(a, r)
    wide = a.to(accumulation_dtype(a.dtype))
    vectors = torch.linalg.eigh(wide.mT @ wide).eigenvectors  # in ascending order
    right = vectors[..., -r:].flip(-1)
    return (wide @ right).to(a.dtype), right.mT.to(a.dtype)


@checked
def truncated_svd(
    a: Float[Tensor, "... n m"], r: int
) -> tuple[Float[Tensor, "... n r"], Float[Tensor, "... r m"]]:
    """The best approximation of a by a matrix of rank r, as two factors: a ~ left right.

    With a = U S V^T, left = U_r S_r and right = V_r^T: right has orthonormal rows, and
    left = a right^T. No matrix of rank r is nearer to a, in the Frobenius norm (where the error
    is the root of the sum of the squares of the singular values left out) or in the spectral norm
    (the largest of them). The sign of each pair of vectors is free; the product is unique where
    singular values r and r + 1 differ, and so is its gradient. Half-precision input is decomposed
    in float32. Time O(n m min(n, m)), memory O(n m): a tool of analysis. Applied to an attention
    matrix it costs more than the attention, which has to be computed first.

    Raises ValueError unless r is between 1 and min(n, m).
    Source: Eckart and Young 1936; Wang et al. 2020, section 3 (as analysis).

    >>> left, right = truncated_svd(torch.tensor([[2.0, 4.0], [1.0, 2.0]]), 1)  # a matrix of rank 1
    >>> (left @ right).round(decimals=2).tolist()
    [[2.0, 4.0], [1.0, 2.0]]
    """
    _check_rank(a, r)
    u, s, vh = torch.linalg.svd(a.to(accumulation_dtype(a.dtype)), full_matrices=False)
    left = u[..., :r] * s[..., None, :r]
    return left.to(a.dtype), vh[..., :r, :].to(a.dtype)


def _check_rank(a: Tensor, r: int) -> None:
    largest = min(a.shape[-2:])
    if not 1 <= r <= largest:
        raise ValueError(f"r must lie between 1 and min(n, m)={largest}: got r={r}")
