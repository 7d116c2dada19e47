"""What a cache refuses leaves it as it was; and it does not matter in which mode it was filled."""

import copy

import pytest
import torch

from attncourse.mechanisms.serving.cache import KVCache, RollingCache
from attncourse.mechanisms.serving.decoding import cached_attention
from attncourse.mechanisms.serving.paged import paged_attention
from attncourse.mechanisms.serving.pages import PagedCache
from attncourse.testing import assert_same, gaussian

D, E = 4, 3


class Paged:
    """A paged cache as the others are: one sequence, number 5."""

    def __init__(self):
        self.cache = PagedCache(pages=3, page=2)

    def append(self, k, v):
        self.cache.append(5, k, v)

    def attend(self, q, k, v):
        self.append(k, v)
        return paged_attention(self.cache, 5, q)


class Plain(Paged):
    def __init__(self, cache):
        self.cache = cache

    def append(self, k, v):
        self.cache.append(k, v)

    def attend(self, q, k, v):
        return cached_attention(self.cache, q, k, v)


MADE = {
    "growing": lambda: Plain(KVCache(capacity=2)),
    "rolling": lambda: Plain(RollingCache(window=3)),
    "paged": Paged,
}
every_cache = pytest.mark.parametrize("made", MADE.values(), ids=MADE)


def tokens(count, heads=2):
    return gaussian(heads, count, D, seed=count), gaussian(heads, count, E, seed=count + 9)


def state(held):
    """All that a cache remembers, copied."""
    return copy.deepcopy(vars(held.cache))


def equal(a, b):
    if isinstance(a, torch.Tensor):
        return torch.equal(a.nan_to_num(), b.nan_to_num())
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, tuple):
        return len(a) == len(b) and all(map(equal, a, b))
    return a == b


ALWAYS_WRONG = {
    "lengths apart": lambda k, v: (k, v[:, :-1]),
    "heads apart": lambda k, v: (k[:1], v),
    "dtypes apart": lambda k, v: (k, v.float()),
    "devices apart": lambda k, v: (k, v.to("meta")),
    "no tokens": lambda k, v: (k[:, :0], v[:, :0]),
    "no tensor": lambda k, v: (k, v.tolist()),
}
NO_FIT = {
    "wider": lambda k, v: (torch.cat([k, k], dim=-1), v),
    "more heads": lambda k, v: (torch.cat([k, k]), torch.cat([v, v])),
    "of another dtype": lambda k, v: (k.float(), v.float()),
    "elsewhere": lambda k, v: (k.to("meta"), v.to("meta")),
}


def refused(held, k, v):
    before = state(held)
    with pytest.raises((ValueError, TypeError)):
        held.append(k, v)
    assert equal(vars(held.cache), before)


@pytest.mark.parametrize("spoil", ALWAYS_WRONG.values(), ids=ALWAYS_WRONG)
@every_cache
def test_a_refused_first_token_fixes_nothing(made, spoil):
    held = made()
    refused(held, *spoil(*tokens(2)))
    k, v = (x.float() for x in tokens(1, heads=3))  # all may be otherwise now
    held.append(k, v)
    assert_same(held.attend(k, k, v).dtype, torch.float32)


@pytest.mark.parametrize("spoil", (ALWAYS_WRONG | NO_FIT).values(), ids=ALWAYS_WRONG | NO_FIT)
@every_cache
def test_a_later_token_that_is_refused_changes_nothing(made, spoil):
    held, other = made(), made()
    for each in (held, other):
        each.append(*tokens(3))
    refused(held, *spoil(*tokens(2)))
    k, v = tokens(1)
    assert_same(held.attend(k, k, v), other.attend(k, k, v))


def test_too_many_first_tokens_for_the_pages_fix_nothing():
    held = Paged()
    refused(held, *tokens(7))
    held.append(*(x.float() for x in tokens(6, heads=1)))
    assert (held.cache.length(5), held.cache.free_pages) == (6, 0)


def test_room_that_cannot_be_had_leaves_a_growing_cache_as_it_was(monkeypatch):
    held = MADE["growing"]()
    held.append(*tokens(2))
    before = state(held)

    def full(*_, **__):
        raise MemoryError

    monkeypatch.setattr("attncourse.mechanisms.serving.cache.room_like", full)
    with pytest.raises(MemoryError):
        held.append(*tokens(1))
    assert equal(vars(held.cache), before)


@pytest.mark.parametrize("first", [True, False], ids=["filled in it", "filled outside"])
@every_cache
def test_inference_mode_may_begin_and_end_while_a_cache_is_filled(made, first):
    held, other = made(), made()
    for inference, count in ((first, 1), (not first, 2), (first, 1)):
        with torch.inference_mode(inference):
            held.append(*tokens(count))
        other.append(*tokens(count))
    k, v = tokens(1)
    q = k.clone().requires_grad_()
    out = held.attend(q, k, v)
    out.sum().backward()
    assert_same(out.detach(), other.attend(k, k, v))
    assert q.grad.isfinite().all()
