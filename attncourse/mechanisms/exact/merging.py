"""Attention in parts: over some of the keys at a time, each with its logsumexp, then merged."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from attncourse.core.dtypes import accumulation_dtype
from attncourse.core.shapes import checked
from attncourse.mechanisms.dense.softmax import masked_softmax, softmax


@checked
def attention_and_lse(
    q: Float[Tensor, "... n d"],
    k: Float[Tensor, "... m d"],
    v: Float[Tensor, "... m e"],
    *,
    mask: Bool[Tensor, "... #n #m"] | None = None,
) -> tuple[Float[Tensor, "... n e"], Float[Tensor, "... n"]]:
    """Attention over one part of the keys, ready for `merge_attention`: (out, lse).

    lse_i = log sum_j exp(s_ij) over the keys that query i may attend to, -inf if there are none.
    Both results are in the accumulation dtype (float32 for half precision), so that merging
    rounds nothing. Time O(n m (d + e)), memory O(n m).

    >>> q, k, v = torch.zeros(1, 2), torch.zeros(2, 2), torch.tensor([[1.0], [3.0]])
    >>> out, lse = attention_and_lse(q, k, v)
    >>> out.round(decimals=4).tolist(), lse.exp().round(decimals=4).tolist()  # two keys of score 0
    ([[2.0]], [2.0])
    """
    wide = accumulation_dtype(q.dtype)
    scores = (q.to(wide) / math.sqrt(q.shape[-1])) @ k.to(wide).mT
    if mask is None:
        return softmax(scores) @ v.to(wide), scores.logsumexp(dim=-1)
    lse = scores.masked_fill(~mask, -math.inf).logsumexp(dim=-1)
    return masked_softmax(scores, mask) @ v.to(wide), lse


@checked
def merge_attention(
    out_a: Float[Tensor, "... n e"],
    lse_a: Float[Tensor, "... n"],
    out_b: Float[Tensor, "... n e"],
    lse_b: Float[Tensor, "... n"],
) -> tuple[Float[Tensor, "... n e"], Float[Tensor, "... n"]]:
    """Join attention over two disjoint sets of keys into attention over both.

    Each part is an output and the logsumexp of its scores, lse = log sum_j exp(s_j). The whole has
    lse = log(exp(lse_a) + exp(lse_b)) and out = exp(lse_a - lse) out_a + exp(lse_b - lse) out_b.
    An empty part has lse -inf and counts nothing; two empty parts give zeros and -inf. The order
    of merging does not matter. Time O(n e).

    Source: Milakov and Gimelshein 2018, section 3.1; Rabe and Staats 2021.

    >>> one_key, two_keys = torch.tensor([0.0]), torch.tensor([math.log(2)])
    >>> out, lse = merge_attention(torch.tensor([[1.0]]), one_key, torch.tensor([[4.0]]), two_keys)
    >>> out.round(decimals=4).tolist(), lse.exp().round(decimals=4).tolist()
    ([[3.0]], [3.0])
    """
    top = torch.maximum(lse_a, lse_b).detach()
    top = top.masked_fill(top == -math.inf, 0.0)
    part_a, part_b = (lse_a - top).exp(), (lse_b - top).exp()
    total = part_a + part_b
    empty = total == 0
    safe = total.masked_fill(empty, 1.0)
    out = (part_a / safe)[..., None] * out_a + (part_b / safe)[..., None] * out_b
    return out, (top + safe.log()).masked_fill(empty, -math.inf)


@checked
def empty_part(
    q: Float[Tensor, "... n d"], v: Float[Tensor, "... m e"]
) -> tuple[Float[Tensor, "... n e"], Float[Tensor, "... n"]]:
    """Attention of the queries to no key at all: zeros, with logsumexp -inf.

    Merged with a part, it leaves that as it is. Both results are in the accumulation dtype.
    """
    wide = accumulation_dtype(q.dtype)
    lse = torch.full(q.shape[:-1], -math.inf, dtype=wide, device=q.device)
    return torch.zeros(*q.shape[:-1], v.shape[-1], dtype=wide, device=q.device), lse
