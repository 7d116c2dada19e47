"""Blocks that attend to themselves alone, against PyTorch under the mask and block by block."""

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from attncourse.core.patterns import block_mask
from attncourse.measure.cost import flops, largest_tensor, scaling_exponent
from attncourse.mechanisms import forms_of
from attncourse.mechanisms.patterns.block_local import block_attention
from attncourse.testing import assert_same, gaussian, gradients

every_form = pytest.mark.parametrize("form", forms_of(block_attention))


def inputs(n, *lead, std=2.0):
    return tuple(gaussian(*lead, n, w, std=std, seed=s) for s, w in enumerate((8, 8, 6)))


def sdpa(q, k, v, *, block):
    return scaled_dot_product_attention(q, k, v, attn_mask=block_mask(q.shape[-2], block))


@pytest.mark.parametrize("std", [2.0, 100.0])
@pytest.mark.parametrize("block", [1, 2, 7, 36, 37, 38, 10**30])
def test_it_equals_pytorch_under_the_mask_in_value_and_gradient(block, std):
    x = inputs(37, 2, std=std)
    assert_same(block_attention(*x, block=block), sdpa(*x, block=block))
    assert_same(gradients(block_attention, *x, block=block), gradients(sdpa, *x, block=block))


@every_form
def test_each_block_is_full_attention_within_itself(form):
    x = inputs(37, 2)
    parts = [scaled_dot_product_attention(*p) for p in zip(*(y.split(10, -2) for y in x))]  # noqa: B905
    assert_same(form(*x, block=10), torch.cat(parts, dim=-2))


@every_form
def test_one_block_is_full_attention_and_blocks_of_one_are_v(form):
    x = inputs(37, 2)
    assert_same(form(*x, block=37), scaled_dot_product_attention(*x))
    assert torch.equal(form(*x, block=1), x[2])


def test_a_change_stays_within_its_block():
    q, k, v = inputs(37)
    before = block_attention(q, k, v, block=10)
    changed = k.clone()
    changed[25] += 1.0
    differs = (block_attention(q, changed, v, block=10) != before).any(dim=-1)
    assert differs.nonzero().flatten().tolist() == list(range(20, 30))


def tens(q, k, v):
    return block_attention(q, k, v, block=10)


def tens_backward(q, k, v):
    return gradients(tens, q, k, v)


@pytest.mark.parametrize("form", [tens, tens_backward])
def test_work_and_memory_grow_with_the_length(form):
    for measure in (flops, largest_tensor):
        assert scaling_exponent(measure, form, inputs, 320) == 1
        assert scaling_exponent(measure, form, inputs, 640) == 1


def test_the_work_is_that_of_the_blocks():
    assert flops(block_attention, *inputs(320), block=10) == 320 * 10 * (8 + 8) * 2


@every_form
@pytest.mark.parametrize("block", [0, -3])
def test_a_block_must_be_positive(form, block):
    with pytest.raises(ValueError, match=f"^block must be at least 1: got block={block}$"):
        form(*inputs(9), block=block)


@every_form
def test_queries_and_keys_must_have_one_length(form):
    q, k, v = inputs(9)
    with pytest.raises(ValueError, match=r"^q and k must share n, their second-to-last axis: got"):
        form(q[:5], k, v, block=2)
