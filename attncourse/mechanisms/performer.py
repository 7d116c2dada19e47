"""The Performer: random features whose inner products average to the softmax's exponentials."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from attncourse.core.dtypes import accumulation_dtype
from attncourse.core.kernels import mean, no_state, with_ones
from attncourse.core.recurrence import TOKENS, Tensors, read_and_write, scan
from attncourse.core.shapes import checked


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
def gaussian_features(r: int, d: int, *, generator: torch.Generator) -> Float[Tensor, "r d"]:
    """Directions w (r, d) for random features: independent standard normal entries.

    Raises ValueError unless r and d are at least 1.
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
    """
    _check_sizes(r, d)
    normal = torch.randn(-(-r // d), d, d, generator=generator, device=generator.device)
    rotations, upper = torch.linalg.qr(normal)
    signs = torch.where(upper.diagonal(dim1=-2, dim2=-1) < 0, -1.0, 1.0)
    directions = (rotations * signs[..., None, :]).mT.flatten(0, 1)[:r]
    lengths = torch.randn(r, d, generator=generator, device=generator.device).norm(dim=-1)
    return lengths[:, None] * directions


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
    """
    logs = _log_features(x.to(accumulation_dtype(x.dtype)), w)
    return (logs.exp() / math.sqrt(w.shape[0])).to(x.dtype)


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
    """
    y = x.to(accumulation_dtype(x.dtype)) * x.shape[-1] ** -0.25
    angles = y @ w.to(y.dtype).mT
    scale = (y.square().sum(dim=-1, keepdim=True) / 2).exp() / math.sqrt(w.shape[0])
    return (scale * torch.cat([angles.cos(), angles.sin()], dim=-1)).to(x.dtype)


@checked
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
    memory O(r e) beside the inputs and the output. Differentiable once.

    Source: Choromanski et al. 2020, section 2.
    """
    shared = (_to_base_two(w),)
    _, state = scan(_write, _nothing_seen(q, v, w), (k, v), shared, chunk=TOKENS)
    of_all = tuple(x.reshape(math.prod(v.shape[:-2]), 1, *x.shape[-2:]) for x in state)
    return scan(_read, (), (q,), (*shared, *of_all), chunk=TOKENS)[0]


