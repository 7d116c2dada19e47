"""Transformer layers, and layers that share: how the tests of bad input are to call them."""

from attncourse.mechanisms.dense import layer_parts, layers
from attncourse.mechanisms.sharing import cross_layer
from attncourse.testing import gaussian

D, D_Y, FF, H = 6, 17, 10, 2  # the sizes of d and d_y in tests/core/test_bad_input.py


def layer(*attentions, norms, d=D, d_ff=FF, memory=D, seed=0):
    """Random parameters of one layer; cross-attention reads a memory of that width."""
    shapes = {f"{prefix}{name}": (d, d) for prefix in attentions for name in ("w_q", "w_o")}
    widths = {prefix: memory if prefix == "cross_" else d for prefix in attentions}
    shapes |= {f"{p}{name}": (width, d) for p, width in widths.items() for name in ("w_k", "w_v")}
    shapes |= {f"{kind}_{i + 1}": (d,) for i in range(norms) for kind in ("gain", "bias")}
    shapes |= {"w_1": (d, d_ff), "b_1": (d_ff,), "w_2": (d_ff, d), "b_2": (d,)}
    return {n: gaussian(*s, std=0.5, seed=seed + i) for i, (n, s) in enumerate(shapes.items())}


ENCODER = layer("", norms=2)
DECODER = layer("self_", "cross_", norms=3, memory=D_Y)
SHARED = {"layers": [ENCODER, layer("", norms=2, seed=50)], "group": 2, "h": H}

MECHANISMS = {}
OPTIONS = {
    layers.encoder_layer: {"params": ENCODER, "h": H},
    layers.encoder_layer_by_definition: {"params": ENCODER, "h": H},
    layers.post_norm_encoder_layer: {"params": ENCODER, "h": H},
    layers.decoder_layer: {"params": DECODER, "h": H},
    layers.post_norm_decoder_layer: {"params": DECODER, "h": H},
    cross_layer.shared_layers: {"params": ENCODER, "depth": 2, "h": H},
    cross_layer.shared_key_value_layers: SHARED,
    cross_layer.shared_key_value_layers_by_definition: SHARED,
    cross_layer.shared_weights_layers: SHARED,
    cross_layer.shared_weights_layers_by_definition: SHARED,
}
# the parts of layers, which the tests of layers run through
ELSEWHERE = (
    layer_parts.attend,
    layer_parts.check_params,
    layer_parts.feed,
    layer_parts.layer_names,
    layer_parts.norm,
    layer_parts.post_norm,
    layer_parts.pre_norm,
    layer_parts.residual,
)
