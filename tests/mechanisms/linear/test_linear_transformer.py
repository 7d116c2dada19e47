"""The Linear Transformer's features and what follows from them."""

import pytest
import torch
from torch.nn.functional import elu

from attncourse.mechanisms.linear.kernel_attention import causal_kernel_attention, kernel_attention
from attncourse.mechanisms.linear.linear_transformer import (
    causal_linear_attention,
    elu_feature_map,
    linear_attention,
    linear_attention_step,
)
from attncourse.testing import assert_same, attention_inputs, gaussian, gradients
from rows.linear_transformer import tokens


def test_the_features_are_elu_plus_one_with_a_gradient_of_one_at_zero():
    x = torch.cat([gaussian(50), torch.zeros(1).double(), torch.tensor([-0.0]).double()])
    assert_same(elu_feature_map(x), elu(x) + 1)
    assert_same(gradients(elu_feature_map, x), gradients(lambda x: elu(x) + 1, x))


def test_small_features_keep_their_digits():
    """elu(x) + 1 in this order would be 0: the difference is lost before the one is added."""
    x = torch.tensor([-20.0, -80.0])
    assert_same(elu_feature_map(x), x.exp())
    assert ((elu(x) + 1) != x.exp()).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_features_of_any_size_are_finite_and_so_are_their_gradients(dtype):
    x = torch.tensor([-1e4, -800.0, 0.0, 800.0, 1e4], dtype=dtype)
    assert torch.equal(elu_feature_map(x)[[0, 4]], torch.tensor([0.0, 10001.0], dtype=dtype))
    assert gradients(elu_feature_map, x)[0].isfinite().all()


def test_linear_attention_is_kernel_attention_of_these_features():
    q, k, v = attention_inputs(2)
    assert_same(linear_attention(q, k, v), kernel_attention(elu(q) + 1, elu(k) + 1, v))
    q, k, v = tokens(2)
    found = causal_linear_attention(q, k, v, chunk=4)
    assert_same(found, causal_kernel_attention(elu(q) + 1, elu(k) + 1, v, chunk=4))


def test_queries_far_below_zero_still_attend():
    """Their features are tiny, but it is their ratios that count."""
    q, k, v = attention_inputs()
    expected = kernel_attention(q.exp(), elu_feature_map(k), v)
    assert_same(linear_attention(q - 200, k, v), expected)
    underflow = q.float() - 1000
    out = linear_attention(underflow, k.float(), v.float())
    assert torch.equal(out, torch.zeros_like(out))
    found = gradients(linear_attention, underflow, k.float(), v.float())
    assert all(g.isfinite().all() for g in found)


def test_the_first_token_attends_to_itself():
    q, k, v = tokens(2)
    assert_same(causal_linear_attention(q, k, v, chunk=4)[:, 0], v[:, 0])
    zeros = torch.zeros(2, 8, 6).double(), torch.zeros(2, 8).double()
    assert_same(linear_attention_step(zeros, q[:, 0], k[:, 0], v[:, 0])[0], v[:, 0])


def test_the_order_of_the_past_does_not_matter():
    """The state is a sum: no position is in it unless the features hold one."""
    q, k, v = tokens()
    order = torch.cat(
        [torch.randperm(18, generator=torch.Generator().manual_seed(0)), torch.tensor([18])]
    )
    shuffled = causal_linear_attention(q, k[order], v[order], chunk=4)
    assert_same(shuffled[-1], causal_linear_attention(q, k, v, chunk=4)[-1])
