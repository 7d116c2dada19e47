"""Linformer: exact with identity projections, linear in the length, and never causal."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import scaled_dot_product_attention

from attncourse.measure.cost import flops, largest_tensor, scaling_exponent
from attncourse.mechanisms import forms_of
from attncourse.mechanisms.low_rank.linformer import linformer_attention
from attncourse.testing import assert_same, attention_inputs, gaussian, gradients

every_form = pytest.mark.parametrize("form", forms_of(linformer_attention))


def projections(r=4, m=37):
    return gaussian(r, m, std=0.2, seed=3), gaussian(r, m, std=0.2, seed=4)


@every_form
@pytest.mark.parametrize("std", [2.0, 100.0])
def test_identity_projections_are_full_attention(form, std):
    inputs, eye = attention_inputs(2, std=std), torch.eye(37, dtype=torch.float64)
    assert_same(form(*inputs, eye, eye), scaled_dot_product_attention(*inputs))


@every_form
def test_one_permutation_in_both_projections_is_full_attention(form):
    inputs = attention_inputs(2)
    order = torch.randperm(37, generator=torch.Generator().manual_seed(0))
    shuffle = torch.eye(37, dtype=torch.float64)[order]
    assert_same(form(*inputs, shuffle, shuffle), scaled_dot_product_attention(*inputs))


@every_form
def test_rows_that_average_segments_attend_to_their_means(form):
    q, k, v = attention_inputs(2)
    k, v = k[:, :36], v[:, :36]
    means = torch.eye(9, dtype=torch.float64).repeat_interleave(4, dim=1) / 4
    few_k, few_v = (x.unflatten(-2, (9, 4)).mean(dim=-2) for x in (k, v))
    assert_same(form(q, k, v, means, means), scaled_dot_product_attention(q, few_k, few_v))


@every_form
def test_keys_values_and_columns_may_be_permuted_together(form):
    q, k, v = attention_inputs(2)
    proj_k, proj_v = projections()
    order = torch.randperm(37, generator=torch.Generator().manual_seed(0))
    moved = form(q, k[:, order], v[:, order], proj_k[:, order], proj_v[:, order])
    assert_same(moved, form(q, k, v, proj_k, proj_v))


@every_form
def test_a_later_value_changes_the_first_output(form):
    q, k, v = attention_inputs()
    later = v.clone()
    later[-1] += 1
    change = form(q, k, later, *projections()) - form(q, k, v, *projections())
    assert change[0].abs().min() > 1e-3


@settings(derandomize=True, max_examples=40, deadline=None)
@given(n=st.integers(1, 9), m=st.integers(1, 9), r=st.integers(1, 12))
def test_any_sizes_agree(n, m, r):
    q, k, v = gaussian(2, n, 3), gaussian(2, m, 3, seed=1), gaussian(2, m, 2, seed=2)
    proj_k, proj_v = projections(r, m)
    expected = torch.softmax(q @ (proj_k @ k).mT / math.sqrt(3), dim=-1) @ (proj_v @ v)
    for form in forms_of(linformer_attention):
        assert_same(form(q, k, v, proj_k, proj_v), expected)


def of_length(n):
    return gaussian(n, 8), gaussian(n, 8, seed=1), gaussian(n, 6, seed=2), *projections(16, n)


def backward(*inputs):
    return gradients(linformer_attention, *inputs)


@pytest.mark.parametrize("form", [linformer_attention, backward])
def test_work_and_the_largest_tensor_grow_with_the_length_and_not_with_its_square(form):
    for n in (256, 512):
        assert scaling_exponent(flops, form, of_length, n) == 1
        assert scaling_exponent(largest_tensor, form, of_length, n) == 1


def test_the_work_is_that_of_two_projections_and_r_keys():
    n, r = 256, 16
    assert flops(linformer_attention, *of_length(n)) == 2 * (8 + 6) * r * (n + n)


def test_heads_share_one_projection_that_is_never_copied():
    q, k, v = (gaussian(5, 3, *x.shape) for x in of_length(64)[:3])
    assert largest_tensor(linformer_attention, q, k, v, *projections(16, 64)) <= 15 * 64 * 16
