"""Gates: their distribution is the one of the paper, and a gate's gradient is its importance."""

import math

import pytest
import torch
from torch.distributions import Uniform

from attncourse.mechanisms import forms_of
from attncourse.mechanisms.content.head_gates import (
    expected_l0,
    gate_heads,
    hard_concrete,
    head_importance,
    settled_gates,
)
from attncourse.mechanisms.dense.heads import merge_heads, multi_head_attention
from attncourse.mechanisms.dense.softmax import attention
from attncourse.testing import assert_same, gaussian, gradients

ALPHAS = torch.tensor([-4.0, -1.0, 0.0, 0.5, 3.0], dtype=torch.float64)


def samples(count=40_000):
    noise = torch.rand(count, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return hard_concrete(ALPHAS.expand(count, 5), noise)


def test_gates_are_exactly_zero_and_one_as_often_as_the_distribution_says():
    """The distribution of the stretched variable in PyTorch's own pieces: P(s <= x) = Q(x)."""
    gates = samples()
    assert gates.min() == 0
    assert gates.max() == 1
    for level, found in ((0.0, gates == 0), (1.0, gates < 1), (0.4, gates <= 0.4)):
        inside = torch.tensor((level + 0.1) / 1.2, dtype=torch.float64)
        chance = torch.sigmoid(torch.logit(inside) * 2 / 3 - ALPHAS)
        assert (found.double().mean(dim=0) - chance).abs().max() < 0.01  # 4 standard errors


def test_the_expected_number_of_open_gates_is_what_samples_show():
    found = (samples() > 0).double().sum(dim=-1).mean()
    assert abs(found - expected_l0(ALPHAS)) < 0.02
    assert_same(expected_l0(torch.full((7,), 60.0).double()), torch.tensor(7.0).double())


def test_gates_by_pytorchs_relaxed_bernoulli():
    """The unstretched variable is a relaxed Bernoulli with the same logits and temperature."""
    noise = torch.linspace(0.001, 0.999, 99, dtype=torch.float64)[:, None].expand(99, 5)
    concrete = torch.distributions.RelaxedBernoulli(torch.tensor(2 / 3), logits=ALPHAS)
    assert concrete.support.check(noise).all()
    base = torch.sigmoid((Uniform(0, 1).icdf(noise).logit() + ALPHAS) / (2 / 3))
    assert_same(hard_concrete(ALPHAS.expand(99, 5), noise), (base * 1.2 - 0.1).clamp(0, 1))


def test_noise_at_its_limits_closes_or_opens_every_gate():
    ends = torch.tensor([[0.0] * 5, [1.0] * 5], dtype=torch.float64)
    log_alpha = ALPHAS.expand(2, 5).clone().requires_grad_()
    gates = hard_concrete(log_alpha, ends)
    assert torch.equal(gates, ends)
    assert (torch.autograd.grad(gates.sum(), log_alpha)[0] == 0).all()


def test_settled_gates_are_zero_one_or_between():
    found = settled_gates(torch.tensor([-9.0, 0.0, 9.0], dtype=torch.float64))
    assert_same(found, torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64))
    threshold = math.log(0.1 / 1.1)  # sigmoid(a) 1.2 = 0.1
    near = torch.tensor([threshold - 0.01, threshold + 0.01], dtype=torch.float64)
    assert (settled_gates(near) > 0).tolist() == [False, True]


def test_gradients_by_finite_differences():
    inputs = ALPHAS.clone().requires_grad_(), torch.full((5,), 0.37).double()
    assert torch.autograd.gradcheck(hard_concrete, inputs)
    assert torch.autograd.gradcheck(expected_l0, inputs[:1])


@pytest.mark.parametrize("form", forms_of(gate_heads))
def test_ones_change_nothing_and_a_zero_removes_a_head(form):
    out = gaussian(2, 3, 5, 4)
    assert torch.equal(form(out, torch.ones(2, 3, dtype=out.dtype)), out)
    gated = form(out, torch.tensor([1.0, 0.0, 1.0]).double().expand(2, 3))
    assert torch.equal(gated[:, 1], torch.zeros(2, 5, 4, dtype=out.dtype))
    assert torch.equal(gated[:, [0, 2]], out[:, [0, 2]])


def test_the_gradient_of_a_gate_is_the_product_of_output_and_its_gradient():
    """dL / dg_h = sum of head_h dL / d head_h, at gates of ones: equation of Michel et al."""
    out, gates = gaussian(2, 3, 5, 4), torch.ones(2, 3, dtype=torch.float64)
    cotangent = gaussian(2, 3, 5, 4, std=1.0, seed=77)
    assert_same(gradients(gate_heads, out, gates)[1], (out * cotangent).sum(dim=(-2, -1)))


def test_removing_a_head_changes_multi_head_attention_by_its_own_share():
    """MHA = sum over heads of gate_h head_h W_h, so a gate of 0 leaves the sum of the others."""
    x = gaussian(5, 12)
    w_q, w_k, w_v, w_o = (gaussian(12, 12, std=0.5, seed=i) for i in range(1, 5))
    q, k, v = ((x @ w).unflatten(-1, (3, 4)).transpose(-3, -2) for w in (w_q, w_k, w_v))
    heads = attention(q, k, v)
    whole = multi_head_attention(x, x, w_q, w_k, w_v, w_o, h=3)
    pruned = merge_heads(gate_heads(heads, torch.tensor([1.0, 0.0, 1.0]).double())) @ w_o
    assert_same(whole - pruned, heads[1] @ w_o[4:8])


def test_importance_is_the_mean_of_absolute_values_and_not_normalised():
    found = torch.tensor([[1.0, -2.0, 0.0], [-1.0, -4.0, 0.5]], dtype=torch.float64)
    assert_same(head_importance(found), torch.tensor([1.0, 3.0, 0.25], dtype=torch.float64))
    assert_same(head_importance(-3 * found), 3 * head_importance(found))
