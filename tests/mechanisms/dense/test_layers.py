"""The layers equal PyTorch's with the same weights, and see what they should."""

import pytest
import torch
from torch import nn

from attncourse.mechanisms.dense.layer_parts import check_params
from attncourse.mechanisms.dense.layers import (
    decoder_layer,
    encoder_layer,
    encoder_layer_by_definition,
    post_norm_decoder_layer,
    post_norm_encoder_layer,
)
from attncourse.testing import assert_same, gaussian, gradients, random_mask
from rows.layers import layer

N, M, D, FF, H = 5, 7, 12, 20, 3
ENCODER = layer("", norms=2, d=D, d_ff=FF)
DECODER = layer("self_", "cross_", norms=3, d=D, d_ff=FF, memory=D)
encoders = pytest.mark.parametrize(
    ("ours", "norm_first"),
    [(encoder_layer_by_definition, True), (encoder_layer, True), (post_norm_encoder_layer, False)],
)
decoders = pytest.mark.parametrize(
    ("ours", "norm_first"), [(decoder_layer, True), (post_norm_decoder_layer, False)]
)


def fill(attention, params, prefix=""):
    w_q, w_k, w_v, w_o = (params[prefix + name].mT for name in ("w_q", "w_k", "w_v", "w_o"))
    attention.in_proj_weight.copy_(torch.cat([w_q, w_k, w_v]))
    attention.out_proj.weight.copy_(w_o)
    attention.in_proj_bias.zero_()
    attention.out_proj.bias.zero_()


def fill_the_rest(module, params, norms):
    for linear, i in ((module.linear1, 1), (module.linear2, 2)):
        linear.weight.copy_(params[f"w_{i}"].mT)
        linear.bias.copy_(params[f"b_{i}"])
    for i in range(1, norms + 1):
        norm = getattr(module, f"norm{i}")
        norm.weight.copy_(params[f"gain_{i}"])
        norm.bias.copy_(params[f"bias_{i}"])


OPTIONS = {"dropout": 0.0, "batch_first": True, "dtype": torch.float64}


@torch.no_grad()
def torch_encoder(norm_first):
    module = nn.TransformerEncoderLayer(D, H, FF, norm_first=norm_first, **OPTIONS)
    fill(module.self_attn, ENCODER)
    fill_the_rest(module, ENCODER, 2)
    return module


@torch.no_grad()
def torch_decoder(norm_first):
    module = nn.TransformerDecoderLayer(D, H, FF, norm_first=norm_first, **OPTIONS)
    fill(module.self_attn, DECODER, "self_")
    fill(module.multihead_attn, DECODER, "cross_")
    fill_the_rest(module, DECODER, 3)
    return module


@encoders
def test_an_encoder_layer_equals_pytorchs(ours, norm_first):
    x, keep, module = gaussian(2, N, D), random_mask(N, N), torch_encoder(norm_first)
    assert_same(ours(x, ENCODER, h=H), module(x))
    assert_same(ours(x, ENCODER, h=H, mask=keep), module(x, src_mask=~keep))


@decoders
def test_a_decoder_layer_equals_pytorchs(ours, norm_first):
    x, memory, keep = gaussian(2, N, D), gaussian(2, M, D, seed=1), random_mask(N, M)
    module, future = torch_decoder(norm_first), torch.ones(N, N, dtype=torch.bool).triu(1)
    assert_same(ours(x, memory, DECODER, h=H), module(x, memory, future))
    masked = module(x, memory, future, memory_mask=~keep)
    assert_same(ours(x, memory, DECODER, h=H, memory_mask=keep), masked)


@encoders
def test_so_do_the_gradients_of_an_encoder_layer(ours, norm_first):
    x, keep, module = gaussian(2, N, D), random_mask(N, N), torch_encoder(norm_first)

    def with_parameters(x, *values):
        return ours(x, dict(zip(ENCODER, values, strict=True)), h=H, mask=keep)

    found = gradients(with_parameters, x, *ENCODER.values())
    assert_same(found[0], *gradients(lambda x: module(x, src_mask=~keep), x))
    named = dict(zip(ENCODER, found[1:], strict=True))
    compare_parameters(named, module, module(x, src_mask=~keep), {"self_attn": ""}, norms=2)


@decoders
def test_so_do_the_gradients_of_a_decoder_layer(ours, norm_first):
    x, memory, module = gaussian(2, N, D), gaussian(2, M, D, seed=1), torch_decoder(norm_first)
    future = torch.ones(N, N, dtype=torch.bool).triu(1)

    def with_parameters(x, memory, *values):
        return ours(x, memory, dict(zip(DECODER, values, strict=True)), h=H)

    found = gradients(with_parameters, x, memory, *DECODER.values())
    assert_same(found[:2], gradients(lambda x, y: module(x, y, future), x, memory))
    named = dict(zip(DECODER, found[2:], strict=True))
    prefixes = {"self_attn": "self_", "multihead_attn": "cross_"}
    compare_parameters(named, module, module(x, memory, future), prefixes, norms=3)


