r"""# Several queries, one key

Let h query heads read g heads of keys and values. Neighbours share: of $s = h / g$ heads in a row,
all read the same one,

$$Z_i = \mathrm{softmax}\!\left(\frac{Q_i K_j^\top}{\sqrt d}\right) V_j, \qquad
j = \lfloor i / s \rfloor, \qquad i = 0 \ldots h - 1 .$$

- `q` is (..., h, n, d), `k` is (..., g, m, d), `v` is (..., g, m, e); the result is (..., h, n, e),
  in the dtype of `v`. The axes in front of the heads are batches, shared by all three.
- g divides h. With g = h it is multi-head attention, with one head for all
  multi-query attention.
- `mask`, if given, is Boolean and broadcasts to (..., h, n, m): True means *may attend*. A query
  that may attend to nothing gives zeros.
- Your `attention` of the chapter on masks may do the work. What PyTorch calls `enable_gqa` is what
  you are writing.
"""

import math

import torch

from attncourse.exercises import Borrow
from attncourse.exercises.masks import masked_attention
from attncourse.mechanisms.sharing.grouped_query import grouped_query_attention as solution
from attncourse.mechanisms.sharing.grouped_query import (
    grouped_query_attention_by_definition as by_definition,
)
from attncourse.testing import assert_same, gaussian, gradients, random_mask

difficulty, minutes = 2, 20
hints = (
    "Write for each query head the number of the key head that it reads, for h = 6 and g = 2. "
    "Which of `repeat` and `repeat_interleave` gives that list?",
    "Repeat the heads of k and v along axis -3 until there are h of them, then attend as before. "
    "Or split the heads of q into (g, h / g) and let k and v broadcast.",
)
forbidden = ("MultiheadAttention",)

SIZES = (6, 2, 5, 7, 8, 3)  # h, g, n, m, d, e
OTHER_SIZES = (6, 3, 4, 9, 5, 7)


def check_neighbours_read_the_same_head(student):
    """head i reads key head i // (h / g), whatever the sizes"""
    for sizes in (SIZES, OTHER_SIZES):
        inputs = _inputs(sizes=sizes)
        assert_same(student(*inputs), by_definition(*inputs))


def check_has_both_ends(student):
    """g = h is multi-head attention, g = 1 lets all heads read one"""
    for g in (4, 1):
        inputs = _inputs(sizes=(4, g, 5, 9, 3, 7), seed=10)
        assert_same(student(*inputs), by_definition(*inputs))


def check_takes_leading_axes(student):
    """works for any batch axes, those of length one too, and for one query"""
    for lead, sizes in (((2, 3), SIZES), ((1,), OTHER_SIZES), ((4, 1), (4, 2, 1, 5, 3, 6))):
        inputs = _inputs(*lead, sizes=sizes, seed=20)
        assert_same(student(*inputs), by_definition(*inputs))


def check_obeys_the_mask(student):
    """one mask for all heads, one for each head or text; an empty row gives zeros"""
    q, k, v = _inputs(seed=30)
    by_head = random_mask(6 * 5, 7, empty_row=8).unflatten(0, (6, 5))
    for mask in (random_mask(5, 7, empty_row=2), by_head, by_head[:, :1], torch.tensor(True)):
        assert_same(student(q, k, v, mask=mask), by_definition(q, k, v, mask=mask))
    batch = _inputs(2, seed=35)
    mask = random_mask(2 * 5, 7).unflatten(0, (2, 1, 5))
    assert_same(student(*batch, mask=mask), by_definition(*batch, mask=mask))


def check_survives_large_scores(student):
    """scores in the thousands do not overflow, and a mask still hides"""
    q, k, v = _inputs(std=100.0, seed=40)
    mask = random_mask(5, 7, empty_row=1)
    assert_same(student(q, k, v), by_definition(q, k, v))
    assert_same(student(q, k, v, mask=mask), by_definition(q, k, v, mask=mask))


def check_has_the_right_gradient(student):
    """the gradients are right: those of a shared head come from all heads that read it"""
    for sizes in (SIZES, OTHER_SIZES):
        inputs = _inputs(sizes=sizes, seed=50)
        ours, theirs = gradients(student, *inputs), gradients(by_definition, *inputs)
        for name, a, b in zip("qkv", ours, theirs, strict=True):
            assert_same(a, b, f"the gradient of {name}")


def check_keeps_the_dtype(student):
    """float32 values give float32 outputs, under a mask too"""
    q, k, v = (x.float() for x in _inputs(std=1.0, seed=60))
    for mask in (None, random_mask(5, 7, empty_row=1)):
        exact = by_definition(q.double(), k.double(), v.double(), mask=mask)
        assert_same(student(q, k, v, mask=mask), exact.float())


def _inputs(*lead, sizes=SIZES, std=2.0, seed=0):
    """Queries (..., h, n, d), keys (..., g, m, d) and values (..., g, m, e)."""
    h, g, n, m, d, e = sizes
    return (
        gaussian(*lead, h, n, d, std=std, seed=seed),
        gaussian(*lead, g, m, d, std=std, seed=seed + 1),
        gaussian(*lead, g, m, e, std=std, seed=seed + 2),
    )


def _reading(heads, q, k, v, mask=None):
    """Query head i with head heads[i] of keys and values."""
    return masked_attention.solution(q, k[..., heads, :, :], v[..., heads, :, :], mask=mask)


def _right_heads(q, k):
    return torch.arange(q.shape[-3]) // (q.shape[-3] // k.shape[-3])


