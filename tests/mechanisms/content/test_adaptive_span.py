"""A learned span: the limits are causal attention and windows, and the span has a gradient."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import scaled_dot_product_attention

from attncourse.core.masks import causal_mask
from attncourse.measure.cost import flops, largest_tensor, scaling_exponent
from attncourse.mechanisms import forms_of
from attncourse.mechanisms.content.adaptive_span import (
    adaptive_span_attention,
    adaptive_span_attention_by_definition,
)
from attncourse.testing import assert_same, attention_inputs, gaussian, gradients

every_form = pytest.mark.parametrize("form", forms_of(adaptive_span_attention))


def same_length(*lead, n=37, std=2.0):
    shapes = zip((8, 8, 6), range(3), strict=True)
    return tuple(gaussian(*lead, n, d, std=std, seed=seed) for d, seed in shapes)


@every_form
@pytest.mark.parametrize("n", [5, 37, 50])
def test_a_long_span_is_causal_attention(form, n):
    q, (_, k, v) = gaussian(3, n, 8), attention_inputs(3)
    span = torch.full((3,), 60.0, dtype=torch.float64)
    mask = causal_mask(n, 37)
    out, empty = form(q, k, v, span, ramp=4.0), max(0, n - 37)
    expected = scaled_dot_product_attention(q, k, v, attn_mask=mask)
    assert_same(out[:, empty:], expected[:, empty:])
    assert torch.equal(out[:, :empty], out.new_zeros(3, empty, 6))


@every_form
def test_a_steep_ramp_is_a_causal_window(form):
    q, k, v = same_length(2)
    distance = torch.arange(37)[:, None] - torch.arange(37)
    window = (distance >= 0) & (distance <= 6)
    span = torch.tensor(6.4, dtype=torch.float64)
    expected = scaled_dot_product_attention(q, k, v, attn_mask=window)
    assert_same(form(q, k, v, span, ramp=0.1), expected)


def of_facebook(q, k, v, span, *, ramp):
    """As the authors' code: softmax, times the mask, divided by the sum anew."""
    distance = torch.arange(q.shape[-2])[:, None] - torch.arange(k.shape[-2])
    scores = (q @ k.mT / q.shape[-1] ** 0.5).masked_fill(distance < 0, -torch.inf)
    template = span[..., None, None] - distance
    weights = torch.softmax(scores, dim=-1) * (template / ramp + 1).clamp(0, 1)
    return weights / weights.sum(dim=-1, keepdim=True) @ v


@every_form
@pytest.mark.parametrize("ramp", [0.7, 3, 32.5])
def test_it_equals_the_authors_order_of_steps_in_value_and_gradient(form, ramp):
    inputs = *same_length(2, 3, std=1.0), gaussian(2, 3).abs() * 6 + 0.3
    assert_same(form(*inputs, ramp=ramp), of_facebook(*inputs, ramp=ramp))
    assert_same(gradients(form, *inputs, ramp=ramp), gradients(of_facebook, *inputs, ramp=ramp))


@settings(derandomize=True, max_examples=40, deadline=None)
@given(
    n=st.integers(1, 9),
    m=st.integers(1, 9),
    span=st.floats(-12, 12, width=32),
    ramp=st.floats(0.25, 12, width=32),
)
def test_any_sizes_agree(n, m, span, ramp):
    q, k, v = gaussian(n, 3), gaussian(m, 3, seed=1), gaussian(m, 2, seed=2)
    z = torch.tensor(span, dtype=torch.float64)
    assert_same(
        adaptive_span_attention(q, k, v, z, ramp=ramp),
        adaptive_span_attention_by_definition(q, k, v, z, ramp=ramp),
    )


@every_form
def test_heads_and_rows_beyond_one_block(form):
    q, k, v = (gaussian(2, 4, 300, d, seed=i) for i, d in enumerate((8, 8, 6)))
    span = torch.tensor([3.3, 70.7, 280.1, 3.9], dtype=torch.float64)
    assert_same(form(q, k, v, span, ramp=20.0), of_facebook(q, k, v, span, ramp=20.0))
    ours = gradients(adaptive_span_attention, q, k, v, span, ramp=20.0)
    assert_same(ours, gradients(adaptive_span_attention_by_definition, q, k, v, span, ramp=20.0))


@every_form
def test_a_span_that_reaches_nothing_gives_zeros(form):
    inputs = *same_length(2), torch.tensor([-9.5, 3.5], dtype=torch.float64)
    out = form(*inputs, ramp=5)
    assert torch.equal(out[0], torch.zeros(37, 6, dtype=torch.float64))
    found = gradients(form, *inputs, ramp=5)
    assert all(g.isfinite().all() for g in found)
    assert all((g[0] == 0).all() for g in found)


@every_form
def test_the_future_and_what_is_out_of_reach_leave_the_output_bit_equal(form):
    q, k, v = same_length()
    span = torch.tensor(4.5, dtype=torch.float64)
    before = form(q, k, v, span, ramp=3.0)
    changed = k.clone()
    changed[20:] += 100.0
    changed[:12] -= 100.0
    assert torch.equal(form(q, changed, v, span, ramp=3.0)[19], before[19])
    assert not torch.equal(form(q, changed, v, span, ramp=3.0)[20], before[20])


def test_gradients_by_finite_differences():
    inputs = [gaussian(2, 6, 4), gaussian(2, 6, 4, seed=1), gaussian(2, 6, 2, seed=2)]
    inputs.append(torch.tensor([1.3, 3.7], dtype=torch.float64))
    inputs = [y.requires_grad_() for y in inputs]
    assert torch.autograd.gradcheck(lambda *x: adaptive_span_attention(*x, ramp=2.5), inputs)


@every_form
def test_one_span_for_all_gathers_their_gradients(form):
    q, k, v = same_length(2, 3)
    one = torch.tensor([7.3], dtype=torch.float64)
    shared = gradients(form, q, k, v, one, ramp=5.0)[3]
    each = gradients(form, q, k, v, one.expand(2, 3).clone(), ramp=5.0)[3]
    assert_same(shared, each.sum().view(1))


def banded(q, k, v):
    return adaptive_span_attention(q, k, v, torch.tensor(20.5).double(), ramp=8.0)


def backward(q, k, v):
    return gradients(banded, q, k, v)


def inputs_of_length(n):
    return gaussian(n, 8), gaussian(n, 8, seed=1), gaussian(n, 6, seed=2)


@pytest.mark.parametrize("form", [banded, backward])
def test_cost_is_linear_in_the_length(form):
    assert scaling_exponent(largest_tensor, form, inputs_of_length, 1024) <= 1
    assert scaling_exponent(flops, form, inputs_of_length, 1024) == pytest.approx(1, abs=0.05)


@every_form
def test_options_out_of_range_are_told(form):
    inputs = attention_inputs(2, 3)
    span = torch.ones(3, dtype=torch.float64)
    for ramp in (0, -1.5, float("nan")):
        with pytest.raises(ValueError, match=f"^ramp must be positive: got ramp={ramp}$"):
            form(*inputs, span, ramp=ramp)
    rule = r"span must broadcast to the leading axes of q: got span \(2,\) and \(2, 3\) for q"
    with pytest.raises(ValueError, match=rf"^{rule} \(2, 3, 5, 8\)$"):
        form(*inputs, span[:2], ramp=1)
    with pytest.raises(ValueError, match="span must broadcast"):
        form(*(x[0, 0] for x in inputs), span, ramp=1)
