"""Grouped-query attention against PyTorch and transformers, and its two ends: MHA and MQA."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import scaled_dot_product_attention

from attncourse.measure.cost import flops, largest_tensor, operators
from attncourse.mechanisms import forms_of
from attncourse.mechanisms.dense.softmax import attention
from attncourse.mechanisms.exact.blockwise import blockwise_attention
from attncourse.mechanisms.sharing.grouped_query import (
    grouped_query_attention,
)
from attncourse.testing import assert_same, gaussian, gradients, random_mask

every_form = pytest.mark.parametrize("form", forms_of(grouped_query_attention))


def inputs(h, g, *lead, n=5, m=37, std=2.0):
    return (
        gaussian(*lead, h, n, 8, std=std),
        gaussian(*lead, g, m, 8, std=std, seed=1),
        gaussian(*lead, g, m, 6, std=std, seed=2),
    )


def sdpa(q, k, v, *, mask=None):
    return scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True)


@every_form
@pytest.mark.parametrize("std", [2.0, 100.0])
@pytest.mark.parametrize(("h", "g"), [(1, 1), (6, 1), (6, 2), (6, 3), (6, 6)])
def test_it_equals_pytorchs_grouped_attention_in_value_and_gradient(form, h, g, std):
    arguments = inputs(h, g, 2, std=std)
    assert_same(form(*arguments), sdpa(*arguments))
    assert_same(gradients(form, *arguments), gradients(sdpa, *arguments))


@every_form
def test_masks_of_every_shape_equal_pytorchs(form):
    q, k, v = inputs(4, 2, 3)
    each = torch.stack([random_mask(5, 37, seed=s) for s in range(12)]).view(3, 4, 5, 37)
    for mask in (each, each[:1], each[:, :1], each[0], each[0, :1], each[0, 0], each[0, 0, :1]):
        assert_same(form(q, k, v, mask=mask), sdpa(q, k, v, mask=mask))
        ours = gradients(form, q, k, v, mask=mask)
        assert_same(ours, gradients(sdpa, q, k, v, mask=mask))
    columns = each[..., :1]
    columns[..., 0, :] = True
    assert_same(form(q, k, v, mask=columns), form(q, k, v, mask=columns.expand(3, 4, 5, 37)))


@every_form
def test_an_empty_row_gives_zeros_value_and_gradient(form):
    arguments, mask = inputs(4, 2), random_mask(5, 37, empty_row=2)
    assert torch.equal(form(*arguments, mask=mask)[:, 2], torch.zeros(4, 6).double())
    found = gradients(form, *arguments, mask=mask)
    assert all(x.isfinite().all() for x in found)
    assert torch.equal(found[0][:, 2], torch.zeros(4, 8).double())


def test_it_equals_the_attention_of_llama():
    """In float32, for Llama takes its softmax in no other dtype."""
    from transformers.models.llama.modeling_llama import LlamaConfig, eager_attention_forward

    q, k, v = (x.float() for x in inputs(6, 2, 3, std=1.0))
    module = torch.nn.Module()
    module.config, module.num_key_value_groups = LlamaConfig(), 3
    keep = random_mask(5, 37)
    bias = torch.zeros(3, 1, 5, 37).masked_fill(~keep, -math.inf)
    for mask, added in ((None, None), (keep, bias)):
        theirs, _ = eager_attention_forward(module, q, k, v, added, scaling=1 / math.sqrt(8))
        assert_same(grouped_query_attention(q, k, v, mask=mask), theirs.transpose(1, 2))


def test_with_a_group_for_each_head_it_is_multi_head_attention():
    arguments, mask = inputs(4, 4, 2), random_mask(5, 37)
    whole = attention(*arguments, mask=mask)
    assert_same(grouped_query_attention(*arguments, mask=mask), whole)


def test_with_one_group_it_is_multi_query_attention():
    q, k, v = inputs(4, 1, 2)
    copies = (x.expand(2, 4, *x.shape[2:]) for x in (k, v))
    assert_same(grouped_query_attention(q, k, v), attention(q, *copies))


def test_heads_are_grouped_in_neighbours_and_not_in_turns():
    q, k, v = inputs(4, 2)
    repeated = grouped_query_attention(q, *(x.repeat_interleave(2, dim=0) for x in (k, v)))
    tiled = grouped_query_attention(q, *(x.repeat(2, 1, 1) for x in (k, v)))
    assert_same(grouped_query_attention(q, k, v), repeated)
    assert (repeated - tiled).abs().max() > 0.1


@settings(derandomize=True, max_examples=40, deadline=None)
@given(g=st.integers(1, 4), share=st.integers(1, 4), n=st.integers(1, 5), m=st.integers(1, 5))
def test_any_sizes_agree(g, share, n, m):
    arguments, mask = inputs(g * share, g, n=n, m=m), random_mask(n, m)
    assert_same(grouped_query_attention(*arguments), sdpa(*arguments))
    for form in forms_of(grouped_query_attention):
        assert_same(form(*arguments, mask=mask), sdpa(*arguments, mask=mask))


def test_stacked_queries_let_another_attention_serve_a_group():
    q, k, v = inputs(6, 2, 3)
    tiled = blockwise_attention(q.view(3, 2, 15, 8), k, v, block=8)
    assert_same(tiled.view(3, 6, 5, 6), grouped_query_attention(q, k, v))


def test_no_key_or_value_is_copied():
    """The largest tensor of a step are its scores, and sharing changes neither FLOPs nor that."""
    for g in (1, 2, 4, 8):
        arguments = inputs(8, g, n=1, m=64)
        assert flops(grouped_query_attention, *arguments) == 2 * 8 * 64 * (8 + 6)
        views = 64 * g * 8  # the transposed keys, a view, count with their size
        assert largest_tensor(grouped_query_attention, *arguments) == max(views, 8 * 64)


def test_the_number_of_operators_does_not_depend_on_heads():
    counts = {operators(grouped_query_attention, *inputs(8, g)) for g in (1, 2, 8)}
    assert len(counts) == 1


@every_form
def test_what_does_not_fit_is_told(form):
    q, k, v = inputs(4, 2)
    with pytest.raises(
        ValueError, match=r"^g must divide h: got g=3 for k and h=4 for q \(4, 5, 8\)$"
    ):
        form(q, *(x[:1].expand(3, -1, -1) for x in (k, v)))
    with pytest.raises(
        ValueError, match="^k and v must share g, their third-to-last axis: got g=2"
    ):
        form(q, k, v[:1])
    for shape in ((5, 36), (3, 5, 37), (2, 4, 5, 37), (36,)):
        with pytest.raises(ValueError, match="^mask must ") as caught:
            form(q, k, v, mask=torch.ones(shape, dtype=torch.bool))
        assert str(caught.value) == (
            "mask must broadcast to the scores (..., h, n, m)"
            f": got {shape} for mask and (4, 5, 37) for the scores"
        )
    with pytest.raises(TypeError, match="^mask must be Boolean"):
        form(q, k, v, mask=torch.ones(5, 37))
