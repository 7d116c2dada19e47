"""Ring attention over lists of shards equals the whole."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import scaled_dot_product_attention

from attncourse.core.masks import causal_mask
from attncourse.measure.cost import flops, largest_tensor
from attncourse.mechanisms.serving.ring import (
    causal_ring_attention,
    causal_ring_attention_by_definition,
    ring_attention,
    ring_attention_by_definition,
)
from attncourse.testing import assert_same, gaussian
from rows.ring import shards

FULL = [ring_attention_by_definition, ring_attention]
CAUSAL = [causal_ring_attention_by_definition, causal_ring_attention]
every_form = pytest.mark.parametrize("form", FULL)
every_causal_form = pytest.mark.parametrize("form", CAUSAL)


def whole(qs, ks, vs, causal=False):
    q, k, v = (torch.cat(x, dim=-2) for x in (qs, ks, vs))
    mask = causal_mask(q.shape[-2], k.shape[-2]) if causal else None
    return scaled_dot_product_attention(q, k, v, attn_mask=mask)


@every_form
@pytest.mark.parametrize("std", [2.0, 100.0])
@pytest.mark.parametrize("lead", [(), (2, 3)], ids=str)
def test_it_equals_pytorchs_attention_of_the_whole(form, lead, std):
    lists = shards((5, 3, 4), (7, 1, 12), *lead, std=std)
    out = form(*lists)
    assert [x.shape[-2] for x in out] == [5, 3, 4]
    assert_same(torch.cat(out, dim=-2), whole(*lists))


lengths = st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=1, max_size=5)


@settings(derandomize=True, max_examples=40, deadline=None)
@given(lengths=lengths)
def test_any_number_of_workers_with_shards_of_any_length_agree(lengths):
    lists = shards(*zip(*lengths, strict=True))
    assert_same(torch.cat(ring_attention(*lists), dim=-2), whole(*lists))
    q, k = (sum(n) for n in zip(*lengths, strict=True))
    if q <= k:  # otherwise the first rows are empty, which PyTorch has its own word for
        out = torch.cat(causal_ring_attention(*lists), dim=-2)
        assert_same(out, whole(*lists, causal=True))


@every_causal_form
def test_the_causal_ring_equals_pytorchs_causal_attention(form):
    for keys in ((5, 3, 4), (7, 9, 2), (1, 2, 30)):
        lists = shards((5, 3, 4), keys, 2)
        assert_same(torch.cat(form(*lists), dim=-2), whole(*lists, causal=True))


@every_causal_form
def test_queries_before_all_keys_get_zeros(form):
    out = torch.cat(form(*shards((4, 4), (2, 1))), dim=-2)
    assert torch.equal(out[:5], torch.zeros(5, 6).double())
    assert out[5:].abs().min() > 0


def test_the_future_leaves_the_past_as_it_is_bit_by_bit():
    qs, ks, vs = shards((5, 3, 4), (5, 3, 4))
    before = causal_ring_attention(qs, ks, vs)
    later = causal_ring_attention(qs, [*ks[:2], ks[2] + 1], [*vs[:2], vs[2] + 1])
    assert all(torch.equal(a, b) for a, b in zip(before[:2], later[:2], strict=True))
    assert not torch.equal(before[2], later[2])


@pytest.mark.parametrize(
    ("form", "causal"), [(ring_attention, False), (causal_ring_attention, True)]
)
def test_gradients_are_those_of_the_whole(form, causal):
    lists = [[x.requires_grad_() for x in shard] for shard in shards((5, 3, 4), (7, 1, 12))]
    leaves = [x for shard in lists for x in shard]
    c = gaussian(12, 6, seed=99)
    ours = torch.autograd.grad((torch.cat(form(*lists), dim=-2) * c).sum(), leaves)
    assert_same(ours, torch.autograd.grad((whole(*lists, causal=causal) * c).sum(), leaves))


def test_no_worker_sees_more_than_one_shard_at_once():
    lists = shards((16,) * 8, (16,) * 8)
    assert largest_tensor(ring_attention, *lists) == 16 * 16
    assert largest_tensor(ring_attention_by_definition, *lists) >= 128 * 128


def test_the_work_is_that_of_the_whole_and_about_half_of_it_if_causal():
    lists = shards((16,) * 8, (16,) * 8)
    dense = flops(ring_attention_by_definition, *lists)
    assert flops(ring_attention, *lists) == dense
    assert flops(causal_ring_attention, *lists) / dense == 36 / 64


@pytest.mark.parametrize("form", FULL + CAUSAL)
def test_shards_that_do_not_fit_are_told(form):
    qs, ks, vs = shards((5, 3), (7, 1))
    rule = "^qs, ks and vs must hold one shard for each worker, and at least one: got "
    with pytest.raises(ValueError, match=rule + "2, 2 and 1$"):
        form(qs, ks, vs[:1])
    with pytest.raises(ValueError, match=rule + "0, 0 and 0$"):
        form([], [], [])
    with pytest.raises((ValueError, RuntimeError)):
        form(qs, [ks[0], ks[1][:, :5]], vs)
    with pytest.raises(TypeError):
        form(qs[0], ks, vs)