def wrong_tiled(q, k, v, *, mask=None):
    """You repeat the heads as a whole, 0 1 0 1 and so on, so that neighbours read different ones.
    Each is repeated in its place, 0 0 0 1 1 1: `repeat_interleave`.
    """
    return _reading(torch.arange(q.shape[-3]) % k.shape[-3], q, k, v, mask)


def wrong_divided_by_the_groups(q, k, v, *, mask=None):
    """You divide the number of a head by g, the number of groups. A group has h / g heads: divide
    by that.
    """
    heads = (torch.arange(q.shape[-3]) // k.shape[-3]).clamp(max=k.shape[-3] - 1)
    return _reading(heads, q, k, v, mask)


def wrong_one_head_for_all(q, k, v, *, mask=None):
    """All your heads read the first head of keys and values. That is right for g = 1 alone: with
    more groups head i reads head i // (h / g).
    """
    return _reading(torch.zeros(q.shape[-3], dtype=torch.int64), q, k, v, mask)


def wrong_heads_averaged(q, k, v, *, mask=None):
    """You took the mean of the key and value heads for all queries. That is how a trained model is
    turned into one with fewer heads; here each group keeps its own.
    """
    k, v = k.mean(dim=-3, keepdim=True), v.mean(dim=-3, keepdim=True)
    return masked_attention.solution(q, k, v, mask=mask)


def wrong_values_tiled(q, k, v, *, mask=None):
    """Your keys are shared by neighbours, your values are not: they come in the order 0 1 0 1. What
    a head finds by a key is the value of the same head.
    """
    places = torch.arange(q.shape[-3]) % k.shape[-3]
    k = k[..., _right_heads(q, k), :, :]
    return masked_attention.solution(q, k, v[..., places, :, :], mask=mask)


def wrong_queries_averaged(q, k, v, *, mask=None):
    """You took the mean of the queries of a group. Each of them asks for itself; what they share is
    the key and the value.
    """
    share = q.shape[-3] // k.shape[-3]
    means = q.unflatten(-3, (-1, share)).mean(dim=-3).repeat_interleave(share, dim=-3)
    return _reading(_right_heads(q, k), means, k, v, mask)


def wrong_groups_interleaved_afterwards(q, k, v, *, mask=None):
    """Each head is computed right and stands in the wrong place: your result has the first head of
    every group first. Put the heads of a group side by side again.
    """
    out = _reading(_right_heads(q, k), q, k, v, mask)
    share = q.shape[-3] // k.shape[-3]
    return out.unflatten(-3, (-1, share)).transpose(-4, -3).flatten(-4, -3)


def wrong_one_softmax_for_a_group(q, k, v, *, mask=None):
    """You let the queries of a group share one softmax, one unit of weight for all of them. Keys
    are shared, weights are not: take a softmax for each query.
    """
    heads, share = _right_heads(q, k), q.shape[-3] // k.shape[-3]
    k, v = k[..., heads, :, :], v[..., heads, :, :]
    ones = torch.eye(k.shape[-2], dtype=v.dtype).expand(*k.shape[:-1], k.shape[-2])
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    total = scores.logsumexp(dim=-1).unflatten(-2, (-1, share)).logsumexp(dim=-2)
    total = total.repeat_interleave(share, dim=-2)[..., None]
    weights = (scores - total).exp()
    return (weights if mask is None else weights.masked_fill(~mask, 0.0)) @ ones @ v


def _with_repeated_heads(attention):
    """The learner's attention, to which each head is given its own copy of keys and values."""

    def grouped_query_attention(q, k, v, *, mask=None):
        heads = _right_heads(q, k)
        return attention(q, k[..., heads, :, :], v[..., heads, :, :], mask=mask)

    return grouped_query_attention


borrowed = (
    Borrow(
        masked_attention,
        _with_repeated_heads,
        (
            "wrong_no_scale",
            "wrong_scale_by_d",
            "wrong_softmax_over_the_matrix",
            "wrong_mask_ignored",
            "wrong_mask_inverted",
            "wrong_mask_after_softmax",
            "wrong_nan_in_empty_rows",
            "wrong_float64_returned",
        ),
    ),
)


def right_by_repeating(q, k, v, *, mask=None):
    """each head of keys and values in as many copies as queries read it"""
    h, g = q.shape[-3], k.shape[-3]
    k, v = (x.repeat_interleave(h // g, dim=-3) for x in (k, v))
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    return scores.softmax(dim=-1).nan_to_num() @ v


def right_by_one_more_axis(q, k, v, *, mask=None):
    """queries as (g, h / g), to which keys and values broadcast"""
    h, g = q.shape[-3], k.shape[-3]
    groups = q.unflatten(-3, (g, h // g))
    scores = torch.einsum("...ghnd,...gmd->...ghnm", groups, k).flatten(-4, -3)
    scores = scores / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = torch.where(mask, scores, -math.inf)
    top = scores.amax(dim=-1, keepdim=True).clamp(min=torch.finfo(q.dtype).min)
    weights = (scores - top).exp()
    weights = weights / weights.sum(dim=-1, keepdim=True).clamp(min=1e-30)
    return torch.einsum("...ghnm,...gme->...ghne", weights.unflatten(-3, (g, -1)), v).flatten(
        -4, -3
    )


def right_head_by_head(q, k, v, *, mask=None):
    """a loop over the query heads"""
    h, g = q.shape[-3], k.shape[-3]
    seen = None
    if mask is not None:
        seen = mask.expand(*q.shape[:-1], k.shape[-2])
    heads = []
    for i in range(h):
        own = None if seen is None else seen[..., i, :, :]
        j = i * g // h
        heads.append(
            masked_attention.solution(q[..., i, :, :], k[..., j, :, :], v[..., j, :, :], mask=own)
        )
    return torch.stack(heads, dim=-3)


shown = right_by_repeating
