"""Decoding with a cache: each new token brings one query, and finds keys and values kept."""

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor

from attncourse.core.shapes import checked
from attncourse.mechanisms.dense.softmax import attention, attention_by_definition
from attncourse.mechanisms.sharing.grouped_query import (
    attend_in_groups,
    check_groups,
    grouped_query_attention,
)

Cache = tuple[Tensor, Tensor]


@checked
def decode_step_by_definition(
    cache: Cache,
    q: Float[Tensor, "... n d"],
    k: Float[Tensor, "... n d"],
    v: Float[Tensor, "... n e"],
) -> tuple[Float[Tensor, "... n e"], Cache]:
    """One query over all tokens so far, key by key; the tokens so far are the new cache."""
    _check_one_token(q)
    grown = _append(cache, k, v)
    return attention_by_definition(q, *grown), grown


@checked
def decode_step(
    cache: Cache,
    q: Float[Tensor, "... n d"],
    k: Float[Tensor, "... n d"],
    v: Float[Tensor, "... n e"],
) -> tuple[Float[Tensor, "... n e"], Cache]:
    """Attention of one new token to the cached ones and itself: (out, cache with the token).

    cache holds (keys (..., t, d), values (..., t, e)) of t >= 0 tokens; q, k and v are those of
    one token, n = 1. The result is the last row of causal attention over t + 1 tokens: nothing
    else need be computed again, since the past does not see the future. The given cache is not
    modified; the new one is a copy, which costs O(t (d + e)) a step (`KVCache` does not copy).
    Time and memory O(t (d + e)), where the whole would cost O(t^2 (d + e)).

    Raises TypeError unless cache is a pair of tensors, ValueError where shapes do not fit.
    Source: Shazeer 2019, section 2.4 (incremental attention).
    """
    _check_one_token(q)
    grown = _append(cache, k, v)
    return attention(q, *grown), grown


@checked
def grouped_decode_step(
    cache: Cache,
    q: Float[Tensor, "... h n d"],
    k: Float[Tensor, "... g n d"],
    v: Float[Tensor, "... g n e"],
) -> tuple[Float[Tensor, "... h n e"], Cache]:
    """`decode_step` with fewer heads in the cache than queries: g heads, g divides h.

    cache holds (keys (..., g, t, d), values (..., g, t, e)): g / h of the bytes, and each is read
    once. Time O(h t (d + e)), memory O(g t (d + e) + h t). Raises as `decode_step`, and ValueError
    unless g divides h. Source: Ainslie et al. 2023, section 2.2.
    """
    _check_one_token(q)
    grown = _append(cache, k, v)
    return grouped_query_attention(q, *grown), grown


class _Cache:
    """What both caches have: two buffers (..., d, tokens), of which some tokens are held."""

    def __init__(self) -> None:
        self._buffers: Cache | None = None

    def __len__(self) -> int:
        raise NotImplementedError

    @property
    def keys(self) -> Tensor:
        """Keys (..., t, d) of the t tokens held, a view; not to be written to."""
        return self.held()[0]

    @property
    def values(self) -> Tensor:
        """Values (..., t, e) of the t tokens held, a view; not to be written to."""
        return self.held()[1]

    @property
    def used_bytes(self) -> int:
        """Bytes of the tokens held."""
        return _bytes(self.held()) if self._buffers else 0

    @property
    def allocated_bytes(self) -> int:
        """Bytes of the buffers."""
        return _bytes(self._buffers or ())

    def held(self) -> Cache:
        """Keys and values at once. Raises ValueError for an empty cache."""
        if self._buffers is None:
            raise ValueError("a cache must hold a token before it is read: got an empty cache")
        keys, values = (x[..., : len(self)].mT for x in self._buffers)
        return keys, values

    @checked
    def append(self, k: Float[Tensor, "... c d"], v: Float[Tensor, "... c e"]) -> None:
        """Copy the keys and values of c new tokens in, in place. Time O(c (d + e)) in the mean.

        Raises ValueError or TypeError, and changes nothing, unless k and v share their c and fit
        the tokens before in all else.
        """
        self.write(k, v)

    def write(self, k: Tensor, v: Tensor) -> None:
        """The work of `append`, for callers that have looked at k and v side by side."""
        if self._buffers is not None:
            keys, values = self._buffers
            _check_fits((keys.mT, values.mT), k, v)
        self._write(k, v)

    def _write(self, k: Tensor, v: Tensor) -> None:
        raise NotImplementedError


class KVCache(_Cache):
    """Keys and values of the tokens so far, in buffers that are written in place.

    A full buffer is replaced by one of twice the size, so that n tokens cost O(n) copies in all.
    The axis of tokens is the last one in memory: one query then reads keys and values in the
    order in which a matrix product is fastest. For inference: no gradient flows to what is kept.
    """

    def __init__(self, *, capacity: int = 64) -> None:
        """Room for `capacity` tokens at first; memory is taken when the first token comes."""
        super().__init__()
        if capacity < 1:
            raise ValueError(f"capacity must be at least 1: got capacity={capacity}")
        self._capacity = capacity
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def _write(self, k: Tensor, v: Tensor) -> None:
        """Put the tokens behind the others."""
        start, end = self._length, self._length + k.shape[-2]
        keys, values = self._room_for(k, v, end)
        keys[..., start:end], values[..., start:end] = k.detach().mT, v.detach().mT
        self._length = end

    def _room_for(self, k: Tensor, v: Tensor, needed: int) -> Cache:
        """Buffers for `needed` tokens: those there are, or larger ones with the same tokens."""
        if self._buffers is None or needed > self._capacity:
            grown = self._capacity if self._buffers is None else 2 * self._capacity
            self._capacity = max(grown, needed)
            fresh = _buffer(k, self._capacity), _buffer(v, self._capacity)
            for old, new in zip(self._buffers or (), fresh, strict=False):
                new[..., : self._length] = old[..., : self._length]
            self._buffers = fresh
        return self._buffers


