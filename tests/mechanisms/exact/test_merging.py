"""Attention in parts: a part has PyTorch's value and logsumexp, and two make the whole."""

import math

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from attncourse.mechanisms.dense.softmax import attention
from attncourse.mechanisms.exact.merging import attention_and_lse, empty_part, merge_attention
from attncourse.testing import assert_same, attention_inputs, gaussian, gradients, random_mask


@pytest.mark.parametrize("std", [2.0, 100.0])
def test_a_part_has_pytorchs_value_and_logsumexp(std):
    (q, k, v), mask = attention_inputs(2, std=std), random_mask(5, 37, empty_row=3)
    out, lse = attention_and_lse(q, k, v, mask=mask)
    assert_same(out, scaled_dot_product_attention(q, k, v, attn_mask=mask).nan_to_num())
    scores = (q @ k.mT / math.sqrt(8)).masked_fill(~mask, -math.inf)
    assert_same(lse, scores.logsumexp(-1))
    assert lse[0, 3] == -math.inf


def test_a_part_with_an_empty_row_has_finite_gradients():
    (q, k, v), mask = attention_inputs(), random_mask(5, 37, empty_row=3)
    found = gradients(lambda *x: attention_and_lse(*x, mask=mask)[0], q, k, v)
    assert all(x.isfinite().all() for x in found)
    assert torch.equal(found[0][3], torch.zeros(8).double())

    def finite_lse(*x):
        lse = attention_and_lse(*x, mask=mask)[1]
        return lse.masked_fill(lse == -math.inf, 0.0)

    assert all(x.isfinite().all() for x in gradients(finite_lse, q, k, v))


def lse(q, k):
    return (q @ k.mT / math.sqrt(q.shape[-1])).logsumexp(dim=-1)


def part(q, k, v):
    return attention(q, k, v), lse(q, k)


@pytest.mark.parametrize("std", [2.0, 100.0])
def test_two_parts_make_the_whole(std):
    q, k, v = attention_inputs(2, std=std)
    a, b = part(q, k[..., :10, :], v[..., :10, :]), part(q, k[..., 10:, :], v[..., 10:, :])
    assert_same(merge_attention(*a, *b), part(q, k, v))
    assert_same(merge_attention(*b, *a), part(q, k, v))


def test_an_empty_part_counts_nothing_and_two_make_nothing():
    out, scores = gaussian(5, 6), gaussian(5)
    nothing = empty_part(out, out)
    assert_same(nothing, (torch.zeros(5, 6).double(), torch.full((5,), -math.inf).double()))
    assert_same(merge_attention(out, scores, *nothing), (out, scores))
    assert_same(merge_attention(*nothing, *nothing), nothing)
    assert all(g.isfinite().all() for g in gradients(_merged_output, out, scores, *nothing))


def _merged_output(*parts):
    return merge_attention(*parts)[0]


def test_merging_has_the_gradient_of_finite_differences():
    parts = gaussian(3, 2), gaussian(3, seed=1), gaussian(3, 2, seed=2), gaussian(3, seed=3)
    assert torch.autograd.gradcheck(merge_attention, [x.requires_grad_() for x in parts])
