"""Gated linear attention: stable for gates of any size, retention for one gate."""

import math

import pytest
import torch
from torch.nn.functional import logsigmoid

from attncourse.mechanisms import forms_of
from attncourse.mechanisms.linear.gated_linear import gated_linear_attention
from attncourse.mechanisms.linear.retention import retention
from attncourse.testing import assert_same, gaussian, gradients
from rows.gated_linear import inputs, plain
from rows.linear_transformer import tokens

every_form = pytest.mark.parametrize("form", forms_of(gated_linear_attention))


@every_form
def test_one_constant_gate_is_retention(form):
    q, k, v = tokens(2)
    decay = torch.tensor([0.5, 0.9]).double()
    gates = decay.log()[:, None, None].expand(q.shape)
    assert_same(form(q, k, v, gates, chunk=7), retention(q, k, v, decay, chunk=7))


@every_form
def test_gates_of_one_forget_nothing_and_gates_of_zero_forget_all(form):
    q, k, v = tokens(2)
    assert_same(form(q, k, v, torch.zeros_like(q), chunk=7), (q @ k.mT).tril() @ v)
    closed = torch.full_like(q, -math.inf)
    assert_same(form(q, k, v, closed, chunk=7), (q * k).sum(dim=-1, keepdim=True) * v)


@every_form
def test_a_gate_of_zero_cuts_the_past_off_and_its_gradient_is_finite(form):
    q, k, v, gates = inputs(2)
    gates[:, 9] = -math.inf
    out = form(q, k, v, gates, chunk=7)
    later = [x[:, 9:] for x in (q, k, v, gates)]
    assert_same(out[:, 9:], gated_linear_attention(*later, chunk=7))
    assert_same(out, plain(q, k, v, gates))
    assert all(g.isfinite().all() for g in gradients(form, q, k, v, gates, chunk=7))


@pytest.mark.parametrize("std", [1.0, 100.0, 1e4])
@pytest.mark.parametrize("chunk", [16, 64, 100])
def test_gates_of_any_size_keep_float32_exact(std, chunk):
    """exp(G_i) / exp(G_j) would be 0 / 0 after a few strong gates; sums of logs would lose digits
    of the weak gates that follow a strong one."""
    q, k, v = (x.float() for x in tokens(2, n=130, std=1.0))
    gates = -gaussian(2, 130, 8, std=std, seed=5).abs().float()
    gates[:, ::3] /= 1e4
    exact = plain(*(x.double() for x in (q, k, v, gates)))
    found = gated_linear_attention(q, k, v, gates, chunk=chunk)
    assert_same(found, exact.float())


def test_each_feature_forgets_at_its_own_pace():
    n, d = 12, 2
    q = k = torch.ones(n, d).double()
    v = torch.zeros(n, 1).double()
    v[0] = 1
    gates = torch.tensor([0.0, math.log(0.5)]).double().expand(n, d)
    out = gated_linear_attention(q, k, v, gates, chunk=5)[:, 0]
    assert_same(out, 1 + 0.5 ** torch.arange(n).double())


def test_mild_gates_as_in_the_paper_equal_the_recurrence_in_float32():
    q, k, v = (x.float() for x in tokens(2, 3, n=300, std=1.0))
    gates = logsigmoid(gaussian(2, 3, 300, 8, seed=5)).float() / 16
    exact = plain(*(x.double() for x in (q, k, v, gates)))
    torch.testing.assert_close(
        gated_linear_attention(q, k, v, gates, chunk=64), exact.float(), rtol=1e-5, atol=1e-4
    )
