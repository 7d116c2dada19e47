"""Relative positions as a learned bias on scores, one number for each bucket of distances (T5)."""

import torch
from jaxtyping import Float, Integer
from torch import Tensor

from attncourse.core.shapes import checked


@checked
def relative_buckets(
    n: int, m: int, *, buckets: int = 32, furthest: int = 128, causal: bool = False
) -> Integer[Tensor, "n m"]:
    """The (n, m) table of buckets, 0 to buckets - 1, that distances between positions fall into.

    Distance t = p - j from query to key, p = i + m - n being the query's position, aligned to the
    bottom right as in `causal_mask`. Half of the buckets are for the past, t >= 0, half for the
    future (the first of them stays unused); if causal, all are for the past, and the future shares
    bucket 0. Of c buckets for one direction, the first e = c // 2 hold one distance each; the
    others grow in equal ratios up to `furthest`, and the last takes all that is further: bucket
    e + floor((c - e) log(t / e) / log(furthest / e)), computed exactly. Time and memory O(n m).

    Raises ValueError unless n and m are at least 1, buckets is even and at least 4 (if causal, at
    least 2) and furthest is more than e.
    Source: Raffel et al. 2020 (T5), section 2.1, and its published code.

    >>> relative_buckets(1, 9, buckets=4, furthest=8, causal=True)
    tensor([[3, 3, 3, 3, 3, 2, 2, 1, 0]])
    """
    if n < 1 or m < 1:
        raise ValueError(f"n and m must be at least 1: got n={n} and m={m}")
    away = torch.arange(n)[:, None] + m - n - torch.arange(m)
    return buckets_of(away, buckets, furthest, causal)


def buckets_of(away: Tensor, buckets: int, furthest: int, causal: bool) -> Tensor:
    """The bucket of each distance, as `relative_buckets` has it."""
    _check_buckets(buckets, furthest, causal)
    one_way = buckets if causal else buckets // 2
    distance = away.clamp(min=0) if causal else away.abs()
    bucket = torch.bucketize(distance, _first_distances(one_way, furthest), right=True)
    return bucket if causal else bucket + (away < 0) * one_way


def _check_buckets(buckets: int, furthest: int, causal: bool) -> None:
    if causal and buckets < 2:
        raise ValueError(f"buckets must be at least 2: got buckets={buckets}")
    if not causal and (buckets < 4 or buckets % 2):
        raise ValueError(f"buckets must be even and at least 4: got buckets={buckets}")
    exact = (buckets if causal else buckets // 2) // 2
    if furthest <= exact:
        raise ValueError(
            f"furthest must be more than the {exact} distances with a bucket of their own"
            f": got furthest={furthest}"
        )


def _first_distances(one_way: int, furthest: int) -> Tensor:
    """The smallest distance of each bucket but the first, in whole numbers.

    Bucket e + k begins where t >= e (furthest / e)^(k / s), s = c - e, which is the same as
    t^s >= e^(s - k) furthest^k.
    """
    exact, steps = one_way // 2, one_way - one_way // 2
    first = list(range(1, exact + 1))
    for k in range(1, steps):
        bound = exact ** (steps - k) * furthest**k
        t = int(exact * (furthest / exact) ** (k / steps))  # too small by one, or right
        first.append(t if t**steps >= bound else t + 1)
    return torch.tensor(first)


@checked
def relative_bias(
    table: Float[Tensor, "b h"], n: int, m: int, *, furthest: int = 128, causal: bool = False
) -> Float[Tensor, "h n m"]:
    """The (h, n, m) bias that is added to scores: table[bucket of the distance, head].

    table (b, h) is learned: a row for each of b buckets, shared by all layers in T5. Aligned to the
    bottom right; the buckets are those of `relative_buckets`. T5 adds it to scores that are *not*
    divided by sqrt(d). Keeps the dtype of table. Time and memory O(h n m).

    Raises ValueError unless n, m, b and furthest are as `relative_buckets` wants them.
    Source: Raffel et al. 2020 (T5), section 2.1.

    >>> table = torch.tensor([[0.0], [-1.0]])  # for oneself, and for all before
    >>> relative_bias(table, 2, 3, causal=True)
    tensor([[[-1.,  0.,  0.],
             [-1., -1.,  0.]]])
    """
    bucket = relative_buckets(n, m, buckets=table.shape[0], furthest=furthest, causal=causal)
    return table.mT[:, bucket.to(table.device)]
