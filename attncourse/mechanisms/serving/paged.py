"""Paged attention: the tokens of a sequence are read where they lie, page by page."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from attncourse.core.dtypes import accumulation_dtype
from attncourse.core.shapes import checked
from attncourse.mechanisms.serving.pages import PagedCache
from attncourse.mechanisms.sharing.grouped_query import check_groups, grouped_query_attention


@checked
def paged_attention_by_definition(
    cache: PagedCache, sequence: int, q: Float[Tensor, "... h n d"]
) -> Float[Tensor, "... h n e"]:
    """Grouped-query attention over the tokens of a sequence, copied into one piece first."""
    return grouped_query_attention(q, *cache.gather(sequence))


@checked
def paged_attention(
    cache: PagedCache, sequence: int, q: Float[Tensor, "... h n d"]
) -> Float[Tensor, "... h n e"]:
    """Attention of queries to all tokens of a sequence, which are read page by page in place.

    The pages hold keys (..., g, page, d) and values (..., g, page, e), and g divides h, as in
    `grouped_query_attention`. No key and no value is copied; only scores are put side by side.
    Half-precision input is accumulated in float32. Time O(h n t (d + e)), memory O(h n t) for t
    tokens.

    Raises ValueError for a sequence without tokens and where shapes do not fit.
    Source: Kwon et al. 2023, section 4.1.

    >>> cache = PagedCache(pages=4, page=2)
    >>> cache.append(7, torch.zeros(1, 3, 2), torch.tensor([[[1.0], [2.0], [6.0]]]))
    >>> paged_attention(cache, 7, torch.zeros(1, 1, 2)).round(decimals=4).tolist()
    [[[3.0]]]
    """
    pages = cache.pages_of(sequence)
    _check_query(q, *pages[0])
    check_groups(q, pages[0][0])
    h, n, g = q.shape[-3], q.shape[-2], pages[0][0].shape[-3]
    wide = accumulation_dtype(q.dtype)
    queries = q.to(wide) / math.sqrt(q.shape[-1])
    stacked = torch.unflatten(queries, -3, (g, h // g)).flatten(-3, -2)  # (..., g, (h / g) n, d)
    scores = torch.cat([stacked @ keys.to(wide).mT for keys, _ in pages], dim=-1)
    weights = torch.split(torch.softmax(scores, dim=-1), cache.page, dim=-1)
    parts = (w @ values.to(wide) for w, (_, values) in zip(weights, pages, strict=True))
    out = sum(parts, start=stacked.new_zeros(()))  # (..., g, (h / g) n, e)
    return torch.unflatten(out, -2, (h // g, n)).flatten(-4, -3).to(q.dtype)


@checked
def _check_query(
    q: Float[Tensor, "... h n d"], k: Float[Tensor, "... g c d"], v: Float[Tensor, "... g c e"]
) -> None:
    """Do queries fit the pages? `checked` says so."""
