"""Eight bits for a number: symmetric quantisation of activations, weights and the KV cache."""

import math

import torch
from jaxtyping import Float, Integer
from torch import Tensor

from attncourse.core.dtypes import accumulation_dtype
from attncourse.core.numbers import holds_numbers
from attncourse.core.shapes import checked
from attncourse.mechanisms.dense.softmax import attention

Quantized = tuple[Tensor, Tensor]  # whole numbers and their scale

LARGEST = 127  # -128 is left out, so that x and -x have the same size
TILE = 512  # keys that are turned into floats at once


@checked
def quantize_int8(
    x: Float[Tensor, "... d"],
) -> tuple[Integer[Tensor, "... d"], Float[Tensor, "... 1"]]:
    """Each row as whole numbers from -127 to 127 and one scale: x ~ values * scale.

    scale = max_j |x_j| / 127 (1 for a row of zeros), values = round(x / scale), ties to even. So
    |x - values scale| <= scale / 2, up to rounding in the dtype of x. A row takes d bytes and a
    scale. A scale below the smallest normal number is raised to it, and none is so large that the
    numbers come back infinite. Time O(n d).

    Raises ValueError unless x is finite. Source: Dettmers et al. 2022, section 2.1 (absmax
    quantisation, row-wise).

    >>> values, scale = quantize_int8(torch.tensor([254.0, -100.0, 3.0]))
    >>> values.tolist(), scale.tolist()
    ([127, -50, 2], [2.0])
    """
    wide = x.to(accumulation_dtype(x.dtype))
    largest = wide.abs().amax(dim=-1, keepdim=True)
    if holds_numbers(largest) and not bool(largest.isfinite().all()):
        raise ValueError("x must be finite: got a NaN or an infinity")
    scale = (largest / LARGEST).masked_fill(largest == 0, 1.0).to(x.dtype)
    scale = scale.clamp(torch.finfo(x.dtype).tiny, _largest_scale(x.dtype))
    values = (wide / scale.to(wide.dtype)).round().clamp(-LARGEST, LARGEST)
    return values.to(torch.int8), scale


def _largest_scale(dtype: torch.dtype) -> float:
    """The largest scale that brings no number out of the dtype: LARGEST times it is finite."""
    limit = torch.tensor(torch.finfo(dtype).max / LARGEST, dtype=dtype, device="cpu")
    over = limit.double() * LARGEST > torch.finfo(dtype).max
    return (torch.nextafter(limit, torch.zeros_like(limit)) if over else limit).item()


@checked
def dequantize(
    values: Integer[Tensor, "... d"], scale: Float[Tensor, "... #d"]
) -> Float[Tensor, "... d"]:
    """The numbers that quantised ones stand for: values * scale, in the dtype of scale.

    scale (..., 1) holds one number a row, (1, d) one a channel. Time O(n d).

    >>> dequantize(torch.tensor([127, -50, 2], dtype=torch.int8), torch.tensor([2.0])).tolist()
    [254.0, -100.0, 4.0]
    """
    wide = accumulation_dtype(scale.dtype)
    return (values.to(wide) * scale.to(wide)).to(scale.dtype)


@checked
def quantize_channels(
    x: Float[Tensor, "... n d"],
) -> tuple[Integer[Tensor, "... n d"], Float[Tensor, "... 1 d"]]:
    """`quantize_int8` of the columns: one scale for each channel, over the n rows.

    A channel that is large throughout, as some of keys are, then costs the others no precision.
    Raises ValueError unless x is finite. Source: Liu et al. 2024 (KIVI), section 3.

    >>> values, scale = quantize_channels(torch.tensor([[127.0, 1270.0], [0.0, -10.0]]))
    >>> values.tolist(), scale.tolist()
    ([[127, 127], [0, -1]], [[1.0, 10.0]])
    """
    values, scale = quantize_int8(x.mT)
    return values.mT, scale.mT


