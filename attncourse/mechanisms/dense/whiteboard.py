"""Attention as interviewers ask for it: the weights beside the output, and heads as slices."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from attncourse.core.dtypes import accumulation_dtype
from attncourse.core.numbers import holds_numbers
from attncourse.core.shapes import checked
from attncourse.mechanisms.dense.softmax import attention, masked_softmax, softmax


@checked
def attention_with_weights(
    query: Float[Tensor, "... n d"],
    keys: Float[Tensor, "... m d"],
    values: Float[Tensor, "... m e"],
    mask: Bool[Tensor, "... #n #m"] | None = None,
) -> tuple[Float[Tensor, "... n e"], Float[Tensor, "... n m"]]:
    """The output of attention and its weights: (W V, W) with W = softmax(Q K^T / sqrt(d)).

    mask is Boolean, True where a query may attend, and broadcasts to the scores. Time
    O(n m (d + e)), memory O(n m).

    A row of the mask without a True is refused here, in place of giving zeros as `attention` does:
    who asks for the weights expects each row to sum to one. Raises ValueError for such a row and
    where shapes do not fit, TypeError for a wrong kind of tensor.
    Source: Vaswani et al. 2017, equation 1.

    >>> q, k, v = torch.zeros(1, 2), torch.zeros(2, 2), torch.tensor([[1.0], [3.0]])
    >>> [x.tolist() for x in attention_with_weights(q, k, v)]
    [[[2.0]], [[0.5, 0.5]]]
    """
    if mask is not None and holds_numbers(mask) and not mask.any(dim=-1).all():
        raise ValueError(
            "every row of mask must have a True, a key that the query may attend to: got an empty "
            f"row in mask {tuple(mask.shape)}"
        )
    wide = accumulation_dtype(query.dtype)
    scores = query.to(wide) @ keys.to(wide).mT / math.sqrt(query.shape[-1])
    weights = softmax(scores) if mask is None else masked_softmax(scores, mask)
    return (weights @ values.to(wide)).to(values.dtype), weights.to(values.dtype)


@checked
def multi_head_from_slices(
    query: Float[Tensor, "... n d"],
    keys: Float[Tensor, "... m d"],
    values: Float[Tensor, "... m e"],
    num_heads: int,
    w_o: Float[Tensor, "e d_o"] | None = None,
) -> Float[Tensor, "... n d_o"] | Float[Tensor, "... n e"]:
    """Attention in `num_heads` heads that are slices of the columns, put side by side again.

    Head i compares columns i d/h to (i+1) d/h of queries and keys, all positions of them, and takes
    the mean of the matching columns of the values. The outputs stand in the order of the heads;
    with `w_o` (e, d_o) they are mixed by it. There is no projection before the cut, so that no head
    sees what another has. Time O(n m (d + e)), memory O(h n m).

    Raises ValueError unless num_heads >= 1 divides d and e, TypeError unless it is an integer.
    Source: Vaswani et al. 2017, section 3.2.2, without its projections.

    >>> x = torch.tensor([[1e3, 0.0], [0.0, 1e3]])
    >>> multi_head_from_slices(x, x, torch.tensor([[1.0, 2.0], [3.0, 6.0]]), 2).tolist()
    [[1.0, 4.0], [2.0, 6.0]]
    """
    for name, x in (("d", query), ("e", values)):
        if num_heads < 1 or x.shape[-1] % num_heads:
            raise ValueError(
                f"num_heads must be at least 1 and divide {name}: got num_heads={num_heads} and "
                f"{name}={x.shape[-1]}"
            )
    heads = [
        attention(q, k, v)
        for q, k, v in zip(
            *(x.chunk(num_heads, dim=-1) for x in (query, keys, values)), strict=True
        )
    ]
    out = torch.cat(heads, dim=-1)
    return out if w_o is None else out @ w_o