class RollingCache(_Cache):
    """Keys and values of the last `window` + 1 tokens: a token takes the place of the oldest.

    Decoding with it is causal sliding window attention, in which query i sees the keys j with
    0 <= i - j <= window, with memory that does not grow. The slots are in no order of time, and
    none is needed: attention does not see the order of keys (`positions` tells it). For
    inference: no gradient flows to what is kept. Source: Jiang et al. 2023 (Mistral 7B), section 2.
    """

    def __init__(self, *, window: int) -> None:
        """Room for window + 1 tokens; memory is taken when the first token comes."""
        super().__init__()
        if window < 0:
            raise ValueError(f"window must be at least 0: got window={window}")
        self.window = window
        self._seen = 0

    def __len__(self) -> int:
        return min(self._seen, self.window + 1)

    @property
    def positions(self) -> Tensor:
        """The position of the token in each slot, in tokens from 0."""
        newest, slots = self._seen - 1, torch.arange(len(self))
        return newest - (newest - slots) % (self.window + 1)

    def _write(self, k: Tensor, v: Tensor) -> None:
        """Put the tokens over the oldest; of more than window + 1, the last are kept."""
        slots, count = self.window + 1, k.shape[-2]
        keys, values = self._buffers or (_buffer(k, slots), _buffer(v, slots))
        kept = torch.arange(max(0, count - slots), count, device=k.device)
        places = (self._seen + kept) % slots
        keys[..., places], values[..., places] = (x[..., -slots:, :].detach().mT for x in (k, v))
        self._buffers, self._seen = (keys, values), self._seen + count


@checked
def cached_attention(
    cache: KVCache | RollingCache,
    q: Float[Tensor, "... h n d"],
    k: Float[Tensor, "... g n d"],
    v: Float[Tensor, "... g n e"],
) -> Float[Tensor, "... h n e"]:
    """Put one token (n = 1) into the cache, then attend to what it holds; the cache is modified.

    Equal to `grouped_decode_step`, without its copies: time O(h t (d + e)), memory O(h t). With a
    `RollingCache` it equals causal sliding window attention. A prompt of several tokens goes into
    the cache by `append`; its outputs are those of causal attention.

    Raises ValueError where shapes do not fit, g does not divide h, or there are more tokens.
    """
    _check_one_token(q)
    check_groups(q, k)
    cache.write(k, v)
    return attend_in_groups(q, *cache.held())


def _append(cache: Cache, k: Tensor, v: Tensor) -> Cache:
    """The tokens of the cache with one more behind them, as new tensors."""
    if not (isinstance(cache, tuple | list) and len(cache) == 2):
        raise TypeError(f"cache must be a pair (keys, values): got {type(cache).__name__}")
    _check_fits(cache, k, v)
    return torch.cat([cache[0], k], dim=-2), torch.cat([cache[1], v], dim=-2)


def _check_fits(cache: Cache, k: Tensor, v: Tensor) -> None:
    """Do new keys and values fit the cached ones in all but the number of tokens?"""
    for name, old, new in (("k", cache[0], k), ("v", cache[1], v)):
        if not isinstance(old, Tensor):
            raise TypeError(f"cache must hold tensors: got {type(old).__name__} for {name}")
        if old.ndim != new.ndim or _but_tokens(old) != _but_tokens(new):
            raise ValueError(
                f"{name} must fit the cache in all axes but that of tokens, the second-to-last"
                f": got {tuple(new.shape)} for {name} and {_but_tokens(old)} in the cache"
            )
        if (old.dtype, old.device) != (new.dtype, new.device):
            raise TypeError(
                f"{name} must share dtype and device with the cache: got {new.dtype} on"
                f" {new.device} for {name} and {old.dtype} on {old.device} in the cache"
            )
    if cache[0].shape[-2] != cache[1].shape[-2]:
        raise ValueError(
            "cache must hold as many values as keys"
            f": got {cache[0].shape[-2]} keys and {cache[1].shape[-2]} values"
        )


def _but_tokens(x: Tensor) -> tuple[int, ...]:
    """The shape of one token."""
    return (*x.shape[:-2], x.shape[-1])


def _check_one_token(q: Tensor) -> None:
    if q.shape[-2] != 1:
        raise ValueError(f"q, k and v must hold one new token, n = 1: got n={q.shape[-2]}")


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(x.numel() * x.element_size() for x in tensors)


def _buffer(x: Tensor, tokens: int) -> Tensor:
    """Room for the given number of tokens like those of x (..., c, d): (..., d, tokens)."""
    return x.new_empty(*x.shape[:-2], x.shape[-1], tokens)


FORMS = (decode_step_by_definition, decode_step)
