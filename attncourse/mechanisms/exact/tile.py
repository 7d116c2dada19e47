"""One tile of attention: what a program of FlashAttention does with each block of keys."""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from attncourse.core.dtypes import accumulation_dtype
from attncourse.core.shapes import checked


@checked
def flash_forward_tile(
    q: Float[Tensor, "... n d"],
    k: Float[Tensor, "... b d"],
    v: Float[Tensor, "... b e"],
    state: tuple[Float[Tensor, "... n"], Float[Tensor, "... n"], Float[Tensor, "... n e"]],
) -> tuple[Float[Tensor, "... n"], Float[Tensor, "... n"], Float[Tensor, "... n e"]]:
    """What n queries know after one more block of b keys and values: (largest, total, sums).

    largest is the largest score so far, total the sum of exp(s - largest), sums that of
    exp(s - largest) v; before the first block they are -inf, 0 and 0. After the last one the output
    is sums / total and the logsumexp largest + log(total). Where the largest score grows, what was
    summed before is scaled down. The state that is given is not changed; the new one is in the
    dtype of accumulation. Time O(n b (d + e)).

    Raises TypeError or ValueError where the state does not fit.
    Source: Dao 2023, algorithm 1, lines 8 to 10.

    >>> state = torch.tensor([0.0]), torch.tensor([1.0]), torch.tensor([[6.0]])  # one key, score 0
    >>> q, k, v = torch.tensor([[1.0]]), torch.tensor([[math.log(2)]]), torch.tensor([[9.0]])
    >>> largest, total, sums = flash_forward_tile(q, k, v, state)
    >>> total.tolist(), sums.tolist(), (sums / total[:, None]).tolist()  # halved, and a 1 added
    ([1.5], [[12.0]], [[8.0]])
    """
    largest, total, sums = _fitting(state, q, v)
    scores = q.to(sums.dtype) @ k.to(sums.dtype).mT / math.sqrt(q.shape[-1])
    larger = torch.maximum(largest, scores.amax(dim=-1))
    shrink = (largest - larger).exp()
    weights = (scores - larger[..., None]).exp()
    total = total * shrink + weights.sum(dim=-1)
    sums = sums * shrink[..., None] + weights @ v.to(sums.dtype)
    return larger, total, sums


def _fitting(state: Any, q: Tensor, v: Tensor) -> tuple[Tensor, ...]:
    """The state in the dtype of accumulation, if it is one of these queries and values."""
    if not (isinstance(state, tuple) and len(state) == 3):
        raise TypeError(f"state must be a tuple (largest, total, sums): got {type(state).__name__}")
    rows, wide = q.shape[:-1], accumulation_dtype(q.dtype)
    shapes = {"largest": rows, "total": rows, "sums": (*rows, v.shape[-1])}
    for (name, shape), x in zip(shapes.items(), state, strict=True):
        if not isinstance(x, Tensor):
            raise TypeError(f"{name} must be a torch.Tensor: got {type(x).__name__}")
        if x.shape != shape:
            raise ValueError(f"{name} must have shape {tuple(shape)}: got {tuple(x.shape)}")
    return tuple(x.to(wide) for x in state)
