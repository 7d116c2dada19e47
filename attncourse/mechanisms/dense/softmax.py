"""Softmax attention: the weighted mean whose weights are a softmax of scaled dot products."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from attncourse.core.dtypes import accumulation_dtype
from attncourse.core.shapes import checked


@checked
def attention_by_definition(
    q: Float[Tensor, "... n d"],
    k: Float[Tensor, "... m d"],
    v: Float[Tensor, "... m e"],
    *,
    mask: Bool[Tensor, "... #n #m"] | None = None,
) -> Float[Tensor, "... n e"]:
    """Attention as the loop over queries and keys that defines it.

    o_i = sum_j exp(s_ij - max_j s_ij) v_j / sum_j exp(s_ij - max_j s_ij) with
    s_ij = q_i . k_j / sqrt(d), both sums over the keys j that query i may attend to; a query
    without any gets o_i = 0. Time O(n m (d + e)), in as many Python steps as there are pairs.
    Source: Vaswani et al. 2017, equation 1.
    """
    *lead, n, d = q.shape
    m, e = v.shape[-2:]
    seen = torch.ones(n, m, dtype=torch.bool, device=q.device) if mask is None else mask
    allowed = seen.expand(*lead, n, m).reshape(-1, n, m).tolist()
    batches = zip(q.reshape(-1, n, d), k.reshape(-1, m, d), v.reshape(-1, m, e), strict=True)
    outputs = []
    for (queries, keys, values), rows in zip(batches, allowed, strict=True):
        for query, row in zip(queries, rows, strict=True):
            visible = [j for j in range(m) if row[j]]
            outputs.append(_one_query(query, keys[visible], values[visible]))
    return torch.stack(outputs).reshape(*lead, n, e) if outputs else v.new_zeros(*lead, n, e)


@checked
def attention(
    q: Float[Tensor, "... n d"],
    k: Float[Tensor, "... m d"],
    v: Float[Tensor, "... m e"],
    *,
    mask: Bool[Tensor, "... #n #m"] | None = None,
) -> Float[Tensor, "... n e"]:
    """Scaled dot-product attention: softmax(q k^T / sqrt(d)) v.

    mask is Boolean, True where a query may attend, and broadcasts to the scores (..., n, m). A
    query that may attend to nothing gets zeros, value and gradient. Half-precision input is
    accumulated in float32. Time O(n m (d + e)), memory O(n m): the weights are held.

    A NaN in a key reaches only the outputs that may attend to it; a NaN in a value reaches all
    of them, since 0 x NaN is NaN. Raises ValueError where shapes do not fit, TypeError for a
    wrong kind of tensor. Source: Vaswani et al. 2017, equation 1.

    >>> q, k, v = torch.tensor([[1e3, 0.0], [0.0, 0.0]]), torch.eye(2), torch.tensor([[1.0], [3.0]])
    >>> attention(q, k, v).tolist()  # the first query fits the first key, the second fits both
    [[1.0], [2.0]]
    """
    wide = accumulation_dtype(q.dtype)
    scores = q.to(wide) @ k.to(wide).mT / math.sqrt(q.shape[-1])
    weights = softmax(scores) if mask is None else masked_softmax(scores, mask)
    return (weights @ v.to(wide)).to(v.dtype)


def _one_query(query: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """The output of one query over the keys it may attend to."""
    output, total = torch.zeros_like(values.sum(dim=0)), query.new_zeros(())
    scores = [(query * key).sum() / math.sqrt(len(query)) for key in keys]
    largest = max((score.item() for score in scores), default=0.0)
    for score, value in zip(scores, values, strict=True):
        weight = (score - largest).exp()
        output, total = output + weight * value, total + weight
    return output / total if scores else output


@checked
def softmax(x: Float[Tensor, "... n"]) -> Float[Tensor, "... n"]:
    """Positive weights that sum to one along the last axis: exp(x_i) / sum_j exp(x_j).

    Scores of any size are safe: nothing overflows. Half-precision input is summed in float32. A
    row of -inf alone gives NaN, as in PyTorch: where a row may be empty, use `masked_softmax`.
    Time and memory O(n) a row.

    >>> softmax(torch.tensor([1000.0, 1000.0, 0.0])).tolist()
    [0.5, 0.5, 0.0]
    """
    wide = x.to(accumulation_dtype(x.dtype))
    # exp(x - max) over its sum is the same as exp(x) over its sum, and exp(x - max) <= 1
    exponentials = (wide - wide.amax(dim=-1, keepdim=True)).exp()
    weights = exponentials / exponentials.sum(dim=-1, keepdim=True)
    return weights.to(x.dtype)


@checked
def masked_softmax(
    scores: Float[Tensor, "... n m"], mask: Bool[Tensor, "... #n #m"]
) -> Float[Tensor, "... n m"]:
    """Softmax over the keys that each query may attend to; the others get weight 0.

    mask is Boolean, True where a query may attend, and broadcasts to the scores. A row with no
    True gives zeros, value and gradient; so does one whose visible scores are all -inf. Other
    rows sum to one. Time and memory O(n m).

    >>> mask = torch.tensor([[True, True, False], [False, False, False]])
    >>> masked_softmax(torch.zeros(2, 3), mask).tolist()
    [[0.5, 0.5, 0.0], [0.0, 0.0, 0.0]]
    """
    wide = scores.to(accumulation_dtype(scores.dtype)).masked_fill(~mask, -math.inf)
    largest = wide.detach().amax(dim=-1, keepdim=True)
    largest = largest.masked_fill(largest == -math.inf, 0.0)  # an empty row: exp(-inf - 0) = 0
    exponentials = (wide - largest).exp()
    total = exponentials.sum(dim=-1, keepdim=True)
    weights = exponentials / total.masked_fill(total == 0, 1.0)
    return weights.to(scores.dtype)
