"""Decoding: each new token brings one query, and finds the keys and values of the others kept."""

import torch
from jaxtyping import Float
from torch import Tensor

from attncourse.core.shapes import checked
from attncourse.mechanisms.dense.softmax import attention, attention_by_definition
from attncourse.mechanisms.serving._fitting import but_tokens, check_fits
from attncourse.mechanisms.serving.cache import KVCache, RollingCache
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
    cache: tuple[Tensor, Tensor],
    q: Float[Tensor, "... n d"],
    k: Float[Tensor, "... n d"],
    v: Float[Tensor, "... n e"],
) -> tuple[Float[Tensor, "... n e"], tuple[Tensor, Tensor]]:
    """Attention of one new token to the cached ones and itself: (out, cache with the token).

    cache holds (keys (..., t, d), values (..., t, e)) of t >= 0 tokens; q, k and v are those of
    one token, n = 1. The result is the last row of causal attention over t + 1 tokens: nothing
    else need be computed again, since the past does not see the future. The given cache is not
    modified; the new one is a copy, which costs O(t (d + e)) a step (`KVCache` does not copy).
    Time and memory O(t (d + e)), where the whole would cost O(t^2 (d + e)).

    Raises TypeError unless cache is a pair of tensors, ValueError where shapes do not fit.
    Source: Shazeer 2019, section 2.4 (incremental attention).

    >>> cache, x = (torch.empty(0, 2), torch.empty(0, 1)), torch.zeros(1, 2)
    >>> for value in (1.0, 3.0):
    ...     out, cache = decode_step(cache, x, x, torch.tensor([[value]]))
    >>> out.tolist(), cache[1].tolist()
    ([[2.0]], [[1.0], [3.0]])
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

    >>> cache, q = (torch.empty(1, 0, 2), torch.empty(1, 0, 1)), torch.zeros(4, 1, 2)
    >>> for value in (1.0, 3.0):
    ...     out, cache = grouped_decode_step(cache, q, q[:1], torch.tensor([[[value]]]))
    >>> out.flatten().tolist()  # four heads read the one that is kept
    [2.0, 2.0, 2.0, 2.0]
    """
    _check_one_token(q)
    grown = _append(cache, k, v)
    return grouped_query_attention(q, *grown), grown


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

    >>> cache, q, k = KVCache(), torch.zeros(2, 1, 2), torch.zeros(1, 1, 2)
    >>> for value in (1.0, 3.0):
    ...     out = cached_attention(cache, q, k, torch.tensor([[[value]]]))
    >>> out.flatten().tolist(), len(cache)
    ([2.0, 2.0], 2)
    """
    _check_one_token(q)
    check_groups(q, k)
    cache.write(k, v)
    return attend_in_groups(q, *cache.held())


def _check_one_token(q: Tensor) -> None:
    if q.shape[-2] != 1:
        raise ValueError(f"q, k and v must hold one new token, n = 1: got n={q.shape[-2]}")


def _append(cache: Cache, k: Tensor, v: Tensor) -> Cache:
    """The tokens of the cache with one more behind them, as new tensors."""
    if not (isinstance(cache, tuple | list) and len(cache) == 2):
        raise TypeError(f"cache must be a pair (keys, values): got {type(cache).__name__}")
    for name, old, new in (("k", cache[0], k), ("v", cache[1], v)):
        if not isinstance(old, Tensor):
            raise TypeError(f"cache must hold tensors: got {type(old).__name__} for {name}")
        check_fits(name, new, "cache", but_tokens(old), old)
    if cache[0].shape[-2] != cache[1].shape[-2]:
        raise ValueError(
            "cache must hold as many values as keys"
            f": got {cache[0].shape[-2]} keys and {cache[1].shape[-2]} values"
        )
    return torch.cat([cache[0], k], dim=-2), torch.cat([cache[1], v], dim=-2)
