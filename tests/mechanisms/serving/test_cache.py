"""Decoding with a cache that is written in place equals causal attention, perhaps of a window."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from attncourse.core.masks import causal_mask
from attncourse.measure.analytic import kv_cache_bytes
from attncourse.measure.cost import largest_tensor
from attncourse.measure.memory import peak_bytes
from attncourse.mechanisms.serving.cache import KVCache, RollingCache
from attncourse.mechanisms.serving.decoding import (
    cached_attention,
    grouped_decode_step,
)
from attncourse.mechanisms.sharing.grouped_query import grouped_query_attention
from attncourse.testing import assert_same, gaussian
from rows.decoding import causal, sequence, token


def decode_in_place(cache, q, k, v):
    steps = [cached_attention(cache, *token(t, q, k, v)) for t in range(q.shape[-2])]
    return torch.cat(steps, dim=-2)


@pytest.mark.parametrize("capacity", [1, 3, 64])
@pytest.mark.parametrize("g", [1, 2, 4])
def test_the_growing_cache_equals_the_whole(capacity, g):
    q, k, v = sequence(2, g=g)
    cache = KVCache(capacity=capacity)
    assert_same(decode_in_place(cache, q, k, v), causal(q, k, v))
    assert torch.equal(cache.keys, k)
    assert torch.equal(cache.values, v)
    assert len(cache) == 11


@settings(derandomize=True, max_examples=40, deadline=None)
@given(pieces=st.lists(st.integers(1, 5), min_size=1, max_size=6), capacity=st.integers(1, 9))
def test_a_prompt_may_come_in_pieces(pieces, capacity):
    q, k, v = sequence(n=sum(pieces))
    cache, outputs = KVCache(capacity=capacity), []
    for rows, keys, values in zip(*(x.split(pieces, dim=-2) for x in (q, k, v)), strict=True):
        cache.append(keys, values)
        mask = causal_mask(rows.shape[-2], len(cache))
        outputs.append(grouped_query_attention(rows, cache.keys, cache.values, mask=mask))
    assert_same(torch.cat(outputs, dim=-2), causal(q, k, v))
    assert cache.allocated_bytes <= max(2 * cache.used_bytes, _bytes_of(capacity))


def _bytes_of(tokens, g=2, dtype=torch.float64):
    """Keys of width 8 and values of width 6."""
    return tokens * g * (8 + 6) * dtype.itemsize


@pytest.mark.parametrize("window", [0, 1, 3, 10, 50])
def test_the_rolling_cache_is_a_causal_sliding_window(window):
    q, k, v = sequence(2)
    cache = RollingCache(window=window)
    assert_same(decode_in_place(cache, q, k, v), causal(q, k, v, window))
    assert len(cache) == min(11, window + 1)
    assert cache.allocated_bytes == 2 * _bytes_of(window + 1)


@settings(derandomize=True, max_examples=40, deadline=None)
@given(pieces=st.lists(st.integers(1, 9), min_size=1, max_size=5), window=st.integers(0, 8))
def test_the_rolling_cache_holds_the_last_tokens_and_knows_where(pieces, window):
    _, k, v = sequence(n=sum(pieces))
    cache = RollingCache(window=window)
    for keys, values in zip(k.split(pieces, dim=-2), v.split(pieces, dim=-2), strict=True):
        cache.append(keys, values)
    positions, n = cache.positions, sum(pieces)
    assert sorted(positions.tolist()) == list(range(max(0, n - window - 1), n))
    assert torch.equal(cache.keys, k[..., positions, :])
    assert torch.equal(cache.values, v[..., positions, :])


def test_a_cache_takes_the_bytes_of_the_formula():
    for g in (1, 2, 4):
        for dtype in (torch.float16, torch.float32):
            k = gaussian(g, 37, 8).to(dtype)
            cache = KVCache(capacity=37)
            cache.append(k, k)
            assert cache.used_bytes == kv_cache_bytes(1, 37, g, 8, dtype.itemsize)
            assert cache.allocated_bytes == cache.used_bytes


def test_buffers_double_and_are_seldom_moved():
    _, k, v = sequence(n=100)
    cache, places, sizes = KVCache(capacity=4), set(), set()
    for t in range(100):
        cache.append(*token(t, k, v))
        places.add(cache.keys.data_ptr())
        sizes.add(cache.allocated_bytes)
        assert cache.used_bytes == _bytes_of(t + 1)
    assert sizes == {_bytes_of(tokens) for tokens in (4, 8, 16, 32, 64, 128)}
    assert torch.equal(cache.keys, k)
    assert len(places) <= 6


@pytest.mark.parametrize("cache", [KVCache(), RollingCache(window=20)])
def test_nothing_that_requires_a_gradient_is_kept(cache):
    q, k, v = (x.requires_grad_() for x in sequence(n=5))
    out = decode_in_place(cache, q[..., :1, :], k[..., :1, :], v[..., :1, :])
    assert not cache.keys.requires_grad
    assert torch.autograd.grad(out.sum(), q)[0].isfinite().all()


def test_a_step_in_place_makes_no_copy_of_the_cache():
    _, k, v = sequence(n=256)
    cache = KVCache(capacity=512)
    cache.append(k, v)
    held = cache.keys.data_ptr()
    new = token(0, *sequence(n=1))
    assert largest_tensor(lambda *x: cached_attention(cache, *x), *new) <= 2 * 8 * 512  # views
    assert cache.keys.data_ptr() == held
    assert largest_tensor(lambda *x: grouped_decode_step((k, v), *x)[0], *new) >= 2 * 257 * 8


@pytest.mark.parametrize("g", [1, 2, 8])
def test_a_step_copies_nothing_of_what_is_cached(g):
    """Not even inside of PyTorch's operators, where no count of tensors sees it."""
    keys = gaussian(1, g, 500, 64).float()
    cache = KVCache(capacity=600)
    cache.append(keys, keys)
    new = gaussian(1, 8, 1, 64).float(), keys[..., :1, :], keys[..., :1, :]
    assert peak_bytes(cached_attention, cache, *new) < keys.nbytes / (2 if g > 1 else 1)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_dtypes_are_kept_and_half_precision_is_rounded_once(dtype):
    q, k, v = (x.to(dtype) for x in sequence())
    out = decode_in_place(KVCache(), q, k, v)
    assert out.dtype == dtype
    wide = decode_in_place(KVCache(), *(x.float() for x in (q, k, v)))
    assert torch.equal(out, wide.to(dtype))