def compare_parameters(found, module, out, attentions, norms):
    """Our gradients by name against those of a PyTorch layer, from the same cotangent."""
    (out * gaussian(*out.shape, std=1.0, seed=77)).sum().backward()
    for name, prefix in attentions.items():
        attention = getattr(module, name)
        stacked = [found[prefix + projection].mT for projection in ("w_q", "w_k", "w_v")]
        assert_same(torch.cat(stacked), attention.in_proj_weight.grad)
        assert_same(found[prefix + "w_o"].mT, attention.out_proj.weight.grad)
    for i, linear in enumerate((module.linear1, module.linear2), 1):
        assert_same(found[f"w_{i}"].mT, linear.weight.grad)
        assert_same(found[f"b_{i}"], linear.bias.grad)
    for i in range(1, norms + 1):
        norm = getattr(module, f"norm{i}")
        assert_same(found[f"gain_{i}"], norm.weight.grad)
        assert_same(found[f"bias_{i}"], norm.bias.grad)


@pytest.mark.parametrize("ours", [decoder_layer, post_norm_decoder_layer])
def test_a_decoder_layer_sees_no_future_and_all_of_the_memory(ours):
    x, memory = gaussian(N, D), gaussian(M, D, seed=1)
    before = ours(x, memory, DECODER, h=H)
    changed = torch.cat([x[:3], gaussian(N - 3, D, seed=9)])
    assert torch.equal(ours(changed, memory, DECODER, h=H)[:3], before[:3])
    memory[-1] += 1
    assert (ours(x, memory, DECODER, h=H) != before).any(dim=-1).all()


@pytest.mark.parametrize("ours", [encoder_layer, post_norm_encoder_layer])
def test_a_padded_batch_equals_its_rows(ours):
    x = gaussian(2, N, D)
    keep = (torch.arange(N) < torch.tensor([3, N])[:, None])[:, None, None, :]
    batch = ours(x, ENCODER, h=H, mask=keep)
    assert_same(batch[0, :3], ours(x[0, :3], ENCODER, h=H))
    assert_same(batch[1], ours(x[1], ENCODER, h=H))


def test_post_norm_tokens_are_normal_and_pre_norm_tokens_grow():
    params = ENCODER | {f"gain_{i}": torch.ones(D).double() for i in (1, 2)}
    params |= {f"bias_{i}": torch.zeros(D).double() for i in (1, 2)}
    x = gaussian(N, D)
    for _ in range(4):
        x = post_norm_encoder_layer(x, params, h=H)
    assert x.square().mean(dim=-1).sub(1).abs().max() < 1e-3
    y = gaussian(N, D)
    for _ in range(4):
        y = encoder_layer(y, params, h=H)
    assert y.square().mean() > gaussian(N, D).square().mean()


@pytest.mark.parametrize("ours", [decoder_layer, post_norm_decoder_layer])
def test_layers_run_on_meta_and_in_half_precision(ours):
    params = {name: x.to("meta") for name, x in DECODER.items()}
    x, memory = gaussian(2, N, D), gaussian(2, M, D, seed=1)
    assert ours(x.to("meta"), memory.to("meta"), params, h=H).shape == (2, N, D)
    half = {name: y.bfloat16() for name, y in DECODER.items()}
    out = ours(x.bfloat16(), memory.bfloat16(), half, h=H)
    exact = ours(x, memory, DECODER, h=H)
    assert out.dtype == torch.bfloat16
    assert (out - exact).norm() <= 0.02 * exact.norm()


def test_a_missing_parameter_is_named():
    params = {name: x for name, x in ENCODER.items() if name != "gain_2"}
    for ours in (encoder_layer, post_norm_encoder_layer, encoder_layer_by_definition):
        with pytest.raises(ValueError, match="^params must hold 12 tensors: got none for gain_2$"):
            ours(gaussian(N, D), params, h=H)
    for ours in (decoder_layer, post_norm_decoder_layer):
        with pytest.raises(ValueError, match="got none for self_w_q, self_w_k, "):
            ours(gaussian(N, D), gaussian(M, D), params, h=H)


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("w_k", (D, D + 3), "^w_q and w_k must share d_q"),
        ("w_o", (D, 1), "^x and update must share d, their last axis: got d=12 for x"),
        ("w_1", (D + 1, FF), "^x and w_1 must share d_x"),
    ],
)
def test_a_parameter_of_the_wrong_shape_is_named(name, shape, message):
    for ours in (encoder_layer, post_norm_encoder_layer):
        with pytest.raises(ValueError, match=message):
            ours(gaussian(N, D), ENCODER | {name: gaussian(*shape)}, h=H)


def test_a_parameter_that_is_no_tensor_is_named():
    with pytest.raises(TypeError, match=r"^w_v must be a torch.Tensor: got None$"):
        encoder_layer(gaussian(N, D), ENCODER | {"w_v": None}, h=H)


def test_parameters_that_are_no_mapping_get_one_sentence():
    with pytest.raises(TypeError, match="^params must map names to tensors: got list$"):
        check_params([gaussian(D, D)], "w_q")
