"""Attention to several memories: which forms are one softmax, and where order matters."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import scaled_dot_product_attention

from attncourse.measure.cost import flops, largest_tensor
from attncourse.mechanisms import forms_of
from attncourse.mechanisms.sharing.fusion import (
    _check_memories,
    fuse_memories,
    fuse_memories_by_definition,
    gated_fusion,
    hierarchical_fusion,
    parallel_fusion,
    serial_fusion,
)
from attncourse.testing import assert_same, gaussian, gradients

every_form = pytest.mark.parametrize("form", forms_of(fuse_memories))


def memories(lengths=(7, 1, 12), *lead, std=2.0, e=6):
    return [
        (
            gaussian(*lead, m, 8, std=std, seed=2 * i + 1),
            gaussian(*lead, m, e, seed=2 * i + 2),
        )
        for i, m in enumerate(lengths)
    ]


def joined(pairs):
    return [torch.cat(part, dim=-2) for part in zip(*pairs, strict=True)]


@every_form
@pytest.mark.parametrize("std", [2.0, 100.0])
@pytest.mark.parametrize("lead", [(), (2, 3)], ids=str)
def test_flat_fusion_is_pytorchs_attention_to_the_concatenation(form, lead, std):
    q, pairs = gaussian(*lead, 5, 8, std=std), memories((7, 1, 12), *lead, std=std)
    assert_same(form(q, pairs), scaled_dot_product_attention(q, *joined(pairs)))


@settings(derandomize=True, max_examples=40, deadline=None)
@given(lengths=st.lists(st.integers(1, 6), min_size=1, max_size=5))
def test_any_number_of_memories_of_any_length_agree(lengths):
    q, pairs = gaussian(3, 8), memories(lengths)
    assert_same(fuse_memories(q, pairs), scaled_dot_product_attention(q, *joined(pairs)))


@every_form
def test_the_order_of_memories_does_not_matter_and_one_may_be_cut_in_two(form):
    q, pairs = gaussian(5, 8), memories()
    whole = form(q, pairs)
    assert_same(form(q, pairs[::-1]), whole)
    (k, v), *rest = pairs
    assert_same(form(q, [(k[:3], v[:3]), *rest, (k[3:], v[3:])]), whole)


def test_the_gates_are_a_softmax_over_the_logsumexp_of_scores():
    q, pairs = gaussian(5, 8), memories()
    parts = [scaled_dot_product_attention(q, k, v) for k, v in pairs]
    lse = torch.stack([(q @ k.mT / math.sqrt(8)).logsumexp(-1) for k, _ in pairs])
    gates = lse.softmax(0)[..., None]
    assert_same(fuse_memories(q, pairs), (gates * torch.stack(parts)).sum(0))


def test_flat_fusion_never_holds_all_memories_at_once():
    q, pairs = gaussian(5, 8), memories((64,) * 8)
    assert largest_tensor(fuse_memories, q, pairs) == 64 * 8  # the transposed keys of one
    assert flops(fuse_memories, q, pairs) == 2 * 5 * 512 * (8 + 6)
    assert largest_tensor(fuse_memories_by_definition, q, pairs) >= 512 * 8


def test_serial_fusion_depends_on_the_order_and_parallel_fusion_does_not():
    x, pairs = gaussian(5, 8), memories(e=8)
    assert (serial_fusion(x, pairs) - serial_fusion(x, pairs[::-1])).abs().max() > 0.1
    assert_same(parallel_fusion(x, pairs), parallel_fusion(x, pairs[::-1]))


def test_with_one_memory_serial_parallel_and_an_open_gate_agree():
    x, pairs = gaussian(5, 8), memories((7,), e=8)
    expected = x + scaled_dot_product_attention(x, *pairs[0])
    assert_same(serial_fusion(x, pairs), expected)
    assert_same(parallel_fusion(x, pairs), expected)
    assert_same(gated_fusion(x, *pairs[0], torch.tensor(50.0).double()), expected)


def test_with_one_memory_hierarchical_and_flat_fusion_agree():
    q, pairs = gaussian(5, 8), memories((7,))
    expected = scaled_dot_product_attention(q, *pairs[0])
    assert_same(hierarchical_fusion(q, pairs, gaussian(6, 8)), expected)


def test_both_levels_of_hierarchical_fusion_sum_to_one():
    q, pairs = gaussian(5, 8), memories()
    same = [(k, torch.ones_like(v)) for k, v in pairs]
    assert_same(hierarchical_fusion(q, same, gaussian(6, 8)), torch.ones(5, 6).double())


def test_with_no_second_level_key_every_memory_counts_the_same_however_long():
    q, pairs = gaussian(5, 8), memories()
    mean = torch.stack([scaled_dot_product_attention(q, k, v) for k, v in pairs]).mean(0)
    assert_same(hierarchical_fusion(q, pairs, torch.zeros(6, 8).double()), mean)


def test_a_closed_gate_is_the_identity_and_can_still_open():
    x, ((k, v),) = gaussian(5, 8), memories((7,), e=8)
    closed = torch.tensor(0.0).double()
    assert torch.equal(gated_fusion(x, k, v, closed), x)
    d_x, d_k, d_v, d_alpha = gradients(gated_fusion, x, k, v, closed)
    assert d_alpha.abs() > 1e-3
    assert torch.equal(d_k, torch.zeros_like(k))
    assert torch.equal(d_v, torch.zeros_like(v))
    assert d_x.isfinite().all()


def with_matrix(q, pairs):
    return hierarchical_fusion(q, pairs, gaussian(6, 8))


@pytest.mark.parametrize(
    "form", [*forms_of(fuse_memories), serial_fusion, parallel_fusion, with_matrix]
)
def test_memories_of_the_wrong_kind_are_told(form):
    with pytest.raises(
        ValueError, match=r"^memories must hold at least one pair \(k, v\): got none$"
    ):
        form(gaussian(5, 8), [])
    ((k, v),) = memories((7,))
    for wrong in (3, None, k, [k, v], [(k,)], (k, v)):
        with pytest.raises(TypeError):
            form(gaussian(5, 8), wrong)
    with pytest.raises(ValueError, match="must share d"):
        form(gaussian(5, 8), [(k[:, :5], v)])


def test_the_words_for_memories_of_the_wrong_kind():
    """Called by itself: before the public functions, the annotations of a test run object."""
    with pytest.raises(
        TypeError, match=r"^memories must be a sequence of pairs \(k, v\): got int$"
    ):
        _check_memories(3)
    message = r"^memories must be a sequence of pairs \(k, v\): got Tensor for number 0$"
    with pytest.raises(TypeError, match=message):
        _check_memories([gaussian(5, 8)])


@pytest.mark.parametrize("form", [serial_fusion, parallel_fusion])
def test_values_must_be_as_wide_as_x(form):
    with pytest.raises(ValueError, match="^x and v must share d, their last axis: got d=8"):
        form(gaussian(5, 8), memories())
