"""The paged cache equals a contiguous one, shares pages safely and gives them back."""

import math
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import scaled_dot_product_attention

from attncourse.measure.cost import largest_tensor
from attncourse.mechanisms import forms_of
from attncourse.mechanisms.serving.paged import paged_attention
from attncourse.mechanisms.serving.pages import PagedCache
from attncourse.testing import assert_same, gaussian, gradients

every_form = pytest.mark.parametrize("form", forms_of(paged_attention))


def tokens(n, g=2, seed=0):
    return gaussian(g, n, 8, seed=seed), gaussian(g, n, 6, seed=seed + 1)


def held(cache, sequence):
    return cache.gather(sequence)


@every_form
@pytest.mark.parametrize("page", [1, 4, 16, 100])
def test_it_equals_pytorchs_attention_to_contiguous_keys(form, page):
    q, (k, v) = gaussian(4, 3, 8), tokens(37)
    cache = PagedCache(pages=40, page=page)
    cache.append(0, k, v)
    theirs = scaled_dot_product_attention(q, k, v, enable_gqa=True)
    assert_same(form(cache, 0, q), theirs)
    assert torch.equal(cache.gather(0)[0], k)
    assert torch.equal(cache.gather(0)[1], v)


@every_form
def test_sequences_that_take_turns_do_not_mix(form):
    """Their pages are interleaved; the results are those of each alone."""
    cache, whole = PagedCache(pages=30, page=4), {s: tokens(19 + s, seed=10 * s) for s in range(3)}
    for t in range(21):
        for s, (k, v) in whole.items():
            if t < k.shape[-2]:
                cache.append(s, k[:, t : t + 1], v[:, t : t + 1])
    q = gaussian(4, 1, 8)
    for s, (k, v) in whole.items():
        assert_same(form(cache, s, q), scaled_dot_product_attention(q, k, v, enable_gqa=True))
    assert cache.sequences == (0, 1, 2)
    assert sorted(p for s in range(3) for p in cache.table(s)) != list(cache.table(0))
    assert set(cache.table(0)).isdisjoint(cache.table(1))


def test_less_than_a_page_is_wasted_and_freeing_gives_all_back():
    cache = PagedCache(pages=10, page=4)
    for s, n in enumerate((1, 4, 5, 9)):
        cache.append(s, *tokens(n))
        assert len(cache.table(s)) == math.ceil(n / 4)
        assert cache.length(s) == n
    assert cache.free_pages == 10 - 1 - 1 - 2 - 3
    for s in (2, 0, 3, 1):
        cache.free(s)
    assert cache.free_pages == 10
    assert cache.sequences == ()


def test_a_fork_copies_nothing_until_one_of_the_two_writes():
    cache, (k, v) = PagedCache(pages=8, page=4), tokens(6)
    cache.append(0, k, v)
    cache.fork(0, 1)
    assert cache.table(0) == cache.table(1)
    assert cache.free_pages == 6
    more = tokens(1, seed=5)
    cache.append(1, *more)
    assert cache.table(0)[0] == cache.table(1)[0]
    assert cache.table(0)[1] != cache.table(1)[1]
    assert torch.equal(held(cache, 0)[0], k)
    assert torch.equal(held(cache, 1)[0], torch.cat([k, more[0]], dim=-2))
    own = cache.table(0)
    cache.append(0, *tokens(1, seed=7))  # the page is its own again: nothing is copied
    assert cache.table(0) == own
    cache.free(0)
    assert torch.equal(held(cache, 1)[1], torch.cat([v, more[1]], dim=-2))
    cache.free(1)
    assert cache.free_pages == 8


def test_a_full_shared_page_is_not_copied():
    cache = PagedCache(pages=4, page=4)
    cache.append(0, *tokens(4))
    cache.fork(0, 1)
    cache.append(1, *tokens(1))
    assert cache.table(1)[0] == cache.table(0)[0]
    assert cache.free_pages == 2


commands = st.lists(
    st.tuples(st.sampled_from(["append", "fork", "free"]), st.integers(0, 2), st.integers(1, 6)),
    max_size=25,
)


@settings(derandomize=True, max_examples=60, deadline=None)
@given(commands=commands, page=st.integers(1, 5))
def test_any_history_holds_what_plain_lists_would_hold(commands, page):
    cache, plain = PagedCache(pages=12, page=page), {}
    for number, (name, s, n) in enumerate(commands):
        try:
            if name == "append":
                k, v = tokens(n, g=1, seed=number)
                cache.append(s, k, v)
                old = plain.get(s, (k[:, :0], v[:, :0]))
                plain[s] = torch.cat([old[0], k], dim=-2), torch.cat([old[1], v], dim=-2)
            elif name == "fork":
                cache.fork(s, n % 3)
                plain[n % 3] = plain[s]
            else:
                cache.free(s)
                del plain[s]
        except ValueError:
            pass
        for key, (k, v) in plain.items():
            assert torch.equal(held(cache, key)[0], k)
            assert torch.equal(held(cache, key)[1], v)
        used = {p for key in plain for p in cache.table(key)}
        assert cache.free_pages == 12 - len(used)
        assert set(cache.sequences) == set(plain)


