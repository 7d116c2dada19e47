"""Means with weights phi(q_i) . phi(k_j): sums over keys first, a few hundred tokens at a time.

The value gets a column of ones, so that one product gives both sum_j w_ij v_j and sum_j w_ij, and
one state (r, e + 1) holds S and z side by side.
"""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from attncourse.core.dtypes import accumulation_dtype
from attncourse.core.recurrence import TOKENS, Tensors, read_and_write, scan

FeatureMap = Callable[[Tensor], Tensor]


def same(x: Tensor) -> Tensor:
    """The feature map of inputs that are features already."""
    return x


def with_ones(v: Tensor) -> Tensor:
    """The values (..., e) with a column of ones behind them, which sums the weights."""
    return torch.cat([v, v.new_ones(()).expand(*v.shape[:-1], 1)], dim=-1)


def mean(sums: Tensor) -> Tensor:
    """Divide by the last column, the sum of the weights; where that is 0 the mean is 0."""
    values, total = torch.split(sums, [sums.shape[-1] - 1, 1], dim=-1)
    return values * total.masked_fill(total == 0, math.inf).reciprocal()


def no_state(q: Tensor, v: Tensor) -> Tensor:
    """The state (..., d, e + 1) before the first token, for q (..., d) and v (..., e)."""
    wide = accumulation_dtype(v.dtype)
    return v.new_zeros(*q.shape, v.shape[-1] + 1, dtype=wide)


def full(feature_map: FeatureMap, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Every query over all keys: a scan of the keys that writes, one of the queries that reads."""
    _, (sums,) = scan(
        partial(_write, feature_map),
        (no_state(q[..., 0, :], v[..., 0, :]),),
        (k, v),
        chunk=2 * TOKENS,
    )
    b, (r, e) = math.prod(v.shape[:-2]), sums.shape[-2:]
    shared = (sums.reshape(b, 1, r, e),)
    return scan(partial(_read, feature_map), (), (q,), shared, chunk=2 * TOKENS)[0]


def _write(feature_map: FeatureMap, state: Tensors, k: Tensor, v: Tensor) -> tuple[Tensor, Tensors]:
    (sums,) = state
    keys, values = feature_map(k).flatten(1, 2), with_ones(v).flatten(1, 2)
    return v[..., :0], (torch.baddbmm(sums, keys.mT, values),)


def _read(feature_map: FeatureMap, _: Tensors, q: Tensor, sums: Tensor) -> tuple[Tensor, Tensors]:
    return mean(feature_map(q) @ sums), ()


def causal(
    feature_map: FeatureMap, state: Tensor, q: Tensor, k: Tensor, v: Tensor, chunk: int
) -> tuple[Tensor, Tensor]:
    """Every query over the keys up to its own: the output, and the state after the last token."""
    out, (state,) = scan(partial(_causal_step, feature_map), (state,), (q, k, v), chunk=chunk)
    return out, state


def _causal_step(
    feature_map: FeatureMap, state: Tensors, q: Tensor, k: Tensor, v: Tensor
) -> tuple[Tensor, Tensors]:
    phi_q, phi_k = feature_map(q), feature_map(k)
    weights = (phi_q @ phi_k.mT).tril_()
    sums, last = read_and_write(state[0], weights, phi_q, phi_k, with_ones(v))
    return mean(sums), (last,)
