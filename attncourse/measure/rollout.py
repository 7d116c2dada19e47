"""Weights followed through all layers of a model."""

import torch
from jaxtyping import Float
from torch import Tensor

from attncourse.core.dtypes import accumulation_dtype
from attncourse.core.shapes import checked


@checked
def attention_rollout(maps: Float[Tensor, "... layers h n n"]) -> Float[Tensor, "... n n"]:
    """How the layers of a model mix its tokens, if their weights alone decided: (..., n, n).

    A layer adds what its heads fetch to what was there. So its mixing is taken to be
    (mean of the heads' weights + I) / 2, and that of all layers their product, the last layer on
    the left. Rows of the result sum to one where those of the maps do. Values, output projections,
    norms and networks play no part. Half-precision maps are multiplied in float32.

    Source: Abnar and Zuidema 2020, section 3.

    >>> looks_back = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    >>> attention_rollout(torch.stack([looks_back, looks_back])[:, None])  # two layers of one head
    tensor([[1.0000, 0.0000],
            [0.7500, 0.2500]])
    """
    wide = maps.to(accumulation_dtype(maps.dtype)).mean(dim=-3)
    mixed = (wide + torch.eye(maps.shape[-1], dtype=wide.dtype, device=maps.device)) / 2
    total = mixed[..., 0, :, :]
    for layer in range(1, mixed.shape[-3]):
        total = mixed[..., layer, :, :] @ total
    return total.to(maps.dtype)
