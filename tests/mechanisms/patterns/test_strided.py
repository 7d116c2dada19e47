"""Strided and dilated attention against PyTorch under their masks, and their cost."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import scaled_dot_product_attention

from attncourse.core.patterns import dilated_mask, strided_mask
from attncourse.measure.cost import flops, largest_tensor, scaling_exponent
from attncourse.mechanisms import forms_of
from attncourse.mechanisms.patterns.strided import (
    dilated_attention,
    strided_attention,
)
from attncourse.testing import assert_same, gaussian, gradients

MASKS = {strided_attention: strided_mask, dilated_attention: dilated_mask}
every_fast_form = pytest.mark.parametrize("fast", MASKS)
every_form = pytest.mark.parametrize("form", [form for fast in MASKS for form in forms_of(fast)])


def inputs(n, *lead, d=8, e=6, std=2.0):
    return tuple(gaussian(*lead, n, w, std=std, seed=s) for s, w in enumerate((d, d, e)))


def under(mask):
    def sdpa(q, k, v, *, stride):
        return scaled_dot_product_attention(q, k, v, attn_mask=mask(q.shape[-2], stride))

    return sdpa


@every_fast_form
@pytest.mark.parametrize("std", [2.0, 100.0])
@pytest.mark.parametrize("n", [1, 37, 201])
@pytest.mark.parametrize("stride", [1, 2, 5, 36, 37, 64, 100, 10**30])
def test_it_equals_pytorch_under_the_mask_in_value_and_gradient(fast, n, stride, std):
    x, sdpa = inputs(n, 2, std=std), under(MASKS[fast])
    assert_same(fast(*x, stride=stride), sdpa(*x, stride=min(stride, n)))
    ours = gradients(fast, *x, stride=stride)
    assert_same(ours, gradients(sdpa, *x, stride=min(stride, n)))


@every_fast_form
@settings(derandomize=True, max_examples=40, deadline=None)
@given(n=st.integers(1, 200), stride=st.integers(1, 210))
def test_any_sizes_agree(fast, n, stride):
    x = inputs(n, d=3, e=2)
    assert_same(fast(*x, stride=stride), under(MASKS[fast])(*x, stride=stride))


def test_a_stride_of_one_is_full_attention():
    x = inputs(150, 2)
    assert_same(dilated_attention(*x, stride=1), scaled_dot_product_attention(*x))
    causal = scaled_dot_product_attention(*x, is_causal=True)
    assert_same(strided_attention(*x, stride=1), causal)
    assert_same(strided_attention(*x, stride=149), causal)
    assert torch.equal(dilated_attention(*x, stride=150), x[2])


def test_dilated_attention_is_full_attention_in_each_class_of_positions():
    x = inputs(37, 2)
    out = dilated_attention(*x, stride=5)
    for first in range(5):
        own = scaled_dot_product_attention(*(y[:, first::5] for y in x))
        assert_same(out[:, first::5], own)


@every_fast_form
def test_what_lies_outside_of_the_pattern_is_not_seen(fast):
    q, k, v = inputs(200)
    before = fast(q, k, v, stride=12)
    for t in (3, 100):
        changed = k.clone(), v.clone()
        for x in changed:
            x[t] += 1.0
        differs = (fast(q, *changed, stride=12) != before).any(dim=-1)
        assert torch.equal(differs, MASKS[fast](200, 12)[:, t])


def test_no_key_counts_twice():
    """With equal scores the weights are those of a plain mean over the keys that are seen."""
    n, stride = 40, 6
    flat, v = torch.zeros(n, 8, dtype=torch.float64), gaussian(n, 6)
    mask = strided_mask(n, stride).double()
    assert_same(strided_attention(flat, flat, v, stride=stride), mask @ v / mask.sum(-1, True))


def root(function):
    """The function with the stride nearest to sqrt(n)."""

    def run(q, k, v):
        return function(q, k, v, stride=round(q.shape[-2] ** 0.5))

    return run


def backward(function):
    return lambda *x: gradients(function, *x)


ROOTS = [
    root(strided_attention),
    backward(root(strided_attention)),
    root(dilated_attention),
    backward(root(dilated_attention)),
]


@pytest.mark.parametrize("form", ROOTS)
def test_work_grows_with_n_to_the_power_of_one_and_a_half(form):
    """From 4096 to 16384 in two steps, since a root doubles with four times the length."""
    once, twice = (flops(form, *(x.to("meta") for x in inputs(n))) for n in (4096, 16384))
    assert 6 < twice / once < 8.5


@pytest.mark.parametrize("form", ROOTS)
def test_nothing_is_n_by_n(form):
    assert largest_tensor(form, *inputs(1024)) <= 1024 * 64
    assert scaling_exponent(largest_tensor, form, inputs, 1024) < 1.55


@every_form
@pytest.mark.parametrize("stride", [0, -3])
def test_a_stride_must_be_positive(form, stride):
    with pytest.raises(ValueError, match=f"^stride must be at least 1: got stride={stride}$"):
        form(*inputs(9), stride=stride)


@every_form
def test_queries_and_keys_must_have_one_length(form):
    q, k, v = inputs(9)
    with pytest.raises(ValueError, match=r"^q and k must share n, their second-to-last axis: got"):
        form(q[:5], k, v, stride=2)
