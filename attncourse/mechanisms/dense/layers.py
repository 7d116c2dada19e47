"""Transformer layers as pure functions: pre-norm and post-norm, encoder and decoder."""

from collections.abc import Mapping

from jaxtyping import Bool, Float
from torch import Tensor

from attncourse.core.masks import causal_mask
from attncourse.core.shapes import checked
from attncourse.mechanisms.dense.feed_forward import feed_forward_by_definition
from attncourse.mechanisms.dense.heads import multi_head_attention_by_definition
from attncourse.mechanisms.dense.layer_parts import (
    attend,
    check_params,
    feed,
    layer_names,
    norm,
    residual,
)
from attncourse.mechanisms.dense.norms import layer_norm_by_definition


@checked
def encoder_layer_by_definition(
    x: Float[Tensor, "... n d"],
    params: Mapping[str, Tensor],
    *,
    h: int,
    mask: Bool[Tensor, "..."] | None = None,
) -> Float[Tensor, "... n d"]:
    """The pre-norm encoder layer, made of the definitions of its parts."""
    p = check_params(params, *layer_names("", norms=2))
    y = layer_norm_by_definition(x, p["gain_1"], p["bias_1"])
    projections = p["w_q"], p["w_k"], p["w_v"], p["w_o"]
    x = x + multi_head_attention_by_definition(y, y, *projections, h=h, mask=mask)
    y = layer_norm_by_definition(x, p["gain_2"], p["bias_2"])
    return x + feed_forward_by_definition(y, p["w_1"], p["b_1"], p["w_2"], p["b_2"])


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

    >>> names = "w_q w_k w_v w_o w_1 w_2".split(), "gain_1 bias_1 gain_2 bias_2 b_1 b_2".split()
    >>> params = dict.fromkeys(names[0], torch.zeros(2, 2)) | dict.fromkeys(names[1], torch.ones(2))
    >>> encoder_layer(torch.tensor([[3.0, 5.0]]), params, h=1).tolist()  # only b_2 is added
    [[4.0, 6.0]]
    """
    check_params(params, *layer_names("", norms=2))
    y = norm(x, params, 1)
    x = residual(x, attend(y, y, params, h=h, mask=mask))
    return residual(x, feed(norm(x, params, 2), params))


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

    >>> ws = [f"{a}_w_{b}" for a in ("self", "cross") for b in "qkvo"] + ["w_1", "w_2"]
    >>> vectors = [f"{kind}_{i}" for kind in ("gain", "bias") for i in (1, 2, 3)] + ["b_1", "b_2"]
    >>> params = dict.fromkeys(ws, torch.zeros(2, 2)) | dict.fromkeys(vectors, torch.ones(2))
    >>> decoder_layer(torch.tensor([[3.0, 5.0]]), torch.zeros(4, 2), params, h=1).tolist()
    [[4.0, 6.0]]
    """
    check_params(params, *layer_names("self_", "cross_", norms=3))
    y = norm(x, params, 1)
    causal = causal_mask(x.shape[-2], x.shape[-2]).to(x.device)
    x = residual(x, attend(y, y, params, "self_", h=h, mask=causal))
    y = norm(x, params, 2)
    x = residual(x, attend(y, memory, params, "cross_", h=h, mask=memory_mask))
    return residual(x, feed(norm(x, params, 3), params))


@checked
def post_norm_encoder_layer(
    x: Float[Tensor, "... n d"],
    params: Mapping[str, Tensor],
    *,
    h: int,
    mask: Bool[Tensor, "..."] | None = None,
) -> Float[Tensor, "... n d"]:
    """A post-norm encoder layer: y = LN(x + MHA(x)), then LN(y + FFN(y)).

    The order of the original Transformer and of BERT; params and mask as in `encoder_layer`.

    Raises ValueError for missing parameters and where shapes do not fit.
    Source: Vaswani et al. 2017, section 3.1.

    >>> names = "w_q w_k w_v w_o w_1 w_2".split(), "gain_1 bias_1 gain_2 bias_2 b_1 b_2".split()
    >>> params = dict.fromkeys(names[0], torch.zeros(2, 2)) | dict.fromkeys(names[1], torch.ones(2))
    >>> post_norm_encoder_layer(torch.tensor([[3.0, 5.0]]), params, h=1).round().tolist()
    [[0.0, 2.0]]
    """
    check_params(params, *layer_names("", norms=2))
    x = norm(residual(x, attend(x, x, params, h=h, mask=mask)), params, 1)
    return norm(residual(x, feed(x, params)), params, 2)


@checked
def post_norm_decoder_layer(
    x: Float[Tensor, "... n d"],
    memory: Float[Tensor, "... m d_y"],
    params: Mapping[str, Tensor],
    *,
    h: int,
    memory_mask: Bool[Tensor, "..."] | None = None,
) -> Float[Tensor, "... n d"]:
    """A post-norm decoder layer: each of its three parts is added to its input, then normalised.

    The order of the original Transformer; params and memory_mask as in `decoder_layer`.

    Raises ValueError for missing parameters and where shapes do not fit.
    Source: Vaswani et al. 2017, section 3.1.

    >>> ws = [f"{a}_w_{b}" for a in ("self", "cross") for b in "qkvo"] + ["w_1", "w_2"]
    >>> vectors = [f"{kind}_{i}" for kind in ("gain", "bias") for i in (1, 2, 3)] + ["b_1", "b_2"]
    >>> params = dict.fromkeys(ws, torch.zeros(2, 2)) | dict.fromkeys(vectors, torch.ones(2))
    >>> x, memory = torch.tensor([[3.0, 5.0]]), torch.zeros(4, 2)
    >>> post_norm_decoder_layer(x, memory, params, h=1).round().tolist()
    [[0.0, 2.0]]
    """
    check_params(params, *layer_names("self_", "cross_", norms=3))
    causal = causal_mask(x.shape[-2], x.shape[-2]).to(x.device)
    x = norm(residual(x, attend(x, x, params, "self_", h=h, mask=causal)), params, 1)
    y = attend(x, memory, params, "cross_", h=h, mask=memory_mask)
    x = norm(residual(x, y), params, 2)
    return norm(residual(x, feed(x, params)), params, 3)
