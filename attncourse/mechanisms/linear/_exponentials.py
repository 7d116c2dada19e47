"""Means with weights phi(q_i) . phi(k_j) where phi is an exponential, for vectors of any length.

The positive features exp(w . y - |y|^2 / 2), y = x / d^(1/4), of long vectors leave every dtype.
So feature by feature a unit is kept, the largest key so far, and sums are in that unit; each query
has its own. Units cancel in the quotient, as the factor 1 / sqrt(r) does. Features are written as
powers of two, which are quicker than exponentials: "logs" are to base 2, and the w of the functions
below the first two is w log2(e) / d^(1/4).
"""

import math

import torch
from torch import Tensor

from attncourse.core.dtypes import accumulation_dtype
from attncourse.core.numbers import decides
from attncourse.mechanisms.linear._recurrence import Tensors, at_once, read_and_write, scan
from attncourse.mechanisms.linear._sums import for_all_chunks, mean, no_state, quotient, with_ones

LOG2_E = math.log2(math.e)


def exponentials_over_all_keys(q: Tensor, k: Tensor, v: Tensor, w: Tensor) -> Tensor:
    """Every query over all keys: a scan of the keys that writes, one of the queries that reads."""
    shared = (_to_base_two(w),)
    sums, largest = _nothing_seen(k, v, w)
    empty = sums[..., :-1], sums[..., -1:].mT, largest
    chunk = at_once(math.prod(q.shape[:-2]), max(w.shape[0], v.shape[-1]))
    _, state = scan(_write, empty, (k, v), shared, chunk=chunk)
    return scan(_read, (), (q,), (*shared, *for_all_chunks(state)), chunk=chunk)[0]


def exponentials_over_past_keys(
    q: Tensor, k: Tensor, v: Tensor, w: Tensor, *, chunk: int
) -> Tensor:
    """Every query over the keys up to its own."""
    shared = (_to_base_two(w),)
    return scan(_causal_step, _nothing_seen(k, v, w), (q, k, v), shared, chunk=chunk)[0]


def shortened(x: Tensor) -> Tensor:
    """X with entries cut at a size whose squares a dtype holds: no difference of logs is NaN.

    The features of vectors that long are apart by more than the exponents of the dtype anyway.
    """
    limit = math.sqrt(torch.finfo(x.dtype).max / x.shape[-1]) / 4
    return x.clamp(-limit, limit)


def _to_base_two(w: Tensor) -> Tensor:
    return w.to(accumulation_dtype(w.dtype)) * (LOG2_E / math.sqrt(math.sqrt(w.shape[-1])))


def _nothing_seen(k: Tensor, v: Tensor, w: Tensor) -> Tensors:
    """The state before the first key: sums (..., r, e + 1), and the largest log (..., 1, r)."""
    wide = accumulation_dtype(k.dtype)
    largest = k.new_full((*k.shape[:-2], 1, w.shape[0]), -math.inf, dtype=wide)
    return no_state(largest[..., 0, :], v[..., 0, :]), largest


def _key_logs(k: Tensor, w: Tensor) -> Tensor:
    k = shortened(k)
    half_square = k.square().sum(dim=-1, keepdim=True) * (LOG2_E / 2 / math.sqrt(k.shape[-1]))
    return (k @ w.mT).sub_(half_square)


def _query_features(logs: Tensor) -> Tensor:
    """Powers of two, each query in a unit of its own, in which its largest feature is 1."""
    return (logs - logs.detach().amax(dim=-1, keepdim=True)).exp2_()


def _write(state: Tensors, k: Tensor, v: Tensor, w: Tensor) -> tuple[Tensor, Tensors]:
    """Add keys to the sums S and z."""
    (s, z, largest), logs = state, _key_logs(k, w).flatten(1, 2)
    larger = torch.maximum(largest, logs.detach().amax(dim=1, keepdim=True))
    keys, shrink = (logs - larger).exp2_(), (largest - larger).exp2()
    s = torch.baddbmm(shrink.mT * s, keys.mT, v.flatten(1, 2))
    z = shrink * z + keys.sum(dim=1, keepdim=True)
    return v[..., :0], (s, z, larger)


def _read(
    _: Tensors, q: Tensor, w: Tensor, s: Tensor, z: Tensor, largest: Tensor
) -> tuple[Tensor, Tensors]:
    queries = _query_features((shortened(q) @ w.mT).add_(largest))
    return quotient(queries @ s, queries @ z.mT), ()


def _causal_step(
    state: Tensors, q: Tensor, k: Tensor, v: Tensor, w: Tensor
) -> tuple[Tensor, Tensors]:
    return _attend(state, shortened(q) @ w.mT, _key_logs(k, w), with_ones(v))


def _attend(state: Tensors, a: Tensor, b: Tensor, v: Tensor) -> tuple[Tensor, Tensors]:
    """A group of chunks whose queries and keys are given by their logs, (b, g, c, r).

    The unit of a chunk is the largest key before it, or its own first: no future is in it, and
    every query of the chunk sees a key of size 1. Larger keys within the chunk must not overflow.
    """
    (sums, largest), logs = state, b.detach()
    tops = torch.cat([largest[:, None], logs.amax(dim=-2, keepdim=True)], dim=1)  # (b, 1 + g, 1, r)
    so_far = tops.cummax(dim=1).values
    unit = torch.maximum(so_far[:, :-1], logs[:, :, :1])
    if b.shape[1] * b.shape[2] > 1 and not _fits(tops[:, 1:] - unit):
        return _in_halves(state, a, b, v)
    steps = (unit - torch.cat([unit[:, 1:], so_far[:, -1:]], dim=1)).exp2_()
    queries, keys = _query_features(a + unit), (b - unit).exp2_()
    sums = (largest - unit[:, 0]).exp2().mT * sums  # (b, r, e + 1)
    weights = (queries @ keys.mT).tril_()  # (b, g, c, c)
    out, sums = read_and_write(sums, weights, queries, keys * steps, v, steps.mT)
    return mean(out), (sums, so_far[:, -1])


def _fits(logs: Tensor) -> bool:
    """Are the powers of two far from overflow, with as much room left for products?"""
    limit = math.log2(torch.finfo(logs.dtype).max) / 2
    return not decides(logs) or not logs.numel() or bool(logs.max() <= limit)


def _in_halves(state: Tensors, a: Tensor, b: Tensor, v: Tensor) -> tuple[Tensor, Tensors]:
    """The same, half of the chunks first; or, where there is only one, half of its tokens."""
    axis = 1 if b.shape[1] > 1 else 2
    outputs = []
    for half in zip(*(x.tensor_split(2, dim=axis) for x in (a, b, v)), strict=True):
        out, state = _attend(state, *half)
        outputs.append(out)
    return torch.cat(outputs, dim=axis), state
