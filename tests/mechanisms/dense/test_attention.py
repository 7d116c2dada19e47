"""Attention equals its definition and PyTorch under every mask; what a NaN reaches."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import scaled_dot_product_attention

from attncourse.core.masks import causal_mask
from attncourse.mechanisms.dense.softmax import attention, attention_by_definition
from attncourse.testing import assert_same, attention_inputs, gaussian, gradients, random_mask

few = settings(derandomize=True, max_examples=25, deadline=None)
sizes = st.integers(1, 6)
seeds = st.integers(0, 10_000)

MASKS = {
    "full (5, 37)": random_mask(5, 37),
    "with an empty row": random_mask(5, 37, empty_row=2),
    "causal": causal_mask(5, 37),
    "one row for all queries (1, 37)": random_mask(1, 37),
    "one column for all keys (5, 1)": random_mask(5, 1, empty_row=3),
    "nothing at all (1, 1)": torch.tensor([[False]]),
    "everything": torch.ones(5, 37, dtype=torch.bool),
    "by head (3, 5, 37)": random_mask(15, 37, empty_row=7).view(3, 5, 37),
    "by batch (2, 1, 1, 37)": random_mask(2, 37).view(2, 1, 1, 37),
    "by batch and head (2, 3, 5, 37)": random_mask(30, 37, empty_row=13).view(2, 3, 5, 37),
}
every_mask = pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)


def sdpa(q, k, v, *, mask=None):
    return scaled_dot_product_attention(q, k, v, attn_mask=mask)


def assert_agree(ours, theirs, *arguments, **options):
    """The two functions have one value and one gradient for q, k and v."""
    assert_same(ours(*arguments, **options), theirs(*arguments, **options))
    ours_found = gradients(ours, *arguments, **options)
    for name, a, b in zip("qkv", ours_found, gradients(theirs, *arguments, **options), strict=True):
        assert_same(a, b, f"the gradient of {name}")


@every_mask
@pytest.mark.parametrize("oracle", [attention_by_definition, sdpa])
def test_attention_under_a_mask_equals_its_oracles_in_value_and_gradient(oracle, mask):
    assert_agree(attention, oracle, *attention_inputs(2, 3, seed=mask.ndim), mask=mask)


@pytest.mark.parametrize("oracle", [attention_by_definition, sdpa])
@pytest.mark.parametrize("mask", [None, random_mask(5, 37, empty_row=4)], ids=["plain", "masked"])
def test_scores_in_the_hundred_thousands_change_nothing_about_that(oracle, mask):
    assert_agree(attention, oracle, *attention_inputs(std=100.0, seed=3), mask=mask)


@given(n=sizes, m=sizes, d=sizes, e=sizes, lead=st.lists(st.integers(0, 2), max_size=2), seed=seeds)
@few
def test_attention_equals_the_definition_for_any_sizes_and_any_mask(n, m, d, e, lead, seed):
    q, k = gaussian(*lead, n, d, seed=seed), gaussian(*lead, m, d, seed=seed + 1)
    v = gaussian(*lead, m, e, seed=seed + 2)
    mask = torch.rand(n, m, generator=torch.Generator().manual_seed(seed)) < 0.5
    assert_agree(attention, attention_by_definition, q, k, v, mask=mask)


def test_an_empty_row_gives_zeros_and_takes_no_gradient():
    q, k, v = attention_inputs(seed=4)
    mask = torch.ones(5, 37, dtype=torch.bool)
    mask[2] = False
    assert torch.equal(attention(q, k, v, mask=mask)[2], torch.zeros(6, dtype=torch.float64))
    for_q, for_k, for_v = gradients(attention, q, k, v, mask=mask)
    assert torch.equal(for_q[2], torch.zeros(8, dtype=torch.float64))
    assert all(g.isfinite().all() and g.any() for g in (for_q, for_k, for_v))


def test_a_mask_without_any_true_gives_zeros_with_zero_gradients():
    nothing = torch.zeros(5, 37, dtype=torch.bool)
    q, k, v = attention_inputs(2)
    assert not attention(q, k, v, mask=nothing).any()
    assert not any(g.any() for g in gradients(attention, q, k, v, mask=nothing))


def test_a_hidden_key_and_its_value_take_no_gradient():
    q, k, v = attention_inputs()
    mask = torch.ones(5, 37, dtype=torch.bool)
    mask[:, 11] = False
    _, for_k, for_v = gradients(attention, q, k, v, mask=mask)
    assert not for_k[11].any()
    assert not for_v[11].any()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_masked_attention_in_half_precision_errs_at_most_twice_as_much_as_pytorch(dtype):
    q, k, v = (x.to(dtype) for x in attention_inputs(2, 3, std=1.0))
    mask = random_mask(5, 37, empty_row=1)
    exact = sdpa(*(x.to(torch.float64) for x in (q, k, v)), mask=mask)
    scores = (q @ k.mT / math.sqrt(8)).masked_fill(~mask, -math.inf)
    plain = torch.softmax(scores, dim=-1).nan_to_num(0.0) @ v
    out = attention(q, k, v, mask=mask)
    assert (out - exact).abs().max() <= 2 * (plain - exact).abs().max()
    assert not out[..., 1, :].any()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_scores_beyond_the_range_of_float16_do_not_overflow(dtype):
    q, k, v = (x.to(dtype) for x in attention_inputs(std=200.0))
    assert attention(q, k, v).isfinite().all()
    assert attention(q, k, v, mask=random_mask(5, 37)).isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_a_mask_keeps_dtype_and_is_not_modified(dtype):
    q, k, v = (x.to(dtype) for x in attention_inputs(3))
    mask = random_mask(5, 37)
    copy = mask.clone()
    assert attention(q, k, v, mask=mask).dtype == dtype
    assert torch.equal(mask, copy)


def test_a_mask_works_on_the_meta_device():
    q, k, v = (x.to("meta") for x in attention_inputs(2, 3))
    out = attention(q, k, v, mask=random_mask(5, 37).to("meta"))
    assert (out.is_meta, out.shape) == (True, (2, 3, 5, 6))


@pytest.mark.parametrize("mask", [None, random_mask(3, 5, empty_row=1)], ids=["plain", "masked"])
def test_attention_passes_gradcheck(mask):
    inputs = [gaussian(*shape).requires_grad_() for shape in ((2, 3, 2), (2, 5, 2), (2, 5, 3))]
    assert torch.autograd.gradcheck(lambda q, k, v: attention(q, k, v, mask=mask), inputs)


def test_a_nan_in_a_query_reaches_its_own_row_alone():
    q, k, v = attention_inputs()
    clean = attention(q, k, v)
    q[2, 0] = math.nan
    out = attention(q, k, v)
    assert out[2].isnan().all()
    others = [0, 1, 3, 4]
    assert_same(out[others], clean[others])


def test_a_nan_in_a_query_that_may_attend_to_nothing_reaches_no_row():
    q, k, v = attention_inputs()
    q[2] = math.nan
    out = attention(q, k, v, mask=random_mask(5, 37, empty_row=2))
    assert not out[2].any()
    assert out.isfinite().all()


def test_a_nan_in_a_key_reaches_only_the_queries_that_may_attend_to_it():
    q, k, v = attention_inputs()
    mask = random_mask(5, 37, empty_row=4)
    clean = attention(q, k, v, mask=mask)
    k[11] = math.nan
    out = attention(q, k, v, mask=mask)
    reached = mask[:, 11]
    assert 0 < reached.sum() < 5
    assert out[reached].isnan().all()
    assert_same(out[~reached], clean[~reached])
    assert attention(q, k, v).isnan().all()


def test_a_nan_in_a_value_reaches_every_query_in_its_column():
    q, k, v = attention_inputs()
    mask = random_mask(5, 37)
    mask[0, 11] = False
    clean = attention(q, k, v, mask=mask)
    v[11, 3] = math.nan
    out = attention(q, k, v, mask=mask)
    assert out[:, 3].isnan().all()
    columns = [0, 1, 2, 4, 5]
    assert_same(out[:, columns], clean[:, columns])