@checked
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
    and a state for every few hundred tokens for the backward pass. Differentiable once.

    Raises ValueError unless chunk is at least 1.
    Source: Choromanski et al. 2020, section 2 and appendix B.1.
    """
    shared = (_to_base_two(w),)
    return scan(_causal_step, _nothing_seen(q, v, w), (q, k, v), shared, chunk=chunk)[0]


def _log_weights(q: Tensor, k: Tensor, w: Tensor) -> Tensor:
    """log(r phi(q_i) . phi(k_j)), summed over the r features by their logarithms: (..., n, m)."""
    a, b = (_log_features(x.to(accumulation_dtype(x.dtype)), w) for x in (q, k))
    return (a[..., :, None, :] + b[..., None, :, :]).logsumexp(dim=-1)


def _log_features(x: Tensor, w: Tensor) -> Tensor:
    """W . y - |y|^2 / 2 with y = x / d^(1/4)."""
    y = x * x.shape[-1] ** -0.25
    return y @ w.to(y.dtype).mT - y.square().sum(dim=-1, keepdim=True) / 2


# Below, features are powers of two, which are quicker than exponentials: the w of a scan is
# w / d^(1/4) log2(e), and "logs" are to base 2. The factor 1 / sqrt(r) cancels in the quotient.


def _nothing_seen(q: Tensor, v: Tensor, w: Tensor) -> Tensors:
    """The state before the first key: sums (..., r, e + 1), and the largest log (..., 1, r)."""
    largest = q.new_full((*q.shape[:-2], 1, len(w)), -math.inf, dtype=accumulation_dtype(q.dtype))
    return no_state(largest[..., 0, :], v[..., 0, :]), largest


def _to_base_two(w: Tensor) -> Tensor:
    return w.to(accumulation_dtype(w.dtype)) * (w.shape[-1] ** -0.25 * math.log2(math.e))


def _key_logs(k: Tensor, w: Tensor) -> Tensor:
    half_square = k.square().sum(dim=-1, keepdim=True) * (
        math.log2(math.e) / 2 / k.shape[-1] ** 0.5
    )
    return (k @ w.mT).sub_(half_square)


def _query_features(logs: Tensor) -> Tensor:
    """Powers of two, each query by a factor of its own, which makes its largest feature 1."""
    return (logs - logs.detach().amax(dim=-1, keepdim=True)).exp2_()


def _write(state: Tensors, k: Tensor, v: Tensor, w: Tensor) -> tuple[Tensor, Tensors]:
    """Add keys to the sums, whose unit is, for each feature, the largest key so far."""
    (sums, largest), logs = state, _key_logs(k, w).flatten(1, 2)
    larger = torch.maximum(largest, logs.detach().amax(dim=1, keepdim=True))
    keys = (logs - larger).exp2_()
    sums = torch.baddbmm((largest - larger).exp2().mT * sums, keys.mT, with_ones(v).flatten(1, 2))
    return v[..., :0], (sums, larger)


def _read(
    _: Tensors, q: Tensor, w: Tensor, sums: Tensor, largest: Tensor
) -> tuple[Tensor, Tensors]:
    return mean(_query_features((q @ w.mT).add_(largest)) @ sums), ()


def _causal_step(
    state: Tensors, q: Tensor, k: Tensor, v: Tensor, w: Tensor
) -> tuple[Tensor, Tensors]:
    return _attend(state, q @ w.mT, _key_logs(k, w), with_ones(v))


def _attend(state: Tensors, a: Tensor, b: Tensor, v: Tensor) -> tuple[Tensor, Tensors]:
    """A group of chunks whose queries and keys are given by their logs, (b, g, c, r).

    The unit of a chunk is the largest key before it, or its own first: no future is in it.
    """
    (sums, largest), logs = state, b.detach()
    tops = torch.cat([largest[:, None], logs.amax(dim=-2, keepdim=True)], dim=1)
    so_far = tops.cummax(dim=1).values
    unit = torch.maximum(so_far[:, :-1], logs[:, :, :1])
    if b.shape[1] * b.shape[2] > 1 and not _fits(tops[:, 1:] - unit):
        return _in_halves(state, a, b, v)
    steps = (unit - torch.cat([unit[:, 1:], so_far[:, -1:]], dim=1)).exp2_()
    queries, keys = _query_features(a + unit), (b - unit).exp2_()
    sums = (largest - unit[:, 0]).exp2().mT * sums
    weights = (queries @ keys.mT).tril_()
    out, sums = read_and_write(sums, weights, queries, keys * steps, v, steps.mT)
    return mean(out), (sums, so_far[:, -1])


def _fits(logs: Tensor) -> bool:
    """Are the powers of two far from overflow, with as much room left for products?"""
    limit = math.log2(torch.finfo(logs.dtype).max) / 2
    return logs.is_meta or not logs.numel() or bool(logs.max() <= limit)


def _in_halves(state: Tensors, a: Tensor, b: Tensor, v: Tensor) -> tuple[Tensor, Tensors]:
    """The same, half of the chunks first; or, where there is only one, half of its tokens."""
    axis = 1 if b.shape[1] > 1 else 2
    halves = zip(*(x.tensor_split(2, dim=axis) for x in (a, b, v)), strict=True)
    outputs = []
    for half in halves:
        out, state = _attend(state, *half)
        outputs.append(out)
    return torch.cat(outputs, dim=axis), state


def _check_sizes(r: int, d: int) -> None:
    if r < 1 or d < 1:
        raise ValueError(f"r and d must be at least 1: got r={r} and d={d}")


FORMS = (
    causal_performer_attention_by_definition,
    causal_performer_attention,
)
