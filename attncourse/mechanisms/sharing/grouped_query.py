"""Grouped-query attention: several query heads share one head of keys and values."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from attncourse.core.dtypes import accumulation_dtype
from attncourse.core.fused import fused_attention
from attncourse.core.shapes import checked
from attncourse.mechanisms.dense.softmax import attention, masked_softmax


@checked
def grouped_query_attention_by_definition(
    q: Float[Tensor, "... h n d"],
    k: Float[Tensor, "... g m d"],
    v: Float[Tensor, "... g m e"],
    *,
    mask: Bool[Tensor, "..."] | None = None,
) -> Float[Tensor, "... h n e"]:
    """Attention of each query head by itself: head i reads key/value head i // (h / g)."""
    check_groups(q, k)
    h, share = q.shape[-3], q.shape[-3] // k.shape[-3]
    seen = None if mask is None else _over_scores(mask, q, k).expand(*q.shape[:-1], k.shape[-2])
    heads = [
        attention(
            q[..., i, :, :],
            k[..., i // share, :, :],
            v[..., i // share, :, :],
            mask=None if seen is None else seen[..., i, :, :],
        )
        for i in range(h)
    ]
    return torch.stack(heads, dim=-3)


@checked
def grouped_query_attention(
    q: Float[Tensor, "... h n d"],
    k: Float[Tensor, "... g m d"],
    v: Float[Tensor, "... g m e"],
    *,
    mask: Bool[Tensor, "..."] | None = None,
) -> Float[Tensor, "... h n e"]:
    """Attention of h query heads to g key/value heads: head i uses head i // (h / g) of k and v.

    g = h is multi-head attention, g = 1 is multi-query attention. Heads are grouped in
    neighbours, as repeat_interleave and SDPA's enable_gqa do. Nothing is repeated: the queries of
    a group are stacked, so that one matrix product reads each key and each value once. mask is
    Boolean, True where a query may attend, and broadcasts to the scores (..., h, n, m); an empty
    row gives zeros. Half-precision input is accumulated in float32. Time O(h n m (d + e)); memory
    O(h n (d + e)) without a mask, O(h n m) with one; keys and values take g / h of what multi-head
    attention holds.

    Raises ValueError where shapes do not fit or g does not divide h.
    Source: Ainslie et al. 2023, section 2.2; g = 1: Shazeer 2019, section 3.

    >>> q, k, v = torch.zeros(4, 1, 2), torch.zeros(2, 1, 2), torch.tensor([[[1.0]], [[2.0]]])
    >>> grouped_query_attention(q, k, v).flatten().tolist()  # neighbours read the same head
    [1.0, 1.0, 2.0, 2.0]
    """
    check_groups(q, k)
    return attend_in_groups(q, k, v, None if mask is None else _over_scores(mask, q, k))


def check_groups(q: Tensor, k: Tensor) -> None:
    """Raise ValueError unless the heads of k divide those of q."""
    h, g = q.shape[-3], k.shape[-3]
    if h % g:
        raise ValueError(f"g must divide h: got g={g} for k and h={h} for q {tuple(q.shape)}")


def _over_scores(mask: Tensor, q: Tensor, k: Tensor) -> Tensor:
    """The mask with axes for heads, queries and keys, if it broadcasts to (..., h, n, m)."""
    scores = (*q.shape[:-1], k.shape[-2])
    sizes = zip(reversed(mask.shape), reversed(scores), strict=False)
    if mask.ndim > len(scores) or any(a not in (1, b) for a, b in sizes):
        raise ValueError(
            "mask must broadcast to the scores (..., h, n, m)"
            f": got {tuple(mask.shape)} for mask and {scores} for the scores"
        )
    return mask[(None,) * (3 - mask.ndim)]


def attend_in_groups(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """The work of `grouped_query_attention`, for callers that have looked at the shapes."""
    h, n, g = q.shape[-3], q.shape[-2], k.shape[-3]
    wide = accumulation_dtype(q.dtype)
    keys, values = k.to(wide), v.to(wide)
    stacked = torch.unflatten(q.to(wide), -3, (g, h // g)).flatten(-3, -2)  # (..., g, h n / g, d)
    if mask is None and _rows_lie_together(keys, values):
        out = fused_attention(stacked, keys, values)
    else:
        scores = stacked @ keys.mT / math.sqrt(q.shape[-1])
        out = _weights(scores, mask, h // g, n, g) @ values
    out = torch.unflatten(out, -2, (h // g, n))  # (..., g, h / g, n, e)
    return out.flatten(-4, -3).to(v.dtype)


def _rows_lie_together(*matrices: Tensor) -> bool:
    """Is a row of each matrix contiguous? Of others, such as a cache's, SDPA makes copies."""
    return all(x.stride(-1) == 1 for x in matrices)


def _weights(scores: Tensor, mask: Tensor | None, share: int, n: int, g: int) -> Tensor:
    """The weights of the stacked queries (..., g, share n, m)."""
    if mask is None:
        return torch.softmax(scores, dim=-1)
    by_head = torch.unflatten(scores, -2, (share, n))  # (..., g, h / g, n, m)
    return masked_softmax(by_head, _by_group(mask, g)).flatten(-3, -2)


def _by_group(mask: Tensor, groups: int) -> Tensor:
    """A mask over (..., h, n, m), or 1 in place of h, seen as (..., g, h / g, n, m): a view."""
    return mask.unsqueeze(-4) if mask.shape[-3] == 1 else torch.unflatten(mask, -3, (groups, -1))
