"""Attention over the weights that are large enough."""

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from attncourse.measure.cost import largest_tensor, scaling_exponent
from attncourse.mechanisms import forms_of
from attncourse.mechanisms.content.threshold import (
    threshold_attention,
    threshold_attention_by_definition,
)
from attncourse.testing import assert_same, attention_inputs, gaussian, gradients

every_form = pytest.mark.parametrize("form", forms_of(threshold_attention))


def weights(q, k):
    return torch.softmax(q @ k.mT / q.shape[-1] ** 0.5, dim=-1)


def weights_of(form, q, k, **options):
    """The weights themselves: the output for values that are the unit vectors."""
    units = torch.eye(k.shape[-2], dtype=q.dtype).expand(*k.shape[:-2], -1, -1)
    return form(q, k, units, **options)


@every_form
def test_a_threshold_of_zero_is_attention(form):
    inputs = attention_inputs(2)
    assert_same(form(*inputs, threshold=0.0), scaled_dot_product_attention(*inputs))
    assert_same(
        gradients(form, *inputs, threshold=0.0), gradients(scaled_dot_product_attention, *inputs)
    )


@every_form
@pytest.mark.parametrize("threshold", [1.0, 1.5, float("inf")])
def test_a_threshold_of_one_or_more_looks_the_best_key_up(form, threshold):
    q, k, v = attention_inputs()
    assert_same(form(q, k, v, threshold=threshold), v[(q @ k.mT).argmax(dim=-1)])


@every_form
@pytest.mark.parametrize("threshold", [0.001, 0.02, 0.3, 0.9])
def test_weights_are_dropped_exactly_where_they_are_small(form, threshold):
    q, k, _ = attention_inputs(std=1.0)
    full, found = weights(q, k), weights_of(form, q, k, threshold=threshold)
    kept = (full >= threshold) | (full == full.amax(dim=-1, keepdim=True))
    assert torch.equal(found > 0, kept)
    assert (found[~kept] == 0).all()
    assert_same(found, full * kept / (full * kept).sum(dim=-1, keepdim=True))


@every_form
def test_equal_largest_weights_are_kept_together(form):
    q, k = torch.ones(2, 3, dtype=torch.float64), torch.ones(4, 3, dtype=torch.float64)
    assert_same(
        weights_of(form, q, k, threshold=0.9), torch.full((2, 4), 0.25, dtype=torch.float64)
    )


@every_form
def test_the_order_of_the_keys_does_not_matter(form):
    q, k, v = attention_inputs(2)
    order = torch.arange(36, -1, -1)
    inputs = q, k[:, order], v[:, order]
    assert_same(form(*inputs, threshold=0.05), form(q, k, v, threshold=0.05))


@every_form
def test_a_dropped_key_gets_no_gradient(form):
    q, k, v = attention_inputs(std=1.0)
    dropped = weights_of(form, q, k, threshold=0.1).amax(dim=0) == 0
    assert dropped.any()
    _, d_k, d_v = gradients(form, q, k, v, threshold=0.1)
    assert (d_k[dropped] == 0).all()
    assert (d_v[dropped] == 0).all()


def test_gradients_by_finite_differences():
    inputs = [y.requires_grad_() for y in (gaussian(3, 4), gaussian(7, 4), gaussian(7, 2))]
    assert torch.autograd.gradcheck(
        lambda *x: threshold_attention(*x, threshold=0.05), inputs, eps=1e-7
    )


@every_form
def test_more_rows_than_a_block_holds(form):
    q, k, v = gaussian(3, 300, 8), gaussian(3, 150, 8, seed=1), gaussian(3, 150, 6, seed=2)
    kept = weights_of(form, q, k, threshold=0.03)
    assert_same(form(q, k, v, threshold=0.03), kept @ v)
    ours = gradients(threshold_attention, q, k, v, threshold=0.03)
    assert_same(ours, gradients(threshold_attention_by_definition, q, k, v, threshold=0.03))


def inputs_of_length(n):
    return gaussian(n, 8), gaussian(n, 8, seed=1), gaussian(n, 6, seed=2)


def bound(q, k, v):
    return threshold_attention(q, k, v, threshold=0.1)


def backward(q, k, v):
    return gradients(bound, q, k, v)


@pytest.mark.parametrize("form", [bound, backward])
def test_the_largest_tensor_grows_with_the_length(form):
    assert scaling_exponent(largest_tensor, form, inputs_of_length, 256) == 1


@every_form
@pytest.mark.parametrize("threshold", [-0.1, float("nan")])
def test_a_threshold_is_not_negative(form, threshold):
    with pytest.raises(
        ValueError, match=f"^threshold must be at least 0: got threshold={threshold}$"
    ):
        form(*attention_inputs(), threshold=threshold)
