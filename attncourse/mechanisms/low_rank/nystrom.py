"""Nyström attention: the attention matrix from its columns and rows at a few landmarks."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from attncourse.core.dtypes import accumulation_dtype
from attncourse.core.fused import fused_attention
from attncourse.core.shapes import checked
from attncourse.mechanisms.dense.softmax import softmax

STEPS = 6  # of the iterative inverse, as in the paper


@checked
def nystrom_attention_by_definition(
    q: Float[Tensor, "... n d"],
    k: Float[Tensor, "... m d"],
    v: Float[Tensor, "... m e"],
    *,
    landmarks: int,
) -> Float[Tensor, "... n e"]:
    """The product of four matrices, each of them built: softmax, inverse, softmax, values."""
    left, middle, right = _three_softmaxes(q, k, landmarks)
    values = v.to(left.dtype)
    return (left @ iterative_inverse(middle, steps=STEPS) @ right @ values).to(v.dtype)


@checked
def nystrom_attention(
    q: Float[Tensor, "... n d"],
    k: Float[Tensor, "... m d"],
    v: Float[Tensor, "... m e"],
    *,
    landmarks: int,
) -> Float[Tensor, "... n e"]:
    """Nyström attention: softmax(q k~^T) Z softmax(q~ k^T) v, scores divided by sqrt(d).

    q~ and k~ are the `segment_means` of q and k, one for each landmark; Z is the
    `iterative_inverse` of softmax(q~ k~^T) after six steps. q and k may differ in length. No
    causal form exists: a landmark mixes its whole segment. The softmaxes with a side of n or m are
    attended through, not stored. Half-precision input is accumulated in float32. Time
    O((n + m) r (d + e) + r^3) for r landmarks, memory O(n e + r (d + e) + r^2): linear in the
    length.

    Raises ValueError unless landmarks lies between 1 and min(n, m).
    Source: Xiong et al. 2021, section 3 (without the convolution on the values).

    >>> q = torch.tensor([[20.0, 0.0], [20.0, 0.0], [0.0, 20.0], [0.0, 20.0]])  # two clear segments
    >>> v = torch.tensor([[1.0], [2.0], [3.0], [4.0]])
    >>> nystrom_attention(q, q, v, landmarks=2).mT.round(decimals=2).tolist()
    [[1.5, 1.5, 3.5, 3.5]]
    """
    few_q, few_k = _landmarks(q, k, landmarks)
    queries, keys, values = (x.to(few_q.dtype) for x in (q, k, v))
    middle = softmax(few_q @ few_k.mT / math.sqrt(q.shape[-1]))
    inner = fused_attention(few_q, keys, values)
    inner = _apply_iterative_inverse(middle, inner)
    return fused_attention(queries, few_k, inner).to(v.dtype)


def _apply_iterative_inverse(a: Tensor, x: Tensor) -> Tensor:
    """iterative_inverse(a, steps=STEPS) @ x, without the last and largest Z.

    A step is Z <- p(Za) Z with p(y) = (13 - 15 y + 7 y^2 - y^3) / 4, so the last one goes straight
    to Z x, which is thin. Sums and products are fused.
    """
    matrices, columns = a.reshape(-1, *a.shape[-2:]), x.reshape(-1, *x.shape[-2:])
    z = _first_inverse(matrices)
    for _ in range(STEPS - 1):
        z = _improve(z @ matrices, z)
    return _improve(z @ matrices, z @ columns).view_as(x)


def _improve(y: Tensor, x: Tensor) -> Tensor:
    """(13 x - y (15 x - y (7 x - y x))) / 4."""
    inner = torch.baddbmm(x, y, x, beta=7, alpha=-1)
    inner = torch.baddbmm(x, y, inner, beta=15, alpha=-1)
    return torch.baddbmm(x, y, inner, beta=13 / 4, alpha=-1 / 4)


@checked
def nystrom_attention_exact_inverse(
    q: Float[Tensor, "... n d"],
    k: Float[Tensor, "... m d"],
    v: Float[Tensor, "... m e"],
    *,
    landmarks: int,
) -> Float[Tensor, "... n e"]:
    """Nyström attention with the exact pseudo-inverse in the middle, for comparison.

    With a landmark for every token (landmarks = n = m) this is full attention. With fewer, the
    middle matrix is often nearly singular, and its exact inverse magnifies the error of the two
    others: `nystrom_attention` is usually nearer to attention. Half-precision input is
    accumulated in float32. Time O((n + m) r (d + e) + r^3) for r landmarks, memory O((n + m) r).

    Raises ValueError unless landmarks lies between 1 and min(n, m).

    >>> q = torch.tensor([[20.0, 0.0], [20.0, 0.0], [0.0, 20.0], [0.0, 20.0]])  # two clear segments
    >>> v = torch.tensor([[1.0], [2.0], [3.0], [4.0]])
    >>> nystrom_attention_exact_inverse(q, q, v, landmarks=2).mT.round(decimals=2).tolist()
    [[1.5, 1.5, 3.5, 3.5]]
    """
    left, middle, right = _three_softmaxes(q, k, landmarks)
    return (left @ (torch.linalg.pinv(middle) @ (right @ v.to(left.dtype)))).to(v.dtype)


def _three_softmaxes(q: Tensor, k: Tensor, landmarks: int) -> tuple[Tensor, Tensor, Tensor]:
    """softmax(q k~^T), softmax(q~ k~^T) and softmax(q~ k^T), scores divided by sqrt(d)."""
    few_q, few_k = _landmarks(q, k, landmarks)
    queries, keys, scale = q.to(few_q.dtype), k.to(few_q.dtype), math.sqrt(q.shape[-1])
    pairs = (queries, few_k), (few_q, few_k), (few_q, keys)
    left, middle, right = (softmax(a @ b.mT / scale) for a, b in pairs)
    return left, middle, right


def _landmarks(q: Tensor, k: Tensor, landmarks: int) -> tuple[Tensor, Tensor]:
    largest = min(q.shape[-2], k.shape[-2])
    if not 1 <= landmarks <= largest:
        raise ValueError(
            f"landmarks must lie between 1 and min(n, m)={largest}: got landmarks={landmarks}"
        )
    wide = accumulation_dtype(q.dtype)
    return segment_means(q.to(wide), landmarks), segment_means(k.to(wide), landmarks)


@checked
def segment_means(x: Float[Tensor, "... n d"], r: int) -> Float[Tensor, "... r d"]:
    """The means of r consecutive segments of x: its landmarks.

    Where r does not divide n, the first n mod r segments are longer by one token; nothing is
    padded or dropped. Time O(n d).

    Raises ValueError unless r lies between 1 and n. Source: Xiong et al. 2021, section 3.

    >>> segment_means(torch.arange(5.0)[:, None], 2).tolist()  # of tokens 0 to 2, and of 3 and 4
    [[1.0], [3.5]]
    """
    n = x.shape[-2]
    if not 1 <= r <= n:
        raise ValueError(f"r must lie between 1 and n={n}: got r={r}")
    wide = accumulation_dtype(x.dtype)
    size, longer = n // r, n % r  # of sizes that may be symbolic
    cut = longer * (size + 1)
    parts = (x[..., :cut, :], longer, size + 1), (x[..., cut:, :], r - longer, size)
    means = [
        torch.unflatten(part, -2, (count, length)).sum(dim=-2, dtype=wide) / length
        for part, count, length in parts
        if count
    ]
    return torch.cat(means, dim=-2).to(x.dtype)


@checked
def iterative_inverse(a: Float[Tensor, "... r r"], *, steps: int) -> Float[Tensor, "... r r"]:
    """An approximation of the pseudo-inverse of a by matrix products alone.

    Z_0 = a^T / (|a|_1 |a|_inf), then Z <- Z (13 I - aZ (15 I - aZ (7 I - aZ))) / 4. The error
    I - aZ is cubed by a step, so that singular values near the largest are inverted within a few
    steps, while those far below it stay damped: the result is regularised, not exact. Many more
    steps magnify the rounding errors of a singular matrix. Each matrix of a batch is scaled by
    its own norms; a zero matrix has inverse zero. Half-precision input is accumulated in float32.
    Time O(steps r^3), memory O(r^2).

    Raises ValueError unless steps is at least 0.
    Source: Razavi et al. 2014, as in Xiong et al. 2021, equation 11.

    >>> a = torch.tensor([[2.0, 1.0], [1.0, 1.0]])
    >>> iterative_inverse(a, steps=9).round(decimals=2).tolist()
    [[1.0, -1.0], [-1.0, 2.0]]
    """
    if steps < 0:
        raise ValueError(f"steps must be at least 0: got steps={steps}")
    wide = a.to(accumulation_dtype(a.dtype))
    z = _first_inverse(wide)
    eye = torch.eye(a.shape[-1], dtype=wide.dtype, device=a.device)
    for _ in range(steps):
        az = wide @ z
        z = z @ (13 * eye - az @ (15 * eye - az @ (7 * eye - az))) / 4
    return z.to(a.dtype)


def _first_inverse(a: Tensor) -> Tensor:
    """Z_0 = a^T / (|a|_1 |a|_inf), the largest column sum times the largest row sum."""
    size = a.abs()
    norms = size.sum(dim=-2).amax(dim=-1) * size.sum(dim=-1).amax(dim=-1)
    return a.mT / norms.masked_fill(norms == 0, 1.0)[..., None, None]
