"""Attention in tiles is exact, for any tile, and never holds an (n, m) matrix."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import scaled_dot_product_attention

from attncourse.core.masks import causal_mask
from attncourse.measure.cost import flops, largest_tensor, scaling_exponent
from attncourse.mechanisms import forms_of
from attncourse.mechanisms.dense.softmax import attention
from attncourse.mechanisms.exact.blockwise import (
    blockwise_attention,
    blockwise_attention_by_definition,
)
from attncourse.testing import assert_same, attention_inputs, gaussian, gradients

every_form = pytest.mark.parametrize("form", forms_of(blockwise_attention))

every_causal = pytest.mark.parametrize("causal", [False, True])


def sdpa(q, k, v, *, causal):
    mask = causal_mask(q.shape[-2], k.shape[-2]) if causal else None
    return scaled_dot_product_attention(q, k, v, attn_mask=mask)


@every_form
@every_causal
@pytest.mark.parametrize("block", [1, 7, 36, 37, 1000])
@pytest.mark.parametrize("lead", [(), (2, 3), (0,)], ids=str)
def test_it_equals_pytorch_in_value_and_gradient(form, causal, block, lead):
    inputs = attention_inputs(*lead)
    assert_same(form(*inputs, block=block, causal=causal), sdpa(*inputs, causal=causal))
    ours = gradients(form, *inputs, block=block, causal=causal)
    assert_same(ours, gradients(sdpa, *inputs, causal=causal))


@every_causal
def test_large_scores_change_nothing_about_that(causal):
    inputs = attention_inputs(std=100.0)
    ours = blockwise_attention(*inputs, block=5, causal=causal)
    assert_same(ours, sdpa(*inputs, causal=causal))


@every_form
def test_more_queries_than_keys_leave_the_first_ones_empty(form):
    q, k, v = gaussian(9, 8), gaussian(5, 8, seed=1), gaussian(5, 6, seed=2)
    out = form(q, k, v, block=2, causal=True)
    assert torch.equal(out[:4], torch.zeros(4, 6, dtype=out.dtype))
    assert_same(out, sdpa(q, k, v, causal=True))
    found = gradients(form, q, k, v, block=2, causal=True)
    assert all(gradient.isfinite().all() for gradient in found)
    assert torch.equal(found[0][:4], torch.zeros(4, 8, dtype=q.dtype))


@settings(derandomize=True, max_examples=40, deadline=None)
@given(n=st.integers(1, 9), m=st.integers(1, 9), block=st.integers(1, 10), causal=st.booleans())
def test_any_sizes_agree(n, m, block, causal):
    q, k, v = gaussian(n, 3), gaussian(m, 3, seed=1), gaussian(m, 2, seed=2)
    assert_same(
        blockwise_attention(q, k, v, block=block, causal=causal), sdpa(q, k, v, causal=causal)
    )


def inputs_of_length(n):
    return gaussian(n, 8), gaussian(n, 8, seed=1), gaussian(n, 6, seed=2)


def tiled(q, k, v):
    return blockwise_attention(q, k, v, block=16)


def tiled_backward(q, k, v):
    return gradients(tiled, q, k, v)


def test_equal_scores_share_the_gradient_however_large_they_are():
    """Beside a score of 1e10 the logarithm of a sum of five is lost in rounding."""
    q, k = torch.full((3, 4), 1e5), torch.full((5, 4), 1e5)
    v = gaussian(5, 2, seed=1).float()
    for causal in (False, True):
        found = gradients(blockwise_attention, q, k, v, block=2, causal=causal)
        expected = gradients(blockwise_attention_by_definition, q, k, v, block=2, causal=causal)
        assert_same(found[2], expected[2])


@pytest.mark.parametrize("form", [tiled, tiled_backward])
def test_the_largest_tensor_grows_with_the_length_and_not_with_its_square(form):
    for n in (128, 256):
        assert largest_tensor(form, *inputs_of_length(n)) <= 16 * n
    assert scaling_exponent(largest_tensor, form, inputs_of_length, 128) == 1


def test_the_work_is_that_of_dense_attention_and_half_of_it_if_causal():
    inputs = inputs_of_length(256)
    dense = flops(attention, *inputs)
    assert flops(blockwise_attention, *inputs, block=16) == dense
    assert 0.5 < flops(blockwise_attention, *inputs, block=16, causal=True) / dense < 0.54


@every_causal
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_within_the_plain_forms_budget(dtype, causal):
    inputs = [x.to(dtype) for x in attention_inputs(std=1.0)]
    exact = sdpa(*(x.double() for x in inputs), causal=causal)
    scores = (inputs[0] @ inputs[1].mT / math.sqrt(8)).masked_fill(
        ~causal_mask(5, 37) if causal else torch.zeros(5, 37, dtype=torch.bool), -math.inf
    )
    plain = torch.softmax(scores, dim=-1) @ inputs[2]
    ours = blockwise_attention(*inputs, block=8, causal=causal)
    assert ours.dtype == dtype
    assert (ours - exact).abs().max() <= 2 * (plain - exact).abs().max()


def test_it_runs_on_meta_and_leaves_its_arguments_alone():
    inputs = attention_inputs(2)
    before = [x.clone() for x in inputs]
    blockwise_attention(*inputs, block=8)
    assert all(torch.equal(a, b) for a, b in zip(inputs, before, strict=True))
    assert blockwise_attention(*(x.to("meta") for x in inputs), block=8).shape == (2, 5, 6)


@every_form
@pytest.mark.parametrize("block", [0, -3])
def test_a_block_must_be_positive(form, block):
    with pytest.raises(ValueError, match=f"^block must be at least 1: got block={block}$"):
        form(*attention_inputs(), block=block)
