r"""# Mend a sparsity that is a dice

This function is to keep the `top` keys that matter most to each query and to forget the rest. Its
author counted: on average `top` keys are left in a row, and the more are kept, the nearer the
output comes to full attention. On small inputs now and then a row is NaN. Find out which keys it
keeps, and mend it:

$$Z_i = \sum_{j \in T_i} w_{ij} \, v_j, \qquad
T_i = \text{the } \mathrm{top} \text{ keys with the largest } q_i \cdot k_j ,$$

with the weights a softmax over $T_i$ alone.

- `q` is (..., n, d), `k` is (..., m, d), `v` is (..., m, e); the result is (..., n, e), in the
  dtype of `v`. 1 ≤ `top` ≤ m; of equal scores the one with the lower index is kept.
- No row is empty, nothing is drawn, and gradients are right.
"""

import math

import torch

from attncourse.exercises import Borrow, itself
from attncourse.exercises.sparse_content import topk_attention
from attncourse.mechanisms.content.top_k import topk_attention as solution
from attncourse.testing import assert_that, attention_inputs

difficulty, minutes = 2, 15
hints = (
    "Let v be the identity, and print the weights beside those of full attention. Which keys were "
    "kept? Then count the keys of each row.",
    "A sort of the scores with `descending=True, stable=True` gives the order of the keys; its "
    "first `top` indices, scattered into zeros, are a mask.",
)
forbidden = topk_attention.forbidden


def check_keeps_the_keys_with_the_largest_scores(student):
    """no row is empty or NaN, and the keys that are kept are those with the largest scores"""
    for m, top in ((9, 2), (13, 1)):
        q, k, _ = attention_inputs(sizes=(11, m, 6, 5), seed=7)
        weights = student(q, k, torch.eye(m, dtype=torch.float64), top=top)
        assert_that(weights.shape == (11, m), f"the result must be (11, {m}) here.")
        empty = int((~weights.isfinite()).any(dim=-1).sum())
        assert_that(empty == 0, f"with m={m} and top={top}, {empty} of 11 rows are not finite.")
        best = (q @ k.mT).topk(top, dim=-1).indices
        kept = float(weights.gather(-1, best).sum(dim=-1).min())
        assert_that(
            kept > 1 - 1e-9,
            f"with m={m} and top={top}, a query gives its {top} best keys {kept:.3f} of its "
            "weight; all of it belongs to them.",
        )


def wrong_dice(q, k, v, *, top):
    """You left the dice: which keys are kept has nothing to do with their scores, and a row may
    lose all of them, which is NaN. Choose by score, exactly `top` of them.
    """
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    dice = torch.Generator().manual_seed(0)
    kept = torch.rand(scores.shape, generator=dice) < top / k.shape[-2]
    weights = torch.softmax(scores.masked_fill(~kept, -math.inf), dim=-1)
    return weights @ v


stub = wrong_dice


def _drawn(scores, top):
    """`top` keys of each row at random: the order of random numbers."""
    dice = torch.Generator().manual_seed(0)
    order = torch.rand(scores.shape, generator=dice).argsort(dim=-1)[..., :top]
    return torch.zeros_like(scores, dtype=torch.bool).scatter(-1, order, True)


def wrong_dice_with_a_fixed_number(q, k, v, *, top):
    """You keep the right number of keys now, and no row is empty, but they are still drawn. Choose
    those with the largest scores.
    """
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    return torch.softmax(scores.masked_fill(~_drawn(scores, top), -math.inf), dim=-1) @ v


def wrong_nan_swept_away(q, k, v, *, top):
    """You replaced the NaN of empty rows by zeros: the symptom is gone, the dice is not. Choose by
    score, so that no row is empty in the first place.
    """
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    dice = torch.Generator().manual_seed(0)
    kept = torch.rand(scores.shape, generator=dice) < top / k.shape[-2]
    weights = torch.softmax(scores.masked_fill(~kept, -math.inf), dim=-1)
    return weights.nan_to_num(0.0) @ v


shown = topk_attention.shown

borrowed = (
    Borrow(
        topk_attention,
        itself,
        (
            "check_equals_attention_to_the_best_keys",
            "check_takes_exactly_as_many_where_scores_are_equal",
            "check_takes_leading_axes",
            "check_has_the_right_gradient",
            "check_keeps_the_dtype",
            "wrong_ties_taken_too",
            "wrong_not_shared_out_again",
            "wrong_the_weakest",
            "right_by_a_mask",
            "right_by_gathering",
        ),
    ),
)
