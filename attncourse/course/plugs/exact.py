"""Functions that compute attention itself, another way: right, they change nothing in a model."""

from typing import Any

import torch
from torch import Tensor

import attncourse
from attncourse.course.plugs.plug import BLOCK, Function, Sockets, without_mask

WORKERS = 3


def in_halves(function: Function) -> Sockets:
    """Attention over the first half of the keys and over the second, merged by the function."""

    def attention(q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor | None = None) -> Any:
        cut = k.shape[-2] // 2
        parts: list[Tensor] = []
        for keys in (slice(cut), slice(cut, None)):
            seen = None if mask is None else mask[..., keys]
            parts += attncourse.attention_and_lse(q, k[..., keys, :], v[..., keys, :], mask=seen)
        return function(*parts)[0]

    return {"attention": attention}


def in_memories(function: Function) -> Sockets:
    """What a query may see as two memories, the older half and the newer."""

    def attend(q: Tensor, k: Tensor, v: Tensor) -> Any:
        cut = k.shape[-2] // 2
        parts = [slice(cut), slice(cut, None)] if cut else [slice(None)]
        return function(q, [(k[..., part, :], v[..., part, :]) for part in parts])

    return without_mask(attend)


def mask_in_its_place(function: Function) -> Sockets:
    """The mask goes in as the fourth argument, without a name."""

    def attention(q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor) -> Any:
        return function(q, k, v, mask)

    return {"attention": attention}


def heads_last(function: Function) -> Sockets:
    """One query at a time, with the heads behind the tokens."""

    def attention(q: Tensor, k: Tensor, v: Tensor) -> Any:
        return function(*(x.transpose(0, 1) for x in (q, k, v))).transpose(0, 1)

    return {"attention": attention}


def in_tiles(function: Function) -> Sockets:
    """Causal attention, a tile of keys after the other."""

    def attention(q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor | None = None) -> Any:
        return function(q, k, v, block=BLOCK, causal=True)

    return {"attention": attention}


def in_flash_tiles(function: Function) -> Sockets:
    """A program's loop over the keys: whole tiles of the past, then key by key those of the block.

    A tile knows no mask, so that on the diagonal a key goes to the queries from its place on.
    """

    def attention(q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor | None = None) -> Any:
        n, past = q.shape[-2], k.shape[-2] - q.shape[-2]
        largest = torch.full_like(q[..., 0], -torch.inf)
        sums = q.new_zeros(*q.shape[:-1], v.shape[-1])
        state: tuple[Tensor, ...] = (largest, torch.zeros_like(largest), sums)
        for j in range(0, past, BLOCK):
            tile = slice(j, min(j + BLOCK, past))
            state = function(q, k[..., tile, :], v[..., tile, :], state)
        for j in range(past, past + n):
            later = [x[:, j - past :] for x in (q, *state)]
            found = function(later[0], k[..., j : j + 1, :], v[..., j : j + 1, :], tuple(later[1:]))
            state = _with_rows(state, found, j - past)
        return state[2] / state[1][..., None]

    return {"attention": attention}


def _with_rows(state: tuple[Tensor, ...], rows: Any, first: int) -> tuple[Tensor, ...]:
    """A state in which the rows from the first on are others."""
    pairs = zip(state, rows, strict=True)
    return tuple(torch.cat([old[:, :first], new], dim=1) for old, new in pairs)


def in_shards(function: Function) -> Sockets:
    """The text cut over three workers, or as many as there are tokens, and put together again."""

    def attention(q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor | None = None) -> Any:
        workers = min(WORKERS, q.shape[-2])
        shards = [list(torch.tensor_split(x, workers, dim=-2)) for x in (q, k, v)]
        return torch.cat(list(function(*shards)), dim=-2)

    return {"attention": attention}