@checked
def quantized_linear(
    x: Float[Tensor, "... n d_x"],
    w: Quantized,
) -> Float[Tensor, "... n d"]:
    """Multiply by a matrix in eight bits, w = (values, scale): (x @ values) * scale.

    w = quantize_channels(matrix), of values (d_x, d) and a scale (1, d) for each column. The result
    is that with the dequantised matrix: scales of columns may be multiplied in afterwards. A
    quarter of the bytes of float32 are stored; the product itself is computed in float. Time
    O(n d_x d).

    Raises TypeError unless w is a pair of tensors, ValueError where shapes do not fit.
    Source: Dettmers et al. 2022, section 2.1.

    >>> w = quantize_channels(torch.tensor([[127.0, 0.0], [1.0, 254.0]]))
    >>> quantized_linear(torch.tensor([[1.0, 1.0]]), w).tolist()
    [[128.0, 254.0]]
    """
    values, scale = _pair("w", w)
    _check_matrix(x, values)
    _check_scale("w", scale, (1, values.shape[-1]))
    wide = accumulation_dtype(x.dtype)
    return (x.to(wide) @ values.to(wide) * scale.to(wide)).to(x.dtype)


@checked
def _check_matrix(x: Float[Tensor, "... n d_x"], w: Integer[Tensor, "d_x d"]) -> None:
    """Do shapes fit? `checked` says so."""


@checked
def quantized_attention_by_definition(
    q: Float[Tensor, "... n d"],
    k: Quantized,
    v: Quantized,
) -> Float[Tensor, "... n e"]:
    """Attention over the dequantised keys and values."""
    keys, values = (integers * scale for integers, scale in _cached(q, k, v))
    return attention(q, keys, values)


@checked
def quantized_attention(
    q: Float[Tensor, "... n d"],
    k: Quantized,
    v: Quantized,
) -> Float[Tensor, "... n e"]:
    """Attention over keys and values in eight bits: keys by channel, values by token.

    k = quantize_channels(keys), v = quantize_int8(values): pairs of integers (..., m, d) and
    (..., m, e) with scales (..., 1, d) and (..., m, 1). No scale touches a key or a value:
    q . (k s) = (q s) . k, so that those of channels go into the query, and those of tokens into
    the weights. Keys and values become floats in tiles, never as a whole. Half-precision input
    is accumulated in float32. Time O(n m (d + e)), memory O(n m); the cache takes m (d + e) bytes
    and m + d scales.

    Raises TypeError unless k and v are pairs of tensors, ValueError where shapes do not fit.
    Source: Liu et al. 2024 (KIVI), section 3 (keys by channel, values by token).

    >>> q, values = torch.eye(2), torch.tensor([[127.0], [254.0]])
    >>> quantized_attention(q, quantize_channels(127 * q), quantize_int8(values)).tolist()
    [[127.0], [254.0]]
    """
    (keys, k_scale), (values, v_scale) = _cached(q, k, v)
    wide = accumulation_dtype(q.dtype)
    queries = q.to(wide) * k_scale.to(wide) / math.sqrt(q.shape[-1])
    scores = torch.cat([queries @ x.to(wide).mT for x in torch.split(keys, TILE, dim=-2)], dim=-1)
    weights = torch.softmax(scores, dim=-1) * v_scale.to(wide).mT
    tiles = zip(torch.split(weights, TILE, dim=-1), torch.split(values, TILE, dim=-2), strict=True)
    return sum((w @ x.to(wide) for w, x in tiles), start=queries.new_zeros(())).to(q.dtype)


def _cached(q: Tensor, k: Quantized, v: Quantized) -> tuple[Quantized, Quantized]:
    """The quantised keys and values, after a look at all of their shapes."""
    (keys, k_scale), (values, v_scale) = _pair("k", k), _pair("v", v)
    _check_cached(q, keys, values)
    _check_scale("k", k_scale, (*keys.shape[:-2], 1, keys.shape[-1]))
    _check_scale("v", v_scale, (*values.shape[:-1], 1))
    return (keys, k_scale), (values, v_scale)


@checked
def _check_cached(
    q: Float[Tensor, "... n d"], k: Integer[Tensor, "... m d"], v: Integer[Tensor, "... m e"]
) -> None:
    """Do shapes fit? `checked` says so."""


def _pair(name: str, pair: Quantized) -> Quantized:
    if not (isinstance(pair, tuple | list) and len(pair) == 2):
        raise TypeError(f"{name} must be a pair (values, scale): got {type(pair).__name__}")
    return pair


def _check_scale(name: str, scale: Tensor, shape: tuple[int, ...]) -> None:
    if not (isinstance(scale, Tensor) and scale.is_floating_point()):
        kind = scale.dtype if isinstance(scale, Tensor) else type(scale).__name__
        raise TypeError(f"the scale of {name} must be floating point: got {kind}")
    if scale.shape != shape:
        raise ValueError(
            f"the scale of {name} must have the shape {shape}: got {tuple(scale.shape)}"
        )
