"""Segment recurrence: equal to causal attention where memory covers, but for the gradient."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import scaled_dot_product_attention

from attncourse.measure.cost import flops, largest_tensor, scaling_exponent
from attncourse.mechanisms import forms_of
from attncourse.mechanisms.dense.self_attention import self_attention
from attncourse.mechanisms.sharing.segments import (
    segment_attention,
    segment_recurrence,
    segment_recurrence_by_definition,
)
from attncourse.testing import assert_same, gaussian, gradients

every_form = pytest.mark.parametrize("form", forms_of(segment_attention))
RECURRENCES = [segment_recurrence_by_definition, segment_recurrence]
every_recurrence = pytest.mark.parametrize("recurrence", RECURRENCES)


def projections(d_x=9, e=6):
    shapes = (d_x, 8), (d_x, 8), (d_x, e)
    return [gaussian(*shape, std=0.3, seed=5 + i) for i, shape in enumerate(shapes)]


def inputs(*lead, n=5, m=7):
    return gaussian(*lead, n, 9), gaussian(*lead, m, 9, seed=1), *projections()


@every_form
def test_it_equals_the_last_rows_of_pytorchs_causal_attention(form):
    x, memory, w_q, w_k, w_v = inputs(2)
    whole = torch.cat([memory, x], dim=-2)
    theirs = scaled_dot_product_attention(whole @ w_q, whole @ w_k, whole @ w_v, is_causal=True)
    assert_same(form(x, memory, w_q, w_k, w_v), theirs[:, 7:])


@every_form
def test_no_gradient_flows_into_memory_but_the_weights_learn_from_it(form):
    arguments = inputs()
    d_x, d_memory, *d_weights = gradients(form, *arguments)
    assert torch.equal(d_memory, torch.zeros_like(d_memory))
    assert d_x.abs().max() > 1e-3
    without = gradients(
        lambda x, *w: self_attention(x, *w, causal=True), inputs()[0], *projections()
    )
    assert all((a - b).abs().max() > 1e-3 for a, b in zip(d_weights, without[1:], strict=True))


@every_form
def test_the_first_segment_has_an_empty_memory(form):
    x, memory, *weights = inputs(2, m=0)
    assert_same(form(x, memory, *weights), self_attention(x, *weights, causal=True))
    d_x, d_memory, *d_weights = gradients(form, x, memory, *weights)
    assert d_memory.shape == (2, 0, 9)
    without = gradients(lambda x, *w: self_attention(x, *w, causal=True), x, *weights)
    assert_same((d_x, *d_weights), without)


@every_form
def test_the_future_is_not_seen_and_the_whole_memory_is(form):
    x, memory, *weights = inputs()
    before = form(x, memory, *weights)
    later = x.clone()
    later[3:] += 1.0
    assert torch.equal(form(later, memory, *weights)[:3], before[:3])
    for j in range(len(memory)):
        other = memory.clone()
        other[j] += 1.0
        assert (form(x, other, *weights) != before).any(dim=-1).all()


@every_recurrence
@pytest.mark.parametrize("segment", [1, 4, 13, 50])
def test_segments_equal_the_whole_where_memory_covers(recurrence, segment):
    x, weights = gaussian(2, 13, 9), projections()
    whole = self_attention(x, *weights, causal=True)
    assert_same(recurrence(x, *weights, segment=segment, memory=13), whole)
    assert_same(recurrence(x, *weights, segment=segment, memory=1000), whole)


def test_without_memory_segments_know_nothing_of_each_other():
    x, weights = gaussian(13, 9), projections()
    parts = [self_attention(part, *weights, causal=True) for part in x.split(4)]
    assert_same(segment_recurrence(x, *weights, segment=4, memory=0), torch.cat(parts))


@settings(derandomize=True, max_examples=40, deadline=None)
@given(n=st.integers(1, 12), segment=st.integers(1, 13), memory=st.integers(0, 13))
def test_any_sizes_agree_in_value_and_gradient(n, segment, memory):
    arguments, sizes = (gaussian(n, 9), *projections()), {"segment": segment, "memory": memory}
    slow, fast = (form(*arguments, **sizes) for form in RECURRENCES)
    assert_same(fast, slow)
    slow, fast = (gradients(form, *arguments, **sizes) for form in RECURRENCES)
    assert_same(fast, slow)


@every_recurrence
def test_the_gradient_is_exactly_zero_across_the_border(recurrence):
    x = gaussian(12, 9).requires_grad_()
    out = recurrence(x, *projections(), segment=4, memory=4)
    (found,) = torch.autograd.grad(out[8:].square().sum(), x)
    assert torch.equal(found[:8], torch.zeros(8, 9).double())
    assert (found[8:].abs().amax(dim=-1) > 1e-6).all()


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_each_layer_reaches_one_segment_further_back(layers):
    """By finite differences: the gradient says nothing here, for it stops at the border."""
    weights, x = projections(e=9), gaussian(16, 9, std=1.0)

    def last(x):
        for _ in range(layers):
            x = x + segment_recurrence(x, *weights, segment=4, memory=4)
        return x[-1]

    for j in range(16):
        moved = x.clone()
        moved[j] += 0.1
        reached = not torch.equal(last(moved), last(x))
        assert reached == (j // 4 >= 3 - layers)


def of_length(n):
    return gaussian(n, 9), *projections()


def recurrent(*arguments):
    return segment_recurrence(*arguments, segment=16, memory=16)


def test_the_cost_of_a_sequence_grows_with_its_length():
    assert abs(scaling_exponent(flops, recurrent, of_length, 256) - 1) < 0.05
    assert abs(scaling_exponent(largest_tensor, recurrent, of_length, 256) - 1) < 0.05
    assert largest_tensor(recurrent, *of_length(512)) <= 9 * 512


def test_a_long_memory_is_read_in_tiles():
    for m in (1024, 2048):
        assert largest_tensor(segment_attention, *inputs(n=32, m=m)) <= 9 * (m + 32)
        assert 9 * (m + 32) < 32 * m


@every_recurrence
def test_sizes_out_of_range_are_told(recurrence):
    x, weights = gaussian(13, 9), projections()
    with pytest.raises(ValueError, match="^segment must be at least 1: got segment=0$"):
        recurrence(x, *weights, segment=0, memory=1)
    with pytest.raises(ValueError, match="^memory must be at least 0: got memory=-1$"):
        recurrence(x, *weights, segment=1, memory=-1)
