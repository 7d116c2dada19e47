"""Coarse-to-fine selection of blocks: limits, laws, causality and counted cost."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import scaled_dot_product_attention

from attncourse.core.masks import causal_mask
from attncourse.measure.cost import flops, largest_tensor, scaling_exponent
from attncourse.mechanisms import forms_of
from attncourse.mechanisms.content.block_selection import (
    block_selection_attention,
    block_selection_attention_by_definition,
)
from attncourse.mechanisms.content.top_k import topk_attention
from attncourse.testing import assert_same, attention_inputs, gaussian, gradients

every_form = pytest.mark.parametrize("form", forms_of(block_selection_attention))
every_causal = pytest.mark.parametrize("causal", [False, True])


def sdpa(q, k, v, *, causal):
    mask = causal_mask(q.shape[-2], k.shape[-2]) if causal else None
    return scaled_dot_product_attention(q, k, v, attn_mask=mask)


@every_form
@every_causal
@pytest.mark.parametrize("block", [1, 5, 36, 37, 100])
def test_all_blocks_are_attention(form, causal, block):
    inputs, top = attention_inputs(2), -(-37 // block)
    assert_same(form(*inputs, block=block, top=top, causal=causal), sdpa(*inputs, causal=causal))
    ours = gradients(form, *inputs, block=block, top=top, causal=causal)
    assert_same(ours, gradients(sdpa, *inputs, causal=causal))


@every_form
def test_blocks_of_one_key_are_top_k(form):
    inputs = attention_inputs(2)
    assert_same(form(*inputs, block=1, top=6), topk_attention(*inputs, top=6))


def one_query_at_a_time(q, k, v, *, block, top, causal):
    """MoBA's rule in loops: own block first, then the best of those before (or of all)."""
    n, m = len(q), len(k)
    outputs = []
    for i, query in enumerate(q):
        end = i + m - n + 1 if causal else m
        starts = list(range(0, m, block))
        score = {s: float(query @ k[s : s + block].mean(dim=0)) for s in starts}
        own = [s for s in starts if causal and s < end <= s + block]
        others = sorted((s for s in starts if s not in own and s < end), key=lambda s: -score[s])
        seen = [j for s in (own + others)[:top] for j in range(s, min(s + block, end))]
        if seen:
            outputs.append(scaled_dot_product_attention(query[None], k[seen], v[seen])[0])
        else:
            outputs.append(v.new_zeros(v.shape[-1]))
    return torch.stack(outputs)


@settings(derandomize=True, max_examples=60, deadline=None)
@given(
    n=st.integers(1, 12),
    m=st.integers(1, 12),
    block=st.integers(1, 13),
    share=st.floats(0, 1),
    causal=st.booleans(),
)
def test_any_sizes_equal_the_rule_in_loops(n, m, block, share, causal):
    q, k, v = gaussian(n, 3), gaussian(m, 3, seed=1), gaussian(m, 2, seed=2)
    options = {"block": block, "top": max(1, round(share * -(-m // block))), "causal": causal}
    expected = one_query_at_a_time(q, k, v, **options)
    for form in forms_of(block_selection_attention):
        assert_same(form(q, k, v, **options), expected)


@every_causal
def test_gradients_equal_those_of_the_definition_for_many_heads_and_rows(causal):
    q, k, v = gaussian(2, 3, 140, 8), gaussian(2, 3, 150, 8, seed=1), gaussian(2, 3, 150, 6, seed=2)
    ours = gradients(block_selection_attention, q, k, v, block=8, top=3, causal=causal)
    assert_same(
        ours,
        gradients(block_selection_attention_by_definition, q, k, v, block=8, top=3, causal=causal),
    )


@every_causal
def test_gradients_by_finite_differences(causal):
    inputs = [y.requires_grad_() for y in (gaussian(5, 4), gaussian(7, 4), gaussian(7, 2))]

    def chosen(q, k, v):
        return block_selection_attention(q, k, v, block=2, top=2, causal=causal)

    assert torch.autograd.gradcheck(chosen, inputs, eps=1e-7)


@every_form
def test_the_future_leaves_the_past_bit_equal(form):
    q, k, v = gaussian(40, 8), gaussian(40, 8, seed=1), gaussian(40, 6, seed=2)
    before = form(q, k, v, block=6, top=3, causal=True)
    changed = [x.clone() for x in (q, k, v)]
    for x in changed:
        x[21:] += 50.0  # within a block: 18 to 23
    after = form(*changed, block=6, top=3, causal=True)
    assert torch.equal(after[:21], before[:21])
    assert not torch.equal(after[21:], before[21:])


@every_form
def test_more_queries_than_keys_leave_the_first_ones_empty(form):
    q, k, v = gaussian(9, 8), gaussian(5, 8, seed=1), gaussian(5, 6, seed=2)
    out = form(q, k, v, block=2, top=2, causal=True)
    assert torch.equal(out[:4], torch.zeros(4, 6, dtype=out.dtype))
    found = gradients(form, q, k, v, block=2, top=2, causal=True)
    assert all(g.isfinite().all() for g in found)


@every_form
def test_the_order_of_blocks_and_of_keys_within_them_does_not_matter(form):
    q, (k, v) = gaussian(5, 8), (gaussian(36, d, seed=d) for d in (8, 6))
    order = torch.arange(36).view(6, 6).flip(0, 1).flatten()
    shuffled = form(q, k[order], v[order], block=6, top=2)
    assert_same(shuffled, form(q, k, v, block=6, top=2))


@every_form
def test_equal_blocks_go_to_the_first(form):
    q, k = gaussian(3, 8), gaussian(1, 8, seed=1).expand(12, 8).contiguous()
    v = torch.eye(12, dtype=torch.float64)
    out = form(q, k, v, block=3, top=2)
    assert torch.equal(out > 0, (torch.arange(12) < 6).expand(3, 12))


def inputs_of_length(n):
    return gaussian(n, 8), gaussian(n, 8, seed=1), gaussian(n, 6, seed=2)


def selected(q, k, v):
    return block_selection_attention(q, k, v, block=16, top=4)


def test_the_work_is_the_coarse_scores_and_the_chosen_blocks():
    n, block, top = 512, 16, 4
    expected = 2 * n * (n // block) * 8 + 2 * n * top * block * (8 + 6)
    assert flops(selected, *inputs_of_length(n)) == expected


def backward(q, k, v):
    return gradients(selected, q, k, v)


@pytest.mark.parametrize("form", [selected, backward])
def test_nothing_is_as_large_as_the_scores(form):
    n = 512
    assert largest_tensor(form, *inputs_of_length(n)) <= n * n // 16
    assert scaling_exponent(largest_tensor, form, inputs_of_length, n) == 1


@every_form
def test_options_out_of_range_are_told(form):
    inputs = attention_inputs()
    with pytest.raises(ValueError, match="^block must be at least 1: got block=0$"):
        form(*inputs, block=0, top=1)
    rule = "top must be between 1 and the number of blocks, 8 of 5 keys for m=37"
    for top in (0, 9):
        with pytest.raises(ValueError, match=f"^{rule}: got top={top}$"):
            form(*inputs, block=5, top=top)
