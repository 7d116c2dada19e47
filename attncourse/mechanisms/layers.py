"""The parts of a Transformer block as pure functions, and the pre-norm layers made of them."""

from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from attncourse.core.dtypes import accumulation_dtype
from attncourse.core.masks import causal_mask
from attncourse.core.shapes import checked
from attncourse.mechanisms.heads import multi_head_attention

_FEED_FORWARD = ("w_1", "b_1", "w_2", "b_2")
_PROJECTIONS = ("w_q", "w_k", "w_v", "w_o")


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

    The variance is the biased one, the mean of squares. Half-precision input is normalised in
    float32. Time O(d) a token. Source: Ba, Kiros, Hinton 2016, section 3.
    """
    wide = x.to(accumulation_dtype(x.dtype))
    centred = wide - wide.mean(dim=-1, keepdim=True)
    variance = centred.square().mean(dim=-1, keepdim=True)
    normal = centred * (variance + eps).rsqrt()
    return (normal * gain.to(wide.dtype) + bias.to(wide.dtype)).to(x.dtype)


@checked
def feed_forward(
    x: Float[Tensor, "... d_x"],
    w_1: Float[Tensor, "d_x d_ff"],
    b_1: Float[Tensor, " d_ff"],
    w_2: Float[Tensor, "d_ff d_x"],
    b_2: Float[Tensor, " d_x"],
) -> Float[Tensor, "... d_x"]:
    """The position-wise network max(0, x W_1 + b_1) W_2 + b_2, the same for every token.

    Half-precision input is accumulated in float32. Time O(d_x d_ff) a token.
    Source: Vaswani et al. 2017, section 3.3, equation 2.
    """
    wide = accumulation_dtype(x.dtype)
    hidden = (x.to(wide) @ w_1.to(wide) + b_1.to(wide)).relu()
    return (hidden @ w_2.to(wide) + b_2.to(wide)).to(x.dtype)


@checked
def encoder_layer(
    x: Float[Tensor, "... n d"],
    params: Mapping[str, Tensor],
    *,
    h: int,
    mask: Bool[Tensor, "..."] | None = None,
) -> Float[Tensor, "... n d"]:
    """A pre-norm encoder layer: x + MHA(LN(x)), then y + FFN(LN(y)).

    params: w_q w_k w_v w_o, gain_1 bias_1 gain_2 bias_2, w_1 b_1 w_2 b_2. mask broadcasts against
    the scores (..., h, n, n), True where a query may attend.

    Raises ValueError for missing parameters and where shapes do not fit.
    Source: Vaswani et al. 2017, section 3.1; pre-norm: Xiong et al. 2020.
    """
    _check_params(params, *_PROJECTIONS, *_norms(2), *_FEED_FORWARD)
    y = layer_norm(x, params["gain_1"], params["bias_1"])
    weights = [params[name] for name in _PROJECTIONS]
    x = x + multi_head_attention(y, y, *weights, h=h, mask=mask)
    return _add_feed_forward(x, params, 2)


@checked
def decoder_layer(
    x: Float[Tensor, "... n d"],
    memory: Float[Tensor, "... m d_y"],
    params: Mapping[str, Tensor],
    *,
    h: int,
    memory_mask: Bool[Tensor, "..."] | None = None,
) -> Float[Tensor, "... n d"]:
    """A pre-norm decoder layer: causal self-attention, cross-attention to memory, feed-forward.

    params: self_w_q ... self_w_o, cross_w_q ... cross_w_o, gain_i bias_i for i = 1 to 3, w_1 b_1
    w_2 b_2. memory is not normalised here (its encoder has done so). memory_mask broadcasts
    against the cross scores (..., h, n, m), True where a query may attend.

    Raises ValueError for missing parameters and where shapes do not fit.
    Source: Vaswani et al. 2017, section 3.1; pre-norm: Xiong et al. 2020.
    """
    own = [f"self_{name}" for name in _PROJECTIONS]
    cross = [f"cross_{name}" for name in _PROJECTIONS]
    _check_params(params, *own, *cross, *_norms(3), *_FEED_FORWARD)
    n = x.shape[-2]
    y = layer_norm(x, params["gain_1"], params["bias_1"])
    causal = causal_mask(n, n).to(x.device)
    x = x + multi_head_attention(y, y, *(params[name] for name in own), h=h, mask=causal)
    y = layer_norm(x, params["gain_2"], params["bias_2"])
    weights = [params[name] for name in cross]
    x = x + multi_head_attention(y, memory, *weights, h=h, mask=memory_mask)
    return _add_feed_forward(x, params, 3)


def _add_feed_forward(x: Tensor, params: Mapping[str, Tensor], norm: int) -> Tensor:
    """X + FFN(LN(x)), the last part of either layer."""
    y = layer_norm(x, params[f"gain_{norm}"], params[f"bias_{norm}"])
    return x + feed_forward(y, *(params[name] for name in _FEED_FORWARD))


def _norms(count: int) -> list[str]:
    return [f"{kind}_{i}" for i in range(1, count + 1) for kind in ("gain", "bias")]


def _check_params(params: Mapping[str, Tensor], *names: str) -> None:
    missing = [name for name in names if name not in params]
    if missing:
        raise ValueError(
            f"params must hold {len(names)} tensors: got none for {', '.join(missing)}"
        )


FORMS = (layer_norm_by_definition, layer_norm)
