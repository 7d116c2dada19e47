"""Normalisation of each token over its features: layer norm, and the root-mean-square norm."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from attncourse.core.dtypes import accumulation_dtype
from attncourse.core.shapes import checked


@checked
def layer_norm_by_definition(
    x: Float[Tensor, "... d"],
    gain: Float[Tensor, " d"],
    bias: Float[Tensor, " d"],
    *,
    eps: float = 1e-5,
) -> Float[Tensor, "... d"]:
    """Gain (x - mean) / sqrt(var + eps) + bias, with mean and variance as sums over features."""
    d, features = x.shape[-1], x.unbind(-1)
    mean = sum(features, torch.zeros_like(features[0])) / d
    squares = ((feature - mean) ** 2 for feature in features)
    variance = sum(squares, torch.zeros_like(mean)) / d
    normal = [(feature - mean) / (variance + eps).sqrt() for feature in features]
    return torch.stack(normal, dim=-1) * gain + bias


@checked
def layer_norm(
    x: Float[Tensor, "... d"],
    gain: Float[Tensor, " d"],
    bias: Float[Tensor, " d"],
    *,
    eps: float = 1e-5,
) -> Float[Tensor, "... d"]:
    """Normalise each token over its features: gain (x - mean) / sqrt(var + eps) + bias.

    The variance is the biased one, the mean of squares. Tokens of any size are safe: those whose
    squares would overflow are scaled first. Half-precision input is normalised in float32. Time
    O(d) a token.

    Raises ValueError where shapes do not fit or eps is negative.
    Source: Ba, Kiros, Hinton 2016, section 3.

    >>> layer_norm(torch.tensor([[1.0, 3.0]]), torch.ones(2), torch.zeros(2), eps=0.0).tolist()
    [[-1.0, 1.0]]
    """
    _check_eps(eps)
    wide, small = _in_units(x.to(accumulation_dtype(x.dtype)), eps)
    centred = wide - wide.mean(dim=-1, keepdim=True)
    variance = centred.square().mean(dim=-1, keepdim=True)
    normal = centred * (variance + small).rsqrt()
    return (normal * gain.to(wide.dtype) + bias.to(wide.dtype)).to(x.dtype)


@checked
def rms_norm_by_definition(
    x: Float[Tensor, "... d"], gain: Float[Tensor, " d"], *, eps: float = 1e-6
) -> Float[Tensor, "... d"]:
    """Gain x / sqrt(mean of squares + eps), with the mean as a sum over features."""
    d, features = x.shape[-1], x.unbind(-1)
    squares = sum((feature**2 for feature in features), torch.zeros_like(features[0]))
    normal = [feature / (squares / d + eps).sqrt() for feature in features]
    return torch.stack(normal, dim=-1) * gain


@checked
def rms_norm(
    x: Float[Tensor, "... d"], gain: Float[Tensor, " d"], *, eps: float = 1e-6
) -> Float[Tensor, "... d"]:
    """Scale each token by the root mean square of its features: gain x / sqrt(mean x^2 + eps).

    Layer norm without the mean and without a bias. Tokens of any size are safe, as there.
    Half-precision input is normalised in float32. Time O(d) a token.

    Raises ValueError where shapes do not fit or eps is negative.
    Source: Zhang and Sennrich 2019, equation 4; T5 and Llama use it.

    >>> rms_norm(torch.tensor([[4.0, -4.0]]), torch.tensor([1.0, 10.0]), eps=0.0).tolist()
    [[1.0, -10.0]]
    """
    _check_eps(eps)
    wide, small = _in_units(x.to(accumulation_dtype(x.dtype)), eps)
    normal = wide * (wide.square().mean(dim=-1, keepdim=True) + small).rsqrt()
    return (normal * gain.to(wide.dtype)).to(x.dtype)


def _in_units(x: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """The tokens times a unit each, whose squares then fit the dtype; and eps in it (..., 1).

    A unit is a power of two, so that nothing is rounded, and 1 for all but huge tokens, and for
    tiny ones where no eps outweighs them.
    """
    bits = int(math.log2(torch.finfo(x.dtype).max))  # squares of numbers with half of them overflow
    size = x.detach().abs().amax(dim=-1, keepdim=True)
    huge, tiny = size > 2.0 ** (bits // 3), size < 2.0 ** -(bits // 3)
    unit = torch.ones_like(size).masked_fill(huge, 2.0 ** -(bits // 2 + 20))
    if eps == 0:
        unit = unit.masked_fill(tiny, 2.0 ** (bits // 2 + bits // 5))
    smallest = torch.finfo(x.dtype).tiny if eps > 0 else 0.0  # no 0 / 0 for equal features
    return x * unit, (unit * eps * unit).clamp(min=smallest)


def _check_eps(eps: float) -> None:
    if not eps >= 0:
        raise ValueError(f"eps must be at least 0: got eps={eps}")
