"""Multi-head attention against PyTorch's module, and what heads do and do not change."""

import math

import pytest
import torch
from torch import nn

from attncourse.measure.cost import flops
from attncourse.mechanisms import forms_of
from attncourse.mechanisms.dense.heads import (
    merge_heads,
    multi_head_attention,
    split_heads,
)
from attncourse.mechanisms.dense.self_attention import cross_attention
from attncourse.mechanisms.dense.softmax import attention
from attncourse.testing import assert_same, gaussian, gradients, random_mask

N, M, D = 5, 7, 12
every_form = pytest.mark.parametrize("form", forms_of(multi_head_attention))


def weights(seed=0):
    return tuple(gaussian(D, D, std=0.5, seed=seed + i) for i in range(4))


def torch_module(w_q, w_k, w_v, w_o, h):
    """nn.MultiheadAttention with these weights: it stores them transposed, stacked."""
    module = nn.MultiheadAttention(D, h, bias=False, batch_first=True, dtype=torch.float64)
    with torch.no_grad():
        module.in_proj_weight.copy_(torch.cat([w_q.mT, w_k.mT, w_v.mT]))
        module.out_proj.weight.copy_(w_o.mT)
    return module


@every_form
@pytest.mark.parametrize("h", [1, 2, 3, 6])
def test_it_equals_pytorchs_module_with_the_same_weights(form, h):
    x, memory = gaussian(2, N, D), gaussian(2, M, D, seed=1)
    keep = random_mask(N, M)
    module = torch_module(*weights(), h)
    for mask in (None, keep):
        theirs = module(x, memory, memory, attn_mask=None if mask is None else ~mask)[0]
        assert_same(form(x, memory, *weights(), h=h, mask=mask), theirs)


@every_form
def test_a_mask_may_differ_from_head_to_head_and_from_sequence_to_sequence(form):
    x, memory = gaussian(2, N, D), gaussian(2, M, D, seed=1)
    of_each = torch.stack([random_mask(N, M, seed=s) for s in range(6)]).view(2, 3, N, M)
    for mask in (of_each, of_each[:, :1], of_each[:1], of_each[0, 0], of_each[..., :1, :]):
        whole = multi_head_attention(x, memory, *weights(), h=3, mask=mask)
        full = mask.expand(2, 3, N, M)
        assert_same(form(x, memory, *weights(), h=3, mask=mask), whole)
        assert_same(form(x, memory, *weights(), h=3, mask=full), whole)


@every_form
def test_gradients_with_a_mask_agree(form):
    inputs = gaussian(N, D), gaussian(M, D, seed=1), *weights()
    mask = random_mask(N, M, empty_row=2)
    ours = gradients(multi_head_attention, *inputs, h=3, mask=mask)
    assert all(gradient.isfinite().all() for gradient in ours)
    assert_same(gradients(form, *inputs, h=3, mask=mask), ours)


def test_one_head_is_plain_attention():
    x, memory = gaussian(N, D), gaussian(M, D, seed=1)
    w_q, w_k, w_v, w_o = weights()
    one = multi_head_attention(x, memory, w_q, w_k, w_v, w_o, h=1)
    assert_same(one, cross_attention(x, memory, w_q, w_k, w_v) @ w_o)


def test_the_number_of_heads_changes_no_flops():
    inputs = gaussian(N, D), gaussian(M, D, seed=1), *weights()
    counts = {flops(multi_head_attention, *inputs, h=h) for h in (1, 2, 3, 6)}
    assert counts == {2 * (2 * N + 2 * M) * D * D + 4 * N * M * D}


def test_splitting_keeps_every_token_and_merging_undoes_it():
    x = gaussian(2, N, D)
    heads = split_heads(x, 3)
    assert heads.shape == (2, 3, N, 4)
    assert torch.equal(heads[:, 1], x[..., 4:8])
    assert torch.equal(merge_heads(heads), x)


def test_each_head_scales_by_its_own_width():
    x, eye = gaussian(N, D), torch.eye(D, dtype=torch.float64)
    found = split_heads(multi_head_attention(x, x, eye, eye, eye, eye, h=3), 3)
    for head, part in enumerate(split_heads(x, 3)):
        scores = part @ part.mT / math.sqrt(4)
        assert_same(found[head], torch.softmax(scores, dim=-1) @ part)
        assert_same(found[head], attention(part, part, part))


@pytest.mark.parametrize("h", [0, -1, 5, 24])
def test_heads_must_divide_the_width(h):
    with pytest.raises(ValueError, match=rf"h must divide the last axis of x: got h={h} and 12"):
        split_heads(gaussian(N, D), h)
    with pytest.raises(ValueError, match=rf"h must divide the last axis of w_q: got h={h} and 12"):
        multi_head_attention(gaussian(N, D), gaussian(M, D), *weights(), h=h)


@every_form
def test_a_mask_that_does_not_fit_is_refused(form):
    x, memory = gaussian(2, N, D), gaussian(2, M, D, seed=1)
    with pytest.raises(ValueError, match="mask"):
        form(x, memory, *weights(), h=3, mask=random_mask(N + 1, M))
    with pytest.raises(TypeError, match="mask must be Boolean"):
        form(x, memory, *weights(), h=3, mask=torch.ones(N, M))
