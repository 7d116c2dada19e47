"""A sliding window equals dense attention under its mask, at linear cost, whatever the sizes."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from local_attention import LocalAttention
from torch.nn.attention.flex_attention import create_block_mask, flex_attention
from torch.nn.functional import scaled_dot_product_attention

from attncourse.core.patterns import sliding_window_mask
from attncourse.measure.cost import flops, largest_tensor, scaling_exponent
from attncourse.mechanisms.patterns.sliding_window import (
    sliding_window_attention,
    sliding_window_attention_by_definition,
)
from attncourse.testing import assert_same, gaussian, gradients

uncompiled = pytest.mark.filterwarnings("ignore:flex_attention called without")
# the kernel among its forms takes a CUDA device: tests/kernels holds its tests
every_form = pytest.mark.parametrize(
    "form", [sliding_window_attention_by_definition, sliding_window_attention]
)
every_causal = pytest.mark.parametrize("causal", [False, True])


def inputs(n, *lead, d=8, e=6, std=2.0):
    shapes = (*lead, n, d), (*lead, n, d), (*lead, n, e)
    return tuple(gaussian(*shape, std=std, seed=seed) for seed, shape in enumerate(shapes))


def sdpa(q, k, v, *, window, causal=False):
    mask = sliding_window_mask(q.shape[-2], window, causal=causal)
    return scaled_dot_product_attention(q, k, v, attn_mask=mask)


@every_causal
@pytest.mark.parametrize("n", [1, 63, 64, 65, 193, 300])
@pytest.mark.parametrize("window", [0, 1, 63, 64, 65, 100, 299, 1000])
def test_it_equals_pytorch_under_the_mask_in_value_and_gradient(n, window, causal):
    x, options = inputs(n, 2), {"window": window, "causal": causal}
    assert_same(sliding_window_attention(*x, **options), sdpa(*x, **options))
    ours = gradients(sliding_window_attention, *x, **options)
    assert_same(ours, gradients(sdpa, *x, **options))


@settings(derandomize=True, max_examples=40, deadline=None)
@given(
    n=st.integers(1, 260),
    window=st.integers(0, 270),
    causal=st.booleans(),
    d=st.integers(1, 4),
    e=st.integers(1, 4),
)
def test_any_sizes_agree(n, window, causal, d, e):
    x, options = inputs(n, d=d, e=e), {"window": window, "causal": causal}
    assert_same(sliding_window_attention(*x, **options), sdpa(*x, **options))


@every_causal
def test_large_scores_change_nothing_about_that(causal):
    x, options = inputs(200, std=100.0), {"window": 30, "causal": causal}
    assert_same(sliding_window_attention(*x, **options), sdpa(*x, **options))
    ours = gradients(sliding_window_attention, *x, **options)
    assert_same(ours, gradients(sdpa, *x, **options))


@every_causal
@pytest.mark.parametrize("window", [16, 48])
def test_it_equals_local_attention(window, causal):
    """Their window_size is a bucket; exact_windowsize trims what they look back to our window."""
    q, k, v = inputs(192, 2, 3, d=8, e=8)
    theirs = LocalAttention(
        window_size=window,
        causal=causal,
        look_backward=1,
        look_forward=0 if causal else 1,
        exact_windowsize=True,
        use_rotary_pos_emb=False,
        autopad=True,
    )
    ours = sliding_window_attention(q, k, v, window=window, causal=causal)
    assert_same(ours, theirs(q, k, v))


@uncompiled
def test_it_equals_flex_attention():
    q, k, v = (x.float() for x in inputs(200, 2, 3, d=16, e=16, std=1.0))

    def near(b, h, i, j):
        return (i - j).abs() <= 30

    mask = create_block_mask(near, None, None, 200, 200, device="cpu")
    theirs = flex_attention(q, k, v, block_mask=mask)
    assert_same(sliding_window_attention(q, k, v, window=30), theirs)


@every_form
def test_a_window_over_everything_is_full_attention_and_one_of_nothing_is_v(form):
    q, k, v = inputs(150, 2)
    for window in (149, 150, 10**30):
        assert_same(form(q, k, v, window=window), scaled_dot_product_attention(q, k, v))
        causal = scaled_dot_product_attention(q, k, v, is_causal=True)
        assert_same(form(q, k, v, window=window, causal=True), causal)
    assert torch.equal(form(q, k, v, window=0), v)
    assert torch.equal(form(q, k, v, window=0, causal=True), v)


@pytest.mark.parametrize("window", [5, 70])
def test_what_lies_outside_of_the_window_is_not_seen(window):
    """Changing row t leaves every output that may not see it bit-equal, and changes the others."""
    q, k, v = inputs(300)
    t = 150
    changed = k.clone(), v.clone()
    for x in changed:
        x[t] += 1.0
    for causal in (False, True):
        options = {"window": window, "causal": causal}
        before = sliding_window_attention(q, k, v, **options)
        after = sliding_window_attention(q, *changed, **options)
        seen = sliding_window_mask(300, **options)[:, t]
        assert torch.equal((before != after).any(dim=-1), seen)


def test_reversing_the_sequence_reverses_the_result():
    x = inputs(200, 2)
    backwards = sliding_window_attention(*(y.flip(-2) for y in x), window=40)
    assert_same(backwards.flip(-2), sliding_window_attention(*x, window=40))


def test_moving_the_sequence_moves_the_result():
    x = inputs(300)
    whole = sliding_window_attention(*x, window=20)
    part = sliding_window_attention(*(y[37:] for y in x), window=20)
    assert_same(part[20:], whole[57:])


def narrow(q, k, v):
    return sliding_window_attention(q, k, v, window=16)


def narrow_causal(q, k, v):
    return sliding_window_attention(q, k, v, window=16, causal=True)


def narrow_backward(q, k, v):
    return gradients(narrow, q, k, v)


@pytest.mark.parametrize("form", [narrow, narrow_causal, narrow_backward])
def test_work_and_memory_grow_with_the_length_and_not_with_its_square(form):
    for measure in (flops, largest_tensor):
        for n in (2048, 4096):
            exponent = scaling_exponent(measure, form, inputs, n)
            assert exponent == pytest.approx(1, abs=100 / n)
    assert largest_tensor(form, *inputs(1024)) < 16 * 1024 * 2


def test_the_work_is_the_window_and_the_block_for_each_query():
    dense = flops(scaled_dot_product_attention, *inputs(1024, e=8))
    both, past = (flops(form, *inputs(1024)) for form in (narrow, narrow_causal))
    assert both / dense == pytest.approx((16 + 64 + 16) / 1024, rel=0.03)
    assert past / dense == pytest.approx((16 + 64) / 1024, rel=0.03)


@every_form
def test_a_window_may_not_be_negative(form):
    with pytest.raises(ValueError, match=r"^window must be at least 0: got window=-1$"):
        form(*inputs(9), window=-1)


@every_form
def test_queries_and_keys_must_have_one_length(form):
    q, k, v = inputs(9)
    with pytest.raises(ValueError, match=r"^q and k must share n, their second-to-last axis: got"):
        form(q[:5], k, v, window=2)
