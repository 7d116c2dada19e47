"""Caches of keys and values: one that grows, and one that keeps the last tokens only."""

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor

from attncourse.core.numbers import plain_number
from attncourse.core.shapes import checked
from attncourse.mechanisms.serving._fitting import but_tokens, check_fits, room_like

Buffers = tuple[Tensor, Tensor]


class _Cache:
    """What both caches have: two buffers (..., d, tokens), of which some tokens are held."""

    def __init__(self) -> None:
        self._buffers: Buffers | None = None

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

    def held(self) -> Buffers:
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
        for name, new, buffer in zip("kv", (k, v), self._buffers or (), strict=False):
            check_fits(name, new, "cache", tuple(buffer.shape[:-1]), buffer)
        self._write(k, v)

    def _write(self, k: Tensor, v: Tensor) -> None:
        raise NotImplementedError


class KVCache(_Cache):
    """Keys and values of the tokens so far, in buffers that are written in place.

    A full buffer is replaced by one of twice the size, so that n tokens cost O(n) copies in all.
    The axis of tokens is the last one in memory: one query then reads keys and values in the
    order in which a matrix product is fastest. For inference: no gradient flows to what is kept.

    >>> cache = KVCache(capacity=2)
    >>> for token in (1.0, 2.0, 3.0):
    ...     cache.append(torch.full((1, 1), token), torch.full((1, 4), token))
    >>> cache.keys.tolist(), cache.used_bytes, cache.allocated_bytes
    ([[1.0], [2.0], [3.0]], 60, 80)
    """

    def __init__(self, *, capacity: int = 64) -> None:
        """Room for `capacity` tokens at first; memory is taken when the first token comes."""
        super().__init__()
        capacity = plain_number("capacity", int, capacity)
        if capacity < 1:
            raise ValueError(f"capacity must be at least 1: got capacity={capacity}")
        self._capacity = capacity
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def reorder(self, rows: Tensor) -> None:
        """Row i of the first axis is from now on what row rows[i] was; a row may come twice or not
        at all. Time and memory O(the buffers).

        >>> cache = KVCache()
        >>> cache.append(torch.tensor([[[1.0]], [[2.0]]]), torch.zeros(2, 1, 3))
        >>> cache.reorder(torch.tensor([1, 1]))
        >>> cache.keys.flatten().tolist()
        [2.0, 2.0]
        """
        if self._buffers is not None:
            keys, values = self._buffers
            self._buffers = keys[rows], values[rows]

    def _write(self, k: Tensor, v: Tensor) -> None:
        """Put the tokens behind the others."""
        start, end = self._length, self._length + k.shape[-2]
        keys, values = self._room_for(k, v, end)
        keys[..., start:end], values[..., start:end] = k.detach().mT, v.detach().mT
        self._length = end

    def _room_for(self, k: Tensor, v: Tensor, needed: int) -> Buffers:
        """Buffers for `needed` tokens: those there are, or larger ones with the same tokens."""
        if self._buffers is None or needed > self._capacity:
            grown = self._capacity if self._buffers is None else 2 * self._capacity
            capacity = max(grown, needed)
            fresh = _buffer(k, capacity), _buffer(v, capacity)
            for old, new in zip(self._buffers or (), fresh, strict=False):
                new[..., : self._length] = old[..., : self._length]
            self._buffers, self._capacity = fresh, capacity
        return self._buffers


class RollingCache(_Cache):
    """Keys and values of the last `window` + 1 tokens: a token takes the place of the oldest.

    Decoding with it is causal sliding window attention, in which query i sees the keys j with
    0 <= i - j <= window, with memory that does not grow. The slots are in no order of time, and
    none is needed: attention does not see the order of keys (`positions` tells it). For
    inference: no gradient flows to what is kept. Source: Jiang et al. 2023 (Mistral 7B), section 2.

    >>> cache = RollingCache(window=1)
    >>> for token in (1.0, 2.0, 3.0):
    ...     cache.append(torch.full((1, 1), token), torch.full((1, 4), token))
    >>> cache.keys.tolist(), cache.positions.tolist()
    ([[3.0], [2.0]], [2, 1])
    """

    def __init__(self, *, window: int) -> None:
        """Room for window + 1 tokens; memory is taken when the first token comes."""
        super().__init__()
        window = plain_number("window", int, window)
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


def _buffer(x: Tensor, tokens: int) -> Tensor:
    """Room for the given number of tokens like those of x (..., c, d): (..., d, tokens)."""
    return room_like(x, *but_tokens(x), tokens)


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(x.numel() * x.element_size() for x in tensors)