def test_caches_work_on_meta():
    q, k, v = (x.to("meta") for x in sequence(3))
    assert decode_in_place(KVCache(), q, k, v).shape == (3, 4, 11, 6)
    assert decode_in_place(RollingCache(window=3), q, k, v).shape == (3, 4, 11, 6)


@pytest.mark.parametrize("cache", [KVCache(), RollingCache(window=4)])
def test_tokens_that_do_not_fit_are_told_and_change_nothing(cache):
    q, k, v = sequence()
    with pytest.raises(
        ValueError, match="^a cache must hold a token before it is read: got an emp"
    ):
        _ = cache.keys
    assert (len(cache), cache.used_bytes, cache.allocated_bytes) == (0, 0, 0)
    cache.append(*token(0, k, v))
    with pytest.raises(ValueError, match="^k must fit the cache in all axes but that of tokens"):
        cache.append(k[..., :5], v)
    with pytest.raises(ValueError, match="^v must fit the cache in all axes but that of tokens"):
        cache.append(k, v[..., :5])
    with pytest.raises(ValueError, match="^k and v must share c, their second-to-last axis"):
        cache.append(k, v[..., :5, :])
    with pytest.raises(TypeError, match="^k must share dtype and device with the cache"):
        cache.append(k.float(), v.float())
    with pytest.raises(ValueError, match="^g must divide h: got g=2 for k and h=3"):
        cached_attention(cache, *token(1, q[:3], k, v))
    with pytest.raises(ValueError, match="^q, k and v must hold one new token, n = 1: got n=11$"):
        cached_attention(cache, q, k, v)
    assert len(cache) == 1


def test_sizes_out_of_range_are_told():
    with pytest.raises(ValueError, match="^capacity must be at least 1: got capacity=0$"):
        KVCache(capacity=0)
    with pytest.raises(ValueError, match="^window must be at least 0: got window=-1$"):
        RollingCache(window=-1)
