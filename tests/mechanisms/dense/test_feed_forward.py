"""The position-wise networks equal those of BERT and Llama, and see one token at a time."""

import math

import pytest
import torch
from transformers import BertConfig, LlamaConfig
from transformers.models.bert.modeling_bert import BertIntermediate
from transformers.models.llama.modeling_llama import LlamaMLP

from attncourse.measure.cost import flops
from attncourse.mechanisms.dense.feed_forward import feed_forward, gelu_feed_forward, swiglu
from attncourse.testing import assert_same, gaussian, gradients

N, D, FF = 5, 12, 20
BIASED = (D, FF), (FF,), (FF, D), (D,)
GATED = (D, FF), (D, FF), (FF, D)
networks = pytest.mark.parametrize(
    ("network", "shapes"), [(feed_forward, BIASED), (gelu_feed_forward, BIASED), (swiglu, GATED)]
)


def weights(shapes):
    return [gaussian(*shape, std=0.5, seed=i + 1) for i, shape in enumerate(shapes)]


@networks
def test_each_token_is_mapped_alone(network, shapes):
    x, given = gaussian(2, N, D), weights(shapes)
    whole = network(x, *given)
    assert_same(torch.stack([network(x[:, i], *given) for i in range(N)], dim=1), whole)
    order = torch.tensor([3, 0, 4, 1, 2])
    assert_same(network(x[:, order], *given), whole[:, order])


@networks
def test_flops_are_two_for_each_weight_and_token(network, shapes):
    matrices = sum(math.prod(shape) for shape in shapes if len(shape) == 2)
    for n in (8, 16):
        assert flops(network, gaussian(n, D), *weights(shapes)) == 2 * n * matrices


def test_gelu_is_that_of_bert():
    config = BertConfig(hidden_size=D, intermediate_size=FF, num_attention_heads=2)
    module = BertIntermediate(config).double()
    x, (w_1, b_1, w_2, b_2) = gaussian(2, N, D), weights(BIASED)
    module.dense.weight.data, module.dense.bias.data = w_1.mT, b_1

    def theirs(x):
        return module(x) @ w_2 + b_2

    def ours(x):
        return gelu_feed_forward(x, w_1, b_1, w_2, b_2)

    assert_same(ours(x), theirs(x))
    assert_same(gradients(ours, x), gradients(theirs, x))


def test_swiglu_is_that_of_llama():
    config = LlamaConfig(hidden_size=D, intermediate_size=FF, num_attention_heads=2)
    module = LlamaMLP(config).double()
    x, (gate, up, down) = gaussian(2, N, D), weights(GATED)
    module.gate_proj.weight.data, module.up_proj.weight.data = gate.mT, up.mT
    module.down_proj.weight.data = down.mT
    assert_same(swiglu(x, gate, up, down), module(x).detach())
    found = gradients(lambda x: swiglu(x, gate, up, down), x)
    assert_same(found, gradients(module, x))


@pytest.mark.parametrize("at", [-40.0, -10.0, -0.5, 0.0, 0.5, 40.0])
def test_gelu_is_u_times_the_normal_distribution(at):
    one, zero = torch.ones(1, 1).double(), torch.zeros(1).double()
    found = gelu_feed_forward(torch.full((1, 1), at).double(), one, zero, one, zero).item()
    assert found == pytest.approx(at * math.erfc(-at / math.sqrt(2)) / 2, abs=1e-15)


def test_the_tanh_that_gpt_2_uses_is_off_by_as_much_as_documented():
    u = torch.linspace(-6, 6, 10_001).double()
    exact, tanh = (torch.nn.functional.gelu(u, approximate=kind) for kind in ("none", "tanh"))
    assert 4e-4 < (exact - tanh).abs().max().item() < 5e-4


def test_two_thirds_of_the_width_make_swiglu_cost_as_much():
    narrow = FF * 2 // 3 + 1  # 14: 3 x 14 is about 2 x 20
    gated = sum(math.prod(s) for s in ((D, narrow), (D, narrow), (narrow, D)))
    assert gated / (2 * D * FF) == pytest.approx(1, rel=0.06)
