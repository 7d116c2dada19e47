r"""# Only the best keys

Let each query attend to the keys with its `top` largest scores, and to no others:

$$Z_i = \sum_{j \in T_i} w_{ij} \, v_j, \qquad
w_{ij} = \frac{e^{s_{ij}}}{\sum_{l \in T_i} e^{s_{il}}}, \qquad
s_{ij} = \frac{q_i \cdot k_j}{\sqrt d},$$

where $T_i$ are the `top` keys whose scores with query i are largest.

- `q` is (..., n, d), `k` is (..., m, d), `v` is (..., m, e); the result is (..., n, e) in the dtype
  of `v`, and its gradient is right. `top` lies between 1 and m.
- Exactly `top` keys a query: of equal scores the one with the lowest index wins.
- The choice is constant to the gradient: a key that no query has chosen gets zeros.

All scores may be computed: nothing is saved yet.
"""

import math

import torch

from attncourse.mechanisms.content.top_k import topk_attention as solution
from attncourse.mechanisms.content.top_k import topk_attention_by_definition as by_definition
from attncourse.testing import (
    OTHER_SIZES,
    SIZES,
    assert_same,
    assert_that,
    attention_inputs,
    gradients,
)

difficulty, minutes = 2, 20
hints = (
    "You have attention with a mask. So all that is missing is the mask: True at `top` places of "
    "each row, those of its largest scores.",
    "`torch.topk` leaves open which of equal scores it takes. A sort with `stable=True` keeps "
    "equal ones in their order; `scatter` turns the first `top` indices into a mask.",
)
forbidden = ("topk_attention",)


def check_equals_attention_to_the_best_keys(student):
    """equals attention to the keys with the `top` largest scores of each query"""
    for sizes in (SIZES, OTHER_SIZES):
        q, k, v = attention_inputs(sizes=sizes, seed=10)
        for top in (2, 4, 7):
            assert_same(student(q, k, v, top=top), by_definition(q, k, v, top=top))


def check_takes_one_key_or_all(student):
    """one key: its value as it is; all keys: plain attention"""
    q, k, v = attention_inputs(sizes=OTHER_SIZES, seed=20)
    assert_same(student(q, k, v, top=1), v[(q @ k.mT).argmax(dim=-1)])
    whole = torch.softmax(q @ k.mT / math.sqrt(3), dim=-1) @ v
    assert_same(student(q, k, v, top=9), whole)


