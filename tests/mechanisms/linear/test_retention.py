"""Retention: the past fades by one factor a step."""

import math
import re

import pytest
import torch

from attncourse.mechanisms import forms_of
from attncourse.mechanisms.linear.linear_transformer import (
    elu_feature_map,
    linear_attention_segment,
)
from attncourse.mechanisms.linear.retention import (
    retention,
    retention_by_definition,
    retention_segment,
    retention_step,
)
from attncourse.testing import assert_same, gaussian, gradients
from rows.linear_transformer import tokens
from rows.retention import plain

every_form = pytest.mark.parametrize("form", forms_of(retention))


def test_it_equals_the_published_recurrence_with_the_papers_decays():
    q, k, v = tokens(2, 8, n=70)
    decay = 1 - 2.0 ** (-5 - torch.arange(8.0, dtype=torch.float64))
    expected = plain(q, k, v, decay.expand(2, 8))
    for chunk in (1, 16, 64, 100):
        if chunk > 1:
            assert_same(retention(q, k, v, decay, chunk=chunk), expected)


def test_without_decay_it_is_linear_attention_without_its_normaliser():
    q, k, v = (elu_feature_map(x) if i < 2 else x for i, x in enumerate(tokens(2)))
    one = torch.ones(()).double()
    weights = (q @ k.mT).tril()
    assert_same(retention(q, k, v, one, chunk=4), weights @ v)
    zeros = torch.zeros(2, 8, 6).double(), torch.zeros(2, 8).double()
    q, k, v = tokens(2)
    _, (s, _) = linear_attention_segment(zeros, q, k, v, chunk=4)
    _, state = retention_segment(zeros[0], q, elu_feature_map(k), v, one, chunk=4)
    assert_same(state, s)


@every_form
def test_with_decay_zero_a_token_sees_itself_alone(form):
    q, k, v = tokens(2)
    zero = torch.zeros(2).double()
    assert_same(form(q, k, v, zero, chunk=4), (q * k).sum(dim=-1, keepdim=True) * v)
    assert all(g.isfinite().all() for g in gradients(form, q, k, v, zero, chunk=4))


@every_form
def test_a_half_life_is_a_half_life(form):
    """One key, many queries: what they read halves in ln 2 / -ln decay steps."""
    n, decay = 25, torch.tensor(0.5 ** (1 / 8)).double()
    q = k = torch.ones(n, 1).double()
    v = torch.zeros(n, 1).double()
    v[0] = 1
    out = form(q, k, v, decay, chunk=5)[:, 0]
    assert math.isclose(math.log(2) / -decay.log().item(), 8, rel_tol=1e-6)
    assert_same(out[[0, 8, 16, 24]], torch.tensor([1, 0.5, 0.25, 0.125]).double())


@every_form
def test_each_head_has_its_own_decay_and_a_scalar_serves_all(form):
    q, k, v = tokens(2, 3)
    decay = torch.tensor([0.5, 0.9, 1.0]).double()
    whole = form(q, k, v, decay, chunk=4)
    for h in range(3):
        assert_same(form(q[:, h], k[:, h], v[:, h], decay[h], chunk=4), whole[:, h])
    assert_same(whole, form(q, k, v, decay.expand(2, 3), chunk=4))
    assert_same(whole[:, :1], form(q[:, :1], k[:, :1], v[:, :1], decay[:1], chunk=4))


def test_the_gradient_of_a_shared_decay_is_the_sum_over_its_uses():
    q, k, v = tokens(2, 3)
    decay = torch.tensor([0.5, 0.9, 0.8]).double()
    ours = gradients(retention, q, k, v, decay, chunk=4)
    assert_same(ours, gradients(retention_by_definition, q, k, v, decay, chunk=4))


@pytest.mark.parametrize("shape", [(2,), (3, 1), (2, 2, 3), (5,)], ids=str)
def test_a_decay_that_does_not_broadcast_is_refused(shape):
    q, k, v = tokens(2, 3)
    decay, zeros = torch.full(shape, 0.5).double(), torch.zeros(2, 3, 8, 6)
    rule = "decay must broadcast to the leading axes of q"
    message = "^" + re.escape(f"{rule}: got {shape} for decay and (2, 3) for q") + "$"
    for call in (
        lambda: retention(q, k, v, decay, chunk=4),
        lambda: retention_by_definition(q, k, v, decay, chunk=4),
        lambda: retention_step(zeros, q[..., 0, :], k[..., 0, :], v[..., 0, :], decay),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_old_tokens_never_overflow_however_long_the_chunk():
    """decay^-j, the textbook's factor of a key, would be 1e600 here."""
    q, k, v = (gaussian(2000, 2, seed=s).float() for s in range(3))
    decay = torch.tensor(0.5)
    out = retention(q, k, v, decay, chunk=2000)
    assert out.isfinite().all()
    assert_same(out, retention(q, k, v, decay, chunk=50))
