"""Attention for one query, as a soft dictionary lookup."""

import torch
from jaxtyping import Float
from torch import Tensor

from attncourse.core.dtypes import accumulation_dtype
from attncourse.core.shapes import checked
from attncourse.mechanisms.dense.softmax import softmax


@checked
def soft_lookup_by_definition(
    query: Float[Tensor, "... d"],
    keys: Float[Tensor, "... m d"],
    values: Float[Tensor, "... m e"],
    *,
    temperature: float = 1.0,
) -> Float[Tensor, "... e"]:
    """The lookup entry by entry: every (key, value) pair adds its value, weighted.

    Time O(m (d + e)). Raises ValueError unless temperature > 0.
    """
    if not temperature > 0:
        raise ValueError(f"temperature must be positive: got {temperature}")
    wide = accumulation_dtype(query.dtype)
    temperature = max(temperature, torch.finfo(wide).tiny)  # not 0 in the dtype
    scores = [(query.to(wide) * key.to(wide)).sum(dim=-1) for key in keys.unbind(dim=-2)]
    largest = torch.stack(scores).amax(dim=0)
    exponentials = [((score - largest) / temperature).exp() for score in scores]
    total = torch.stack(exponentials).sum(dim=0)
    result = torch.zeros_like(values[..., 0, :], dtype=wide)
    for weight, value in zip(exponentials, values.unbind(dim=-2), strict=True):
        result = result + (weight / total)[..., None] * value.to(wide)
    return result.to(values.dtype)


@checked
def soft_lookup(
    query: Float[Tensor, "... d"],
    keys: Float[Tensor, "... m d"],
    values: Float[Tensor, "... m e"],
    *,
    temperature: float = 1.0,
) -> Float[Tensor, "... e"]:
    """Look `query` up in a table of m keys and values: softmax(keys . query / temperature) values.

    The answer is a mean of the values in which the entries whose keys fit best count most. A
    temperature towards 0 returns the best entry alone, a large one the plain mean; temperatures of
    any size are safe. Time O(m (d + e)). Raises ValueError unless temperature > 0.

    >>> query, keys = torch.tensor([1.0, 0.0]), torch.eye(2)
    >>> values = torch.tensor([[10.0], [20.0]])
    >>> [soft_lookup(query, keys, values, temperature=t).item() for t in (1e-3, 1e9)]
    [10.0, 15.0]
    """
    if not temperature > 0:
        raise ValueError(f"temperature must be positive: got {temperature}")
    wide = accumulation_dtype(query.dtype)
    scores = (keys.to(wide) @ query.to(wide)[..., None]).squeeze(-1)
    gaps = scores - scores.amax(dim=-1, keepdim=True)  # so that no temperature is too small
    weights = softmax(gaps / max(temperature, torch.finfo(wide).tiny))
    return weighted_mean(weights, values.to(wide)).to(values.dtype)


@checked
def weighted_mean(
    weights: Float[Tensor, "... m"], values: Float[Tensor, "... m e"]
) -> Float[Tensor, "... e"]:
    """The mean of m values under non-negative weights: sum_j w_j v_j / sum_j w_j.

    The weights need not sum to one; only their ratios count, and weights of any size are safe.
    Weights that are all zero give zeros. Half-precision input is accumulated in float32. Time
    O(m e).

    >>> weighted_mean(torch.tensor([1.0, 3.0]), torch.tensor([[0.0], [4.0]])).tolist()
    [3.0]
    """
    wide = accumulation_dtype(values.dtype)
    # over their largest first: their sum may be more than a dtype holds
    largest = weights.detach().to(wide).amax(dim=-1, keepdim=True)
    ratios = weights.to(wide) / largest.masked_fill(largest == 0, 1.0)
    total = ratios.sum(dim=-1, keepdim=True)
    shares = ratios / total.masked_fill(total == 0, 1.0)
    return (shares[..., None, :] @ values.to(wide)).squeeze(-2).to(values.dtype)