def check_takes_exactly_as_many_where_scores_are_equal(student):
    """of equal scores the lowest indices win, and no more than `top` keys are taken"""
    for m, top in ((6, 2), (9, 4)):
        k = torch.tensor([[1.0], [3.0], [3.0]], dtype=torch.float64).repeat(m // 3, 2)
        q = torch.tensor([[2.0], [0.0], [-1.0]], dtype=torch.float64).repeat(1, 2)
        seen = student(q, k, torch.eye(m, dtype=torch.float64), top=top)
        assert_that(
            seen.shape == (3, m) and bool(((seen > 0).sum(dim=-1) == top).all()),
            f"with top={top}, and scores that are equal, each query has {top} weights above 0.",
        )
        assert_same(seen, by_definition(q, k, torch.eye(m, dtype=torch.float64), top=top))


def check_takes_leading_axes(student):
    """works for any batch and head axes, those of length one too, and for one query"""
    for lead, sizes in (((2, 3), SIZES), ((1,), OTHER_SIZES), ((4, 1), (1, 9, 3, 7))):
        q, k, v = attention_inputs(*lead, sizes=sizes, seed=30)
        assert_same(student(q, k, v, top=3), by_definition(q, k, v, top=3))


def check_has_the_right_gradient(student):
    """the gradients of q, k and v are right, and a key that nobody chose gets zeros"""
    for sizes in (SIZES, OTHER_SIZES):
        q, k, v = attention_inputs(sizes=sizes, seed=40)
        expected = gradients(by_definition, q, k, v, top=2)
        for name, a, b in zip("qkv", gradients(student, q, k, v, top=2), expected, strict=True):
            assert_same(a, b, f"the gradient of {name}")


def check_survives_scores_far_from_zero(student):
    """scores far apart, or all thousands below zero, are weighed right"""
    q, k, v = attention_inputs(std=40.0, seed=50)
    assert_same(student(q, k, v, top=3), by_definition(q, k, v, top=3))
    k = (-40 - torch.arange(37.0, dtype=torch.float64)[:, None]).expand(37, 3)
    q = torch.full((5, 3), 900.0, dtype=torch.float64)
    assert_same(student(q, k, v, top=3), by_definition(q, k, v, top=3))


def check_keeps_the_dtype(student):
    """float32 values give float32 outputs"""
    q, k, v = (x.float() for x in attention_inputs(std=1.0, seed=60))
    assert_same(student(q, k, v, top=4), by_definition(q, k, v, top=4))


def _scores(q, k):
    return q @ k.mT / math.sqrt(q.shape[-1])


def _first(scores, top):
    """A mask of the first `top` keys of the sorted scores."""
    best = scores.sort(dim=-1, descending=True, stable=True).indices[..., :top]
    return torch.zeros_like(scores, dtype=torch.bool).scatter(-1, best, True)


def _under(mask, scores, v):
    return scores.masked_fill(~mask, -math.inf).softmax(dim=-1) @ v


def wrong_ties_taken_too(q, k, v, *, top):
    """You keep every score that is not below the last one chosen. Where scores are equal that is
    more than `top`: choose by index, not by value.
    """
    scores = _scores(q, k)
    last = scores.topk(top, dim=-1).values[..., -1:]
    return _under(scores >= last, scores, v)


def wrong_highest_index_of_equal(q, k, v, *, top):
    """Of equal scores you take those with the highest index. Here the lowest wins: sort the scores
    downwards, and stably.
    """
    scores = _scores(q, k)
    return _under(_first(scores.flip(-1), top).flip(-1), scores, v)


def wrong_zero_in_place_of_minus_infinity(q, k, v, *, top):
    """You set the other scores to 0, and a score of 0 has a weight. Set them to -inf before the
    softmax: then their weight is 0.
    """
    scores = _scores(q, k)
    return scores.masked_fill(~_first(scores, top), 0.0).softmax(dim=-1) @ v


def wrong_not_shared_out_again(q, k, v, *, top):
    """You took the softmax over all keys and dropped weights after it, so that those that are left
    sum to less than one. Choose first, then take the softmax over what is chosen.
    """
    scores = _scores(q, k)
    return (scores.softmax(dim=-1) * _first(scores, top)) @ v


def wrong_the_weakest(q, k, v, *, top):
    """You keep the smallest scores. Sorting goes upwards unless you say `descending=True`."""
    scores = _scores(q, k)
    return _under(_first(-scores, top), scores, v)


def wrong_best_queries_of_a_key(q, k, v, *, top):
    """You chose along the wrong axis: the best queries of each key. Rows are queries, so choose
    along the last axis.
    """
    scores = _scores(q, k)
    mask = _first(scores.mT, min(top, scores.shape[-2])).mT
    return torch.nan_to_num(_under(mask, scores, v))


def wrong_by_size_without_sign(q, k, v, *, top):
    """You chose by the size of a score whatever its sign. A score far below zero is a small weight:
    compare the scores themselves.
    """
    scores = _scores(q, k)
    return _under(_first(scores.abs(), top), scores, v)


def wrong_one_too_many(q, k, v, *, top):
    """You keep one key more than `top`. The first places of a sorted row are `[..., :top]`."""
    scores = _scores(q, k)
    return _under(_first(scores, top + 1), scores, v)


def wrong_same_keys_for_all_queries(q, k, v, *, top):
    """You chose the keys once for all queries. Each query has its own: choose in every row."""
    scores = _scores(q, k)
    together = scores.sum(dim=-2, keepdim=True).expand_as(scores)
    return _under(_first(together, top), scores, v)


def wrong_not_scaled(q, k, v, *, top):
    """You left out the scale. It does not change which keys are chosen, but their weights: divide
    the scores by the root of d.
    """
    scores = q @ k.mT
    return _under(_first(scores, top), scores, v)


def wrong_values_not_gathered(q, k, v, *, top):
    """Your weights stand in the order of their size, and you applied them to the first `top`
    values. Take the values by the indices that the sort gives.
    """
    return _scores(q, k).topk(top, dim=-1).values.softmax(dim=-1) @ v[..., :top, :]


def wrong_too_low_a_score(q, k, v, *, top):
    """You give the other keys a low score, -100. Where all chosen scores are lower still they have
    all the weight: -inf is below every number.
    """
    scores = _scores(q, k)
    return scores.masked_fill(~_first(scores, top), -100.0).softmax(dim=-1) @ v


def wrong_no_gradient_of_scores(q, k, v, *, top):
    """You detached the scores, not only the choice. The weights of the chosen keys depend on q and
    k: the gradient has to go through them.
    """
    scores = _scores(q, k).detach()
    return _under(_first(scores, top), scores, v)


def wrong_axes_of_length_one_dropped(q, k, v, *, top):
    """You squeezed the result and lost axes of length one. Keep the shape (..., n, e): squeeze no
    more than you unsqueezed.
    """
    scores = _scores(q, k)
    return _under(_first(scores, top), scores, v).squeeze()


def right_by_a_mask(q, k, v, *, top):
    """a mask of the first `top` keys of the sorted scores"""
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    best = scores.argsort(dim=-1, descending=True, stable=True)
    mask = torch.zeros_like(scores, dtype=torch.bool)
    mask = mask.scatter(-1, best[..., :top], True)
    return scores.masked_fill(~mask, -math.inf).softmax(dim=-1) @ v


def right_by_gathering(q, k, v, *, top):
    """softmax over the chosen scores, and their values fetched"""
    best, places = _scores(q, k).sort(dim=-1, descending=True, stable=True)
    weights, places = best[..., :top].softmax(dim=-1), places[..., :top]
    rows = v[..., None, :, :].expand(*places.shape[:-1], *v.shape[-2:])  # (..., n, m, e)
    chosen = rows.gather(-2, places[..., None].expand(*places.shape, v.shape[-1]))
    return (weights[..., None] * chosen).sum(dim=-2)


def right_one_after_the_other(q, k, v, *, top):
    """the largest of what is left, `top` times"""
    scores = _scores(q, k)
    mask = torch.zeros_like(scores, dtype=torch.bool)
    for _ in range(top):
        left = scores.masked_fill(mask, -math.inf)
        mask = mask.scatter(-1, left.argmax(dim=-1, keepdim=True), True)
    return _under(mask, scores, v)


shown = right_by_a_mask
