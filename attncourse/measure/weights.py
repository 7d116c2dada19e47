"""How concentrated attention weights are."""

import torch
from jaxtyping import Float
from torch import Tensor

from attncourse.core.shapes import checked


@checked
def entropy(weights: Float[Tensor, "... m"]) -> Float[Tensor, "..."]:
    """The entropy of each row of weights in nats: -sum_j w_j log w_j, with 0 log 0 = 0.

    It is log m for m even weights and 0 for a single one; exp(entropy) reads as the number of
    keys that a query attends to.
    """
    return torch.special.entr(weights).sum(dim=-1)
