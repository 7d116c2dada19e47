"""Attention by features: the order of two products, and nothing else, makes it linear."""

import pytest
import torch

from attncourse.measure.cost import flops, largest_tensor, scaling_exponent
from attncourse.mechanisms.linear.kernel_attention import (
    causal_kernel_attention,
    causal_kernel_attention_by_definition,
    kernel_attention,
    kernel_attention_by_definition,
)
from attncourse.testing import assert_same, attention_inputs, gaussian, gradients
from rows.kernel_attention import causal_features, features, plain_causal


@pytest.mark.parametrize("form", [kernel_attention, kernel_attention_by_definition])
def test_a_query_without_weights_gets_zeros_value_and_gradient(form):
    phi_q, phi_k, v = features(2)
    phi_q[:, 3] = 0
    out = form(phi_q, phi_k, v)
    assert torch.equal(out[:, 3], torch.zeros(2, 6, dtype=out.dtype))
    found = gradients(form, phi_q, phi_k, v)
    assert all(g.isfinite().all() for g in found)
    assert torch.equal(found[0][:, 3], torch.zeros(2, 8, dtype=out.dtype))
    others = [0, 1, 2, 4]
    assert_same(out[:, others], kernel_attention(phi_q[:, others], phi_k, v))


@pytest.mark.parametrize("chunk", [1, 3, 100])
@pytest.mark.parametrize("form", [causal_kernel_attention, causal_kernel_attention_by_definition])
def test_so_do_the_first_queries_where_the_first_keys_have_no_features(form, chunk):
    phi_q, phi_k, v = causal_features(2)
    phi_k[:, :5] = 0
    out = form(phi_q, phi_k, v, chunk=chunk)
    assert torch.equal(out[:, :5], torch.zeros(2, 5, 6, dtype=out.dtype))
    assert_same(out[:, 5:], plain_causal(phi_q, phi_k, v)[:, 5:])
    assert all(g.isfinite().all() for g in gradients(form, phi_q, phi_k, v, chunk=chunk))


def test_features_that_cancel_exactly_count_as_no_weights():
    phi_q, phi_k = torch.ones(1, 2).double(), torch.tensor([[1.0, -1.0], [2.0, -2.0]]).double()
    v = gaussian(2, 3)
    assert torch.equal(kernel_attention(phi_q, phi_k, v), torch.zeros(1, 3).double())
    assert all(g.isfinite().all() for g in gradients(kernel_attention, phi_q, phi_k, v))


def test_weights_are_a_mean_constant_values_come_back():
    phi_q, phi_k, v = features(3)
    out = kernel_attention(phi_q, phi_k, torch.full_like(v, 7.0))
    assert_same(out, torch.full_like(out, 7.0))


def test_scaling_the_features_of_a_query_or_of_all_keys_changes_nothing():
    phi_q, phi_k, v = features(2)
    lengths = gaussian(2, 5, 1, seed=9).abs()
    assert_same(kernel_attention(phi_q * lengths, phi_k * 3, v), kernel_attention(phi_q, phi_k, v))


def test_permuting_keys_with_values_changes_nothing():
    phi_q, phi_k, v = features(2)
    order = torch.randperm(37, generator=torch.Generator().manual_seed(0))
    assert_same(
        kernel_attention(phi_q, phi_k[:, order], v[:, order]), kernel_attention(phi_q, phi_k, v)
    )


def test_one_hot_features_average_the_values_of_a_class():
    classes = torch.arange(37) % 3
    one_hot = torch.eye(3).double()[classes]
    v = attention_inputs()[2]
    out = kernel_attention(torch.eye(3).double(), one_hot, v)
    assert_same(out, torch.stack([v[classes == c].mean(dim=0) for c in range(3)]))


def test_the_last_causal_query_is_the_full_one():
    phi_q, phi_k, v = causal_features(2)
    causal = causal_kernel_attention(phi_q, phi_k, v, chunk=4)
    assert_same(causal[:, -1:], kernel_attention(phi_q[:, -1:], phi_k, v))


def test_more_tokens_than_are_worked_on_at_once_change_nothing():
    phi_q, phi_k, v = (
        gaussian(2, 600, 8).abs(),
        gaussian(2, 1300, 8, seed=1).abs(),
        gaussian(2, 1300, 6),
    )
    expected = kernel_attention_by_definition(phi_q, phi_k, v)
    assert_same(kernel_attention(phi_q, phi_k, v), expected)
    ours = gradients(kernel_attention, phi_q, phi_k, v)
    assert_same(ours, gradients(kernel_attention_by_definition, phi_q, phi_k, v))


def inputs_of_length(n):
    return gaussian(n, 8).abs(), gaussian(n, 8, seed=1).abs(), gaussian(n, 6, seed=2)


def causal(*arguments):
    return causal_kernel_attention(*arguments, chunk=16)


def backward(*arguments):
    return gradients(kernel_attention, *arguments)


@pytest.mark.parametrize("form", [kernel_attention, causal, backward])
def test_nothing_grows_faster_than_the_length(form):
    for n in (512, 1024):
        assert scaling_exponent(flops, form, inputs_of_length, n) == 1
        assert scaling_exponent(largest_tensor, form, inputs_of_length, n) <= 1


def test_the_definition_is_quadratic():
    assert scaling_exponent(flops, kernel_attention_by_definition, inputs_of_length, 128) == 2


def test_the_work_is_what_the_formula_says():
    """Two products with the state, and if causal two with the weights of a chunk; 1 more for z.

    Over all keys z is a sum of rows, and no product of matrices, which alone are counted.
    """
    n, r, e, c = 1024, 8, 6, 16
    assert flops(kernel_attention, *inputs_of_length(n)) == 4 * n * r * e
    within = 2 * n * c * r + 2 * n * c * (e + 1)
    assert flops(causal, *inputs_of_length(n)) == within + 4 * n * r * (e + 1)
