"""The layers equal PyTorch's with the same weights, and see what they should."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from attncourse.mechanisms.layers import (
    FORMS,
    decoder_layer,
    encoder_layer,
    feed_forward,
    layer_norm,
)
from attncourse.testing import assert_same, gaussian, gradients, random_mask

N, M, D, FF, H = 5, 7, 12, 20, 3
PROJECTIONS = ("w_q", "w_k", "w_v", "w_o")
every_form = pytest.mark.parametrize("form", FORMS)


def parameters(prefixes, norms):
    shapes = {f"{prefix}{name}": (D, D) for prefix in prefixes for name in PROJECTIONS}
    shapes |= {f"{kind}_{i + 1}": (D,) for i in range(norms) for kind in ("gain", "bias")}
    shapes |= {"w_1": (D, FF), "b_1": (FF,), "w_2": (FF, D), "b_2": (D,)}
    return {n: gaussian(*s, std=0.5, seed=i) for i, (n, s) in enumerate(shapes.items())}


def fill(attention, params, prefix=""):
    w_q, w_k, w_v, w_o = (params[prefix + name].mT for name in PROJECTIONS)
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


OPTIONS = {"dropout": 0.0, "batch_first": True, "norm_first": True, "dtype": torch.float64}


@torch.no_grad()
def torch_encoder(params):
    module = nn.TransformerEncoderLayer(D, H, FF, **OPTIONS)
    fill(module.self_attn, params)
    fill_the_rest(module, params, 2)
    return module


@torch.no_grad()
def torch_decoder(params):
    module = nn.TransformerDecoderLayer(D, H, FF, **OPTIONS)
    fill(module.self_attn, params, "self_")
    fill(module.multihead_attn, params, "cross_")
    fill_the_rest(module, params, 3)
    return module


def test_the_encoder_layer_equals_pytorchs():
    params, x, keep = parameters([""], 2), gaussian(2, N, D), random_mask(N, N)
    module = torch_encoder(params)
    assert_same(encoder_layer(x, params, h=H), module(x))
    assert_same(encoder_layer(x, params, h=H, mask=keep), module(x, src_mask=~keep))


def test_the_decoder_layer_equals_pytorchs():
    params = parameters(["self_", "cross_"], 3)
    x, memory, keep = gaussian(2, N, D), gaussian(2, M, D, seed=1), random_mask(N, M)
    module = torch_decoder(params)
    future = torch.ones(N, N, dtype=torch.bool).triu(1)
    assert_same(decoder_layer(x, memory, params, h=H), module(x, memory, future))
    masked = module(x, memory, future, memory_mask=~keep)
    assert_same(decoder_layer(x, memory, params, h=H, memory_mask=keep), masked)


def test_the_decoder_layer_sees_no_future_and_all_of_the_memory():
    params = parameters(["self_", "cross_"], 3)
    x, memory = gaussian(N, D), gaussian(M, D, seed=1)
    before = decoder_layer(x, memory, params, h=H)
    changed = torch.cat([x[:3], gaussian(N - 3, D, seed=9)])
    assert torch.equal(decoder_layer(changed, memory, params, h=H)[:3], before[:3])
    memory[-1] += 1
    assert (decoder_layer(x, memory, params, h=H) != before).any(dim=-1).all()


def test_a_padded_batch_equals_its_rows():
    params, x = parameters([""], 2), gaussian(2, N, D)
    keep = (torch.arange(N) < torch.tensor([3, N])[:, None])[:, None, None, :]
    batch = encoder_layer(x, params, h=H, mask=keep)
    assert_same(batch[0, :3], encoder_layer(x[0, :3], params, h=H))
    assert_same(batch[1], encoder_layer(x[1], params, h=H))


@every_form
def test_layer_norm_equals_pytorchs_in_value_and_gradient(form):
    inputs = gaussian(2, N, D), gaussian(D, seed=1), gaussian(D, seed=2)

    def theirs(x, gain, bias, *, eps=1e-5):
        return functional.layer_norm(x, (D,), gain, bias, eps)

    for eps in (1e-5, 0.1):
        assert_same(form(*inputs, eps=eps), theirs(*inputs, eps=eps))
        assert_same(gradients(form, *inputs, eps=eps), gradients(theirs, *inputs, eps=eps))


def test_layer_norm_keeps_half_precision_and_sums_wide():
    x, gain, bias = (t.bfloat16() for t in (gaussian(N, D), gaussian(D), gaussian(D, seed=1)))
    exact = layer_norm(x.double(), gain.double(), bias.double())
    ours = layer_norm(x, gain, bias)
    assert ours.dtype == torch.bfloat16
    assert (ours - exact).abs().max() <= 2 * (exact.bfloat16() - exact).abs().max()


def test_feed_forward_acts_on_each_token_alone():
    params, x = parameters([""], 2), gaussian(2, N, D)
    weights = [params[name] for name in ("w_1", "b_1", "w_2", "b_2")]
    whole = feed_forward(x, *weights)
    w_1, b_1, w_2, b_2 = weights
    assert_same(whole, functional.linear(functional.linear(x, w_1.mT, b_1).relu(), w_2.mT, b_2))
    assert_same(torch.stack([feed_forward(x[:, i], *weights) for i in range(N)], dim=1), whole)


def test_layers_run_on_meta():
    params = {name: x.to("meta") for name, x in parameters(["self_", "cross_"], 3).items()}
    x, memory = (gaussian(2, n, D).to("meta") for n in (N, M))
    assert decoder_layer(x, memory, params, h=H).shape == (2, N, D)


def test_a_missing_parameter_is_named():
    params = parameters([""], 2)
    del params["gain_2"]
    with pytest.raises(ValueError, match="^params must hold 12 tensors: got none for gain_2$"):
        encoder_layer(gaussian(N, D), params, h=H)
    with pytest.raises(ValueError, match="got none for self_w_q, self_w_k, "):
        decoder_layer(gaussian(N, D), gaussian(M, D), params, h=H)


def test_a_parameter_of_the_wrong_shape_is_named():
    params = parameters([""], 2) | {"w_k": gaussian(D, D + 3)}
    with pytest.raises(ValueError, match="^w_q and w_k must share d_q"):
        encoder_layer(gaussian(N, D), params, h=H)
