"""Means with weights phi(q_i) . phi(k_j): sums over keys first, group by group of tokens.

The sums are S = sum_j phi(k_j) v_j^T and z = sum_j phi(k_j). Where the quadratic form is needed
too, inside a chunk, the values get a column of ones instead: then one product gives both the sum of
weighted values and that of the weights, and one state (r, e + 1) holds S and z side by side.
"""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from attncourse.core.dtypes import accumulation_dtype
from attncourse.mechanisms.linear._recurrence import Tensors, read_and_write, scan

FeatureMap = Callable[[Tensor], Tensor]


def with_ones(v: Tensor) -> Tensor:
    """The values (..., e) with a column of ones behind them, which sums the weights."""
    return torch.cat([v, v.new_ones(()).expand(*v.shape[:-1], 1)], dim=-1)


def mean(sums: Tensor) -> Tensor:
    """Divide by the last column, the sum of the weights; where that is 0 the mean is 0."""
    values, total = torch.split(sums, [sums.shape[-1] - 1, 1], dim=-1)
    return quotient(values, total)


def quotient(values: Tensor, total: Tensor) -> Tensor:
    """Sums of weighted values (..., e) over sums of weights (..., 1); 0 where the latter are 0."""
    return values * reciprocal(total)


def reciprocal(total: Tensor) -> Tensor:
    """1 over sums of weights; 0 where they are 0."""
    return total.masked_fill(total == 0, math.inf).reciprocal()


def no_state(q: Tensor, v: Tensor) -> Tensor:
    """The state (..., d, e + 1) before the first token, for q (..., d) and v (..., e)."""
    wide = accumulation_dtype(v.dtype)
    return v.new_zeros(*q.shape, v.shape[-1] + 1, dtype=wide)


def for_all_chunks(state: Tensors) -> Tensors:
    """States (..., x, y) as (b, 1, x, y), which broadcasts to the g chunks of a step."""
    return tuple(x.reshape(math.prod(x.shape[:-2]), 1, *x.shape[-2:]) for x in state)


def over_past_keys(
    features: FeatureMap, state: Tensor, q: Tensor, k: Tensor, v: Tensor, chunk: int
) -> tuple[Tensor, Tensor]:
    """Every query over the keys up to its own: the output, and the state after the last token."""
    out, (state,) = scan(partial(_causal_step, features), (state,), (q, k, v), chunk=chunk)
    return out, state


def _causal_step(
    features: FeatureMap, state: Tensors, q: Tensor, k: Tensor, v: Tensor
) -> tuple[Tensor, Tensors]:
    phi_q, phi_k = features(q), features(k)
    weights = (phi_q @ phi_k.mT).tril()  # (b, g, c, c)
    sums, last = read_and_write(state[0], weights, phi_q, phi_k, with_ones(v))
    return mean(sums), (last,)
