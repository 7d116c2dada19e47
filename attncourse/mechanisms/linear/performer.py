"""The Performer: random features whose inner products average to the softmax's exponentials."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from attncourse.core.dtypes import accumulation_dtype
from attncourse.core.shapes import checked
from attncourse.core.transforms import composable
from attncourse.mechanisms.linear._exponentials import (
    exponentials_over_all_keys,
    exponentials_over_past_keys,
    shortened,
)


@checked
def performer_attention_by_definition(
    q: Float[Tensor, "... n d"],
    k: Float[Tensor, "... m d"],
    v: Float[Tensor, "... m e"],
    w: Float[Tensor, "r d"],
) -> Float[Tensor, "... n e"]:
    """All weights phi(q_i) . phi(k_j), by their logarithms, divided by their sum."""
    wide = accumulation_dtype(v.dtype)
    return (torch.softmax(_log_weights(q, k, w), dim=-1) @ v.to(wide)).to(v.dtype)


@checked
@composable
def performer_attention(
    q: Float[Tensor, "... n d"],
    k: Float[Tensor, "... m d"],
    v: Float[Tensor, "... m e"],
    w: Float[Tensor, "r d"],
) -> Float[Tensor, "... n e"]:
    """Attention with weights phi(q_i) . phi(k_j) of `positive_features`, divided by their sum.

    An estimate of softmax attention for random w; exactly the kernel attention of its features for
    any. Vectors of any length are safe: every feature's keys are scaled by their largest, every
    query by its own, and both factors cancel in the quotient; nothing is added to the denominator,
    which is at least 1. Half-precision input is accumulated in float32. Time O((n + m) r (d + e)),
    memory O(r e) beside the inputs and the output.

    Source: Choromanski et al. 2020, section 2.

    >>> generator = torch.Generator().manual_seed(0)
    >>> w = orthogonal_features(4096, 4, generator=generator)
    >>> q, k, v = torch.randn(3, 6, 4, generator=generator) / 2
    >>> bool((performer_attention(q, k, v, w) - attention(q, k, v)).abs().max() < 0.05)
    True
    """
    return exponentials_over_all_keys(q, k, v, w)


@checked
def causal_performer_attention_by_definition(
    q: Float[Tensor, "... n d"],
    k: Float[Tensor, "... n d"],
    v: Float[Tensor, "... n e"],
    w: Float[Tensor, "r d"],
    *,
    chunk: int,
) -> Float[Tensor, "... n e"]:
    """The same over the keys j <= i, whatever the chunk: it orders the work, no more."""
    wide = accumulation_dtype(v.dtype)
    past = torch.ones(q.shape[-2], k.shape[-2], dtype=torch.bool, device=q.device).tril()
    log_weights = _log_weights(q, k, w).masked_fill(~past, -math.inf)
    return (torch.softmax(log_weights, dim=-1) @ v.to(wide)).to(v.dtype)


@checked
@composable
def causal_performer_attention(
    q: Float[Tensor, "... n d"],
    k: Float[Tensor, "... n d"],
    v: Float[Tensor, "... n e"],
    w: Float[Tensor, "r d"],
    *,
    chunk: int,
) -> Float[Tensor, "... n e"]:
    """`performer_attention` in which a query sees itself and what came before, never the future.

    Inside a chunk of `chunk` tokens (64 is quick) the quadratic form; a state for all that came
    before. Features are scaled by the largest so far. Where the keys of one chunk differ by more
    than the exponents of the dtype allow, the chunk is halved until they do not: long vectors cost
    time, not accuracy. The last chunk may be short, and the result does not depend on the chunk.
    Time O(n (r (d + e) + chunk (r + e))), memory O(chunk r + r e) beside the inputs and the output,
    and a state for every few hundred tokens for the backward pass.

    Raises ValueError unless chunk is at least 1.
    Source: Choromanski et al. 2020, section 2; in chunks, as in `causal_kernel_attention`.

    >>> q, v = torch.zeros(4, 1), torch.tensor([[2.0], [4.0], [6.0], [8.0]])  # equal weights
    >>> out = causal_performer_attention(q, q, v, torch.ones(1, 1), chunk=64)
    >>> out.mT.round(decimals=2).tolist()
    [[2.0, 3.0, 4.0, 5.0]]
    """
    return exponentials_over_past_keys(q, k, v, w, chunk=chunk)


def _log_weights(q: Tensor, k: Tensor, w: Tensor) -> Tensor:
    """log(r phi(q_i) . phi(k_j)), summed over the r features by their logarithms: (..., n, m)."""
    a, b = (_log_features(x.to(accumulation_dtype(x.dtype)), w) for x in (q, k))
    return (a[..., :, None, :] + b[..., None, :, :]).logsumexp(dim=-1)  # over (..., n, m, r)


@checked
def positive_features(
    x: Float[Tensor, "... n d"], w: Float[Tensor, "r d"]
) -> Float[Tensor, "... n r"]:
    """Positive random features of the softmax kernel (FAVOR+), for directions w ~ N(0, I).

    phi(x) = exp(w y - |y|^2 / 2) / sqrt(r) with y = x / d^(1/4), so that the expectation of
    phi(q) . phi(k) over w is exp(q . k / sqrt(d)). The error falls as 1 / sqrt(r), and grows with
    exp(|q + k|^2 / sqrt(d)). Features of long vectors underflow: `performer_attention` does not
    need them to be representable. Time O(n r d), memory O(n r).

    Source: Choromanski et al. 2020, lemma 1.

    >>> positive_features(torch.zeros(1, 2), torch.ones(4, 2)).round(decimals=2).tolist()
    [[0.5, 0.5, 0.5, 0.5]]
    """
    logs = _log_features(x.to(accumulation_dtype(x.dtype)), w)
    return (logs.exp() / math.sqrt(w.shape[0])).to(x.dtype)


def _log_features(x: Tensor, w: Tensor) -> Tensor:
    """The logarithms w . y - |y|^2 / 2 of sqrt(r) positive features, with y = x / d^(1/4)."""
    y = shortened(x) / math.sqrt(math.sqrt(x.shape[-1]))
    return y @ w.to(y.dtype).mT - y.square().sum(dim=-1, keepdim=True) / 2


@checked
def trigonometric_features(
    x: Float[Tensor, "... n d"], w: Float[Tensor, "r d"]
) -> Float[Tensor, "... n s"]:
    """Sines and cosines as random features of the softmax kernel, for directions w ~ N(0, I).

    phi(x) = exp(|y|^2 / 2) [cos(w y), sin(w y)] / sqrt(r), 2 r of them, with y = x / d^(1/4), so
    that the expectation of phi(q) . phi(k) over w is exp(q . k / sqrt(d)). Weights may come out
    negative, and where the kernel is small the relative error is large, which is why the Performer
    prefers `positive_features`. Time O(n r d), memory O(n r).

    Source: Rahimi and Recht 2007; Choromanski et al. 2020, section 2.3.

    >>> trigonometric_features(torch.zeros(1, 2), torch.ones(4, 2)).round(decimals=2).tolist()
    [[0.5, 0.5, 0.5, 0.5, 0.0, 0.0, 0.0, 0.0]]
    """
    y = x.to(accumulation_dtype(x.dtype)) / math.sqrt(math.sqrt(x.shape[-1]))
    angles = y @ w.to(y.dtype).mT
    scale = (y.square().sum(dim=-1, keepdim=True) / 2).exp() / math.sqrt(w.shape[0])
    return (scale * torch.cat([angles.cos(), angles.sin()], dim=-1)).to(x.dtype)


@checked
def gaussian_features(r: int, d: int, *, generator: torch.Generator) -> Float[Tensor, "r d"]:
    """Directions w (r, d) for random features: independent standard normal entries.

    Raises ValueError unless r and d are at least 1.

    >>> w = gaussian_features(10000, 4, generator=torch.Generator().manual_seed(0))
    >>> abs(round(float(w.mean()), 1)), round(float(w.std()), 1)
    (0.0, 1.0)
    """
    _check_sizes(r, d)
    return torch.randn(r, d, generator=generator, device=generator.device)


@checked
def orthogonal_features(r: int, d: int, *, generator: torch.Generator) -> Float[Tensor, "r d"]:
    """Directions w (r, d) that are normal one by one, and orthogonal in blocks of d.

    Each block is a random rotation, uniform over all of them: Q of the QR decomposition of a
    normal matrix, its columns multiplied by the signs of R's diagonal. (Without the signs Q is
    whatever the algorithm prefers, and estimates are biased.) Each row then gets the length of an
    independent normal vector, so that w_i alone is distributed as in `gaussian_features`: the
    estimate stays unbiased, and its variance is smaller. Time O(r d^2).

    Raises ValueError unless r and d are at least 1.
    Source: Choromanski et al. 2020, section 2.4; Mezzadri 2007, section 5, on the signs.

    >>> w = orthogonal_features(4, 4, generator=torch.Generator().manual_seed(0))
    >>> products = w @ w.mT
    >>> bool((products - products.diag().diag()).abs().max() < 1e-5)
    True
    """
    _check_sizes(r, d)
    normal = torch.randn(-(-r // d), d, d, generator=generator, device=generator.device)
    rotations, upper = torch.linalg.qr(normal)
    signs = torch.where(upper.diagonal(dim1=-2, dim2=-1) < 0, -1.0, 1.0)
    directions = (rotations * signs[..., None, :]).mT.flatten(0, 1)[:r]
    lengths = torch.randn(r, d, generator=generator, device=generator.device).norm(dim=-1)
    return lengths[:, None] * directions


def _check_sizes(r: int, d: int) -> None:
    if r < 1 or d < 1:
        raise ValueError(f"r and d must be at least 1: got r={r} and d={d}")
