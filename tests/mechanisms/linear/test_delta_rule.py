"""The delta rule: what a key answered is replaced, not added to."""

import pytest
import torch
from torch.nn.functional import normalize

from attncourse.mechanisms import forms_of
from attncourse.mechanisms.linear.delta_rule import (
    delta_rule,
    delta_rule_segment,
    delta_rule_step,
)
from attncourse.mechanisms.linear.retention import retention
from attncourse.testing import assert_same, gaussian
from rows.delta_rule import inputs, plain
from rows.linear_transformer import tokens

every_form = pytest.mark.parametrize("form", forms_of(delta_rule))


@pytest.mark.parametrize("chunk", [1, 16, 64])
def test_long_sequences_equal_the_published_recurrence(chunk):
    q, k, v = tokens(2, n=150)
    beta = torch.sigmoid(gaussian(2, 150, seed=3))
    arguments = q, normalize(k, dim=-1), v, beta
    assert_same(delta_rule(*arguments, chunk=chunk), plain(*arguments))


@every_form
def test_a_key_seen_twice_answers_its_last_value(form):
    """Where additive memories would answer the sum of both."""
    keys = torch.eye(4).double()[[0, 1, 2, 0]]
    v, beta = gaussian(4, 3), torch.ones(4).double()
    last = form(keys, keys, v, beta, chunk=3)[-1]
    assert_same(last, v[3])
    added = retention(keys, keys, v, torch.ones(()).double(), chunk=3)[-1]
    assert_same(added, v[0] + v[3])


@every_form
def test_after_a_full_write_a_unit_key_answers_its_value(form):
    _, k, v, _ = inputs(2)
    assert_same(form(k, k, v, torch.ones(2, 19).double(), chunk=4), v)


@every_form
def test_nothing_is_written_at_rate_zero(form):
    q, k, v, beta = inputs(2)
    beta[:, :5] = 0
    out = form(q, k, v, beta, chunk=4)
    assert torch.equal(out[:, :5], torch.zeros(2, 5, 6).double())
    later = [x[:, 5:] for x in (q, k, v, beta)]
    assert_same(out[:, 5:], delta_rule(*later, chunk=4))


@every_form
def test_orthonormal_keys_make_it_linear_attention(form):
    """Nothing overlaps, so nothing is corrected: the rate only scales the values."""
    q, _, v = (x[:, :8] for x in tokens(2))
    k = torch.linalg.qr(gaussian(2, 8, 8, seed=7)).Q
    beta = torch.sigmoid(gaussian(2, 8, seed=3))
    expected = retention(q, k, beta[..., None] * v, torch.ones(()).double(), chunk=3)
    assert_same(form(q, k, v, beta, chunk=3), expected)


def test_the_state_stays_bounded_for_unit_keys():
    q, k, v, beta = (x.expand(1, *x.shape) for x in inputs())
    state = torch.zeros(1, 8, 6).double()
    for _ in range(200):
        _, state = delta_rule_segment(state, q, k, v, beta, chunk=8)
    assert torch.linalg.matrix_norm(state, ord=2) < 100


def test_a_rate_of_the_wrong_shape_is_refused():
    state = torch.zeros(2, 8, 6)
    q, k, v, beta = (x[:, 0] for x in inputs(2))
    message = r"^beta must have the leading axes of q: got \(2, 1\) for beta and \(2,\) for q$"
    with pytest.raises(ValueError, match=message):
        delta_rule_step(state, q, k, v, beta[:, None])
