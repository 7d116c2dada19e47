r"""# Mend the order

This function lets h query heads read g heads of keys and values. With g = h it equals multi-head
attention, with one head for all multi-query attention. Shapes and speed are as they should be, and
a model that is *trained* with it is as good as any. Put it into a model that was trained elsewhere,
and the words are gone. Find out which head reads what, and mend it:

$$Z_i = \mathrm{softmax}\!\left(\frac{Q_i K_j^\top}{\sqrt d}\right) V_j, \qquad
j = \lfloor i / s \rfloor, \qquad s = h / g .$$

- `q` is (..., h, n, d), `k` is (..., g, m, d), `v` is (..., g, m, e); the result is (..., h, n, e).
  g divides h. Mask and dtype are right already, and stay so.
"""

import math

import torch

from attncourse.exercises import Borrow, itself
from attncourse.exercises.sharing_and_fusion import grouped_query_attention
from attncourse.mechanisms.sharing.grouped_query import grouped_query_attention as solution

difficulty, minutes = 2, 10
hints = (
    "Take values that say which head they are: 0 for the first head, 1 for the second. With six "
    "query heads and two of these, print which one each query head reads.",
    "`repeat` lays whole copies behind one another. The heads that share stand side by side, so "
    "each is to be repeated in its place.",
)
forbidden = grouped_query_attention.forbidden


def wrong_groups_side_by_side(q, k, v, *, mask=None):
    """You repeat the heads as a whole, 0 1 0 1 0 1, so that neighbours read different ones. Each is
    repeated in its place, 0 0 0 1 1 1.
    """
    share = q.shape[-3] // k.shape[-3]
    copies = [1] * (k.ndim - 3) + [share, 1, 1]
    k, v = k.repeat(copies), v.repeat(copies)
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    return scores.softmax(dim=-1).nan_to_num() @ v


stub = wrong_groups_side_by_side
shown = grouped_query_attention.right_by_repeating


def wrong_keys_mended_alone(q, k, v, *, mask=None):
    """Your keys are repeated in their places now, your values as before. What a head finds by a key
    is the value of the same head: repeat both alike.
    """
    return grouped_query_attention.wrong_values_tiled(q, k, v, mask=mask)


def wrong_values_mended_alone(q, k, v, *, mask=None):
    """Your values are repeated in their places now, your keys as before. What a head finds by a key
    is the value of the same head: repeat both alike.
    """
    h, g = q.shape[-3], k.shape[-3]
    keys = k[..., torch.arange(h) % g, :, :]
    values = v.repeat_interleave(h // g, dim=-3)
    return grouped_query_attention.masked_attention.solution(q, keys, values, mask=mask)


def wrong_repeated_once_for_each_group(q, k, v, *, mask=None):
    """You repeat each head g times and cut off what is too much. A group has h / g heads: repeat
    each that often.
    """
    return grouped_query_attention.wrong_divided_by_the_groups(q, k, v, mask=mask)


def wrong_queries_reordered(q, k, v, *, mask=None):
    """You put the queries into the order of the keys, and left the results in it. The model reads
    head 0 first: put the result back, or leave the queries and repeat the keys in their places.
    """
    g = k.shape[-3]
    mixed = q.unflatten(-3, (g, -1)).transpose(-4, -3).flatten(-4, -3)
    seen = mask
    if mask is not None and mask.ndim > 2 and mask.shape[-3] > 1:
        seen = mask.unflatten(-3, (g, -1)).transpose(-4, -3).flatten(-4, -3)
    heads = torch.arange(q.shape[-3]) % g
    return grouped_query_attention._reading(heads, mixed, k, v, seen)


borrowed = (
    Borrow(
        grouped_query_attention,
        itself,
        (
            "check_neighbours_read_the_same_head",
            "check_has_both_ends",
            "check_takes_leading_axes",
            "check_obeys_the_mask",
            "check_survives_large_scores",
            "check_has_the_right_gradient",
            "check_keeps_the_dtype",
            "wrong_one_head_for_all",
            "wrong_heads_averaged",
            "right_by_repeating",
            "right_by_one_more_axis",
            "right_head_by_head",
        ),
    ),
)
