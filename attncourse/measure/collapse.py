"""How different the tokens of a sequence are from each other."""

from jaxtyping import Float
from torch import Tensor

from attncourse.core.shapes import checked


@checked
def distance_from_mean(x: Float[Tensor, "... n d"]) -> Float[Tensor, "..."]:
    """How far the tokens are from all being the same one: |x - mean| / |x|, from 0 to 1.

    mean is that of the tokens; norms are Frobenius's. The mean is the nearest matrix of equal rows,
    one of rank 1. At 0 every position holds the same vector, and nothing is left to attend to; n
    independent random tokens have about sqrt(1 - 1/n).

    Source: after Dong, Cordonnier and Loukas 2021, section 2, who take another norm.

    >>> distance_from_mean(torch.tensor([[1.0, 0.0], [1.0, 0.0]])).item()
    0.0
    >>> distance_from_mean(torch.tensor([[1.0, 0.0], [-1.0, 0.0]])).item()
    1.0
    """
    away = x - x.mean(dim=-2, keepdim=True)
    return away.flatten(-2).norm(dim=-1) / x.flatten(-2).norm(dim=-1)
