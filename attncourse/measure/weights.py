"""How concentrated attention weights are."""

import torch
from jaxtyping import Float
from torch import Tensor

from attncourse.core.dtypes import accumulation_dtype
from attncourse.core.shapes import checked


@checked
def entropy(weights: Float[Tensor, "... m"]) -> Float[Tensor, "..."]:
    """The entropy of each row of non-negative weights in nats: -sum_j w_j log w_j, 0 log 0 = 0.

    It is log m for m even weights and 0 for a single one; exp(entropy) reads as the number of
    keys that a query attends to. Half-precision weights are summed in float32.

    >>> weights = torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.25, 0.25, 0.25, 0.25]])
    >>> entropy(weights)  # 0 and log 4
    tensor([0.0000, 1.3863])
    """
    wide = weights.to(accumulation_dtype(weights.dtype))
    return torch.special.entr(wide).sum(dim=-1).to(weights.dtype)
