"""Means with weights phi(q_i) . phi(k_j): sums over keys first, a few hundred tokens at a time.

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
from attncourse.mechanisms.linear._recurrence import Tensors, at_once, read_and_write, scan

FeatureMap = Callable[[Tensor], Tensor]


def identity(x: Tensor) -> Tensor:
    """The feature map of inputs that are features already."""
    return x


def with_ones(v: Tensor) -> Tensor:
    """The values (..., e) with a column of ones behind them, which sums the weights."""
    return torch.cat([v, v.new_ones(()).expand(*v.shape[:-1], 1)], dim=-1)


def mean(sums: Tensor) -> Tensor:
    """Divide by the last column, the sum of the weights; where that is 0 the mean is 0."""
    values, total = torch.split(sums, [sums.shape[-1] - 1, 1], dim=-1)
    return quotient(values, total)


def quotient(values: Tensor, total: Tensor) -> Tensor:
    """Sums of weighted values (..., e) over sums of weights (..., 1); 0 where the latter are 0."""
    return values * total.masked_fill(total == 0, math.inf).reciprocal()


def no_state(q: Tensor, v: Tensor) -> Tensor:
    """The state (..., d, e + 1) before the first token, for q (..., d) and v (..., e)."""
    wide = accumulation_dtype(v.dtype)
    return v.new_zeros(*q.shape, v.shape[-1] + 1, dtype=wide)


def over_all_keys(feature_map: FeatureMap, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Every query over all keys: a scan of the keys that writes, one of the queries that reads."""
    sums = no_state(q[..., 0, :], v[..., 0, :])
    empty = sums[..., :-1], sums[..., -1:].mT
    chunk = at_once(math.prod(q.shape[:-2]), max(q.shape[-1], v.shape[-1]))
    _, state = scan(partial(_write, feature_map), empty, (k, v), chunk=chunk)
    shared = for_all_chunks(state)
    return scan(partial(_read, feature_map), (), (q,), shared, chunk=chunk)[0]


def for_all_chunks(state: Tensors) -> Tensors:
    """States (..., x, y) as (b, 1, x, y), which broadcasts to the g chunks of a step."""
    return tuple(x.reshape(math.prod(x.shape[:-2]), 1, *x.shape[-2:]) for x in state)


def _write(feature_map: FeatureMap, state: Tensors, k: Tensor, v: Tensor) -> tuple[Tensor, Tensors]:
    (s, z), keys = state, feature_map(k).flatten(1, 2)
    s, z = torch.baddbmm(s, keys.mT, v.flatten(1, 2)), z + keys.sum(dim=1, keepdim=True)
    return v[..., :0], (s, z)


def _read(
    feature_map: FeatureMap, _: Tensors, q: Tensor, s: Tensor, z: Tensor
) -> tuple[Tensor, Tensors]:
    queries = feature_map(q)
    return quotient(queries @ s, queries @ z.mT), ()


def over_past_keys(
    feature_map: FeatureMap, state: Tensor, q: Tensor, k: Tensor, v: Tensor, chunk: int
) -> tuple[Tensor, Tensor]:
    """Every query over the keys up to its own: the output, and the state after the last token."""
    out, (state,) = scan(partial(_causal_step, feature_map), (state,), (q, k, v), chunk=chunk)
    return out, state


def _causal_step(
    feature_map: FeatureMap, state: Tensors, q: Tensor, k: Tensor, v: Tensor
) -> tuple[Tensor, Tensors]:
    phi_q, phi_k = feature_map(q), feature_map(k)
    weights = (phi_q @ phi_k.mT).tril()  # (b, g, c, c)
    sums, last = read_and_write(state[0], weights, phi_q, phi_k, with_ones(v))
    return mean(sums), (last,)