def test_out_of_pages_is_told_and_changes_nothing():
    cache, (k, v) = PagedCache(pages=3, page=4), tokens(10)
    cache.append(0, k[:, :7], v[:, :7])
    before = held(cache, 0), cache.table(0)
    with pytest.raises(ValueError, match="^10 more tokens") as caught:
        cache.append(0, k, v)
    assert str(caught.value) == (
        "10 more tokens of sequence 0 must find free pages: got 1 free of 3, and 3 needed"
    )
    with pytest.raises(ValueError, match="must find free pages"):
        cache.append(1, k, v)
    assert cache.table(0) == before[1]
    assert torch.equal(held(cache, 0)[0], before[0][0])
    assert (cache.sequences, cache.free_pages) == ((0,), 1)


def test_pages_are_read_in_place():
    cache, q = PagedCache(pages=8, page=16), gaussian(4, 1, 8)
    cache.append(0, *tokens(128))
    assert largest_tensor(lambda q: paged_attention(cache, 0, q), q) <= max(4 * 128, 8 * 2 * 8 * 16)
    for keys, _ in cache.pages_of(0):
        assert (
            keys.untyped_storage().data_ptr()
            == cache.pages_of(0)[0][0].untyped_storage().data_ptr()
        )


@every_form
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_dtypes_are_kept_and_half_precision_is_rounded_once(form, dtype):
    def run(dtype):
        cache = PagedCache(pages=8, page=16)
        cache.append(0, *(x.to(narrow).to(dtype) for x in tokens(100)))
        return form(cache, 0, gaussian(4, 1, 8).to(narrow).to(dtype))

    narrow = dtype
    assert run(dtype).dtype == dtype
    assert torch.equal(run(dtype), run(torch.float32).to(dtype))


def test_queries_have_a_gradient_and_leading_axes_are_kept():
    cache, q = PagedCache(pages=8, page=16), gaussian(3, 4, 2, 8)
    k, v = gaussian(3, 2, 20, 8), gaussian(3, 2, 20, 6, seed=1)
    cache.append(5, k, v)
    assert_same(
        paged_attention(cache, 5, q), scaled_dot_product_attention(q, k, v, enable_gqa=True)
    )
    theirs = partial(scaled_dot_product_attention, enable_gqa=True)
    ours = gradients(lambda q: paged_attention(cache, 5, q), q)
    assert_same(ours[0], gradients(theirs, q, k, v)[0])


@every_form
def test_what_does_not_fit_is_told(form):
    cache, (k, v) = PagedCache(pages=8, page=4), tokens(5)
    unknown = "^sequence must be one that holds tokens: got sequence=3$"
    cache.append(0, k, v)
    for call in (cache.table, cache.length, cache.free, cache.pages_of, cache.gather):
        with pytest.raises(ValueError, match=unknown):
            call(3)
    with pytest.raises(ValueError, match=unknown):
        form(cache, 3, gaussian(4, 1, 8))
    with pytest.raises(ValueError, match=unknown):
        cache.fork(3, 1)
    with pytest.raises(ValueError, match="^target must be a new sequence: got target=0, already"):
        cache.fork(0, 0)
    rule = "^k must fit the pages in all axes but that of tokens, the second-to-last: got"
    with pytest.raises(
        ValueError, match=rule + r" \(2, 5, 3\) for k and tokens of \(2, 8\) in the"
    ):
        cache.append(0, k[..., :3], v)
    with pytest.raises(TypeError, match="^k must share dtype and device with the pages: got"):
        cache.append(0, k.float(), v.float())
    with pytest.raises(ValueError, match="^q and k must share d"):
        form(cache, 0, gaussian(4, 1, 7))
    with pytest.raises(ValueError, match="^g must divide h: got g=2 for k and h=3"):
        form(cache, 0, gaussian(3, 1, 8))


@pytest.mark.parametrize("sizes", [(0, 4), (4, 0), (-1, 4)])
def test_sizes_out_of_range_are_told(sizes):
    pages, page = sizes
    message = f"^pages and page must be at least 1: got pages={pages}, page={page}$"
    with pytest.raises(ValueError, match=message):
        PagedCache(pages=pages, page=page)
