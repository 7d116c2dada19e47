"""The laws of attention: what changes nothing, what stays hidden, where the output lies."""

import math

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import one_hot

from attncourse.core.masks import causal_mask
from attncourse.mechanisms.dense.softmax import attention
from attncourse.testing import assert_same, attention_inputs, gaussian, gradients, random_mask

few = settings(derandomize=True, max_examples=25, deadline=None)
sizes = st.integers(1, 6)
seeds = st.integers(0, 10_000)


def weights_of(q, k, *, mask=None):
    """The attention weights, read off with the unit vectors as values."""
    m = k.shape[-2]
    identity = torch.eye(m, dtype=k.dtype).expand(*k.shape[:-2], m, m)
    return attention(q, k, identity, mask=mask)


def sequence(*lead, seed=0):
    """Queries, keys and values of nine tokens."""
    return [gaussian(*lead, 9, width, seed=seed + i) for i, width in enumerate((3, 3, 5))]


@given(n=sizes, m=sizes, seed=seeds)
@few
def test_permuting_keys_together_with_values_changes_nothing(n, m, seed):
    q, k = gaussian(n, 3, seed=seed), gaussian(m, 3, seed=seed + 1)
    v, mask = gaussian(m, 2, seed=seed + 2), random_mask(n, m, seed=seed)
    order = torch.randperm(m, generator=torch.Generator().manual_seed(seed))
    assert_same(attention(q, k[order], v[order]), attention(q, k, v))
    assert_same(
        attention(q, k[order], v[order], mask=mask[:, order]), attention(q, k, v, mask=mask)
    )


def test_permuting_queries_permutes_the_output():
    q, k, v = attention_inputs()
    order = torch.tensor([3, 0, 4, 1, 2])
    assert_same(attention(q[order], k, v), attention(q, k, v)[order])


@given(t=st.integers(1, 8), seed=seeds)
@few
def test_changing_the_future_leaves_the_past_bit_equal(t, seed):
    mask = causal_mask(9, 9)
    arguments = sequence(2, seed=seed)
    changed = [torch.cat([x[:, :t], 3 - 2 * x[:, t:]], dim=1) for x in arguments]
    before, after = attention(*arguments, mask=mask), attention(*changed, mask=mask)
    assert torch.equal(before[:, :t], after[:, :t])
    assert not torch.equal(before[:, t:], after[:, t:])


def test_the_gradient_of_the_past_is_zero_in_the_future():
    def past(q, k, v):
        return attention(q, k, v, mask=causal_mask(9, 9))[:4]

    for gradient in gradients(past, *sequence()):
        assert gradient[:4].any()
        assert not gradient[4:].any()


def test_causal_attention_in_one_go_equals_decoding_token_by_token():
    q, k, v = sequence()
    steps = [attention(q[t : t + 1], k[: t + 1], v[: t + 1]) for t in range(9)]
    assert_same(attention(q, k, v, mask=causal_mask(9, 9)), torch.cat(steps))


@given(n=sizes, m=sizes, std=st.sampled_from([0.1, 2.0, 100.0]), seed=seeds)
@few
def test_weights_are_positive_and_sum_to_one(n, m, std, seed):
    weights = weights_of(gaussian(n, 3, std=std, seed=seed), gaussian(m, 3, std=std, seed=seed + 1))
    assert (weights >= 0).all()
    assert_same(weights.sum(dim=-1), torch.ones(n, dtype=torch.float64))


@given(n=sizes, m=sizes, std=st.sampled_from([0.1, 2.0, 100.0]), seed=seeds)
@few
def test_the_output_lies_between_the_smallest_and_the_largest_visible_value(n, m, std, seed):
    q, k = gaussian(n, 3, std=std, seed=seed), gaussian(m, 3, std=std, seed=seed + 1)
    v, mask = gaussian(m, 4, std=std, seed=seed + 2), random_mask(n, m, seed=seed)
    visible = mask.unsqueeze(-1)
    low = v.masked_fill(~visible, math.inf).amin(dim=-2)
    high = v.masked_fill(~visible, -math.inf).amax(dim=-2)
    slack = 1e-12 * std
    out = attention(q, k, v, mask=mask)
    assert (low - slack <= out).all()
    assert (out <= high + slack).all()


def test_a_hidden_key_changes_nothing_and_equals_a_missing_one():
    q, k, v = attention_inputs()
    mask = torch.ones(5, 37, dtype=torch.bool)
    mask[:, 30:] = False
    without = attention(q, k[:30], v[:30])
    assert_same(attention(q, k, v, mask=mask), without)
    k[30:], v[30:] = 1e6, -1e6
    assert_same(attention(q, k, v, mask=mask), without)


def test_a_query_that_may_attend_to_one_key_returns_its_value():
    q, k, v = attention_inputs()
    chosen = torch.tensor([36, 0, 7, 7, 20])
    mask = one_hot(chosen, 37).to(torch.bool)
    assert_same(attention(q, k, v, mask=mask), v[chosen])


def test_adding_one_vector_to_every_key_changes_nothing():
    q, k, v = attention_inputs()
    assert_same(attention(q, k + gaussian(8, seed=9), v), attention(q, k, v))


def test_attention_is_linear_in_the_values():
    q, k, v = attention_inputs()
    other = gaussian(37, 6, seed=9)
    expected = 2 * attention(q, k, v) - 3 * attention(q, k, other)
    assert_same(attention(q, k, 2 * v - 3 * other), expected)


def test_equal_keys_give_the_plain_mean_of_the_values():
    q, k, v = attention_inputs()
    assert_same(attention(q, k[:1].expand(37, 8), v), v.mean(dim=0).expand(5, 6))
