r"""# Mend a mask that leaks

This function hides keys. Its hidden weights are exactly zero, its rows sum to one, an empty row
gives zeros; in a language model in float32 it changes no word. Yet what it computes depends on
scores that the mask hides. Find out how, and mend it:

$$w_{ij} = \frac{M_{ij} \, e^{s_{ij}}}{\sum_l M_{il} \, e^{s_{il}}} .$$

- `scores` is (..., n, m); `mask` is Boolean, True where a query *may attend*, and broadcasts to the
  scores. The result has the shape and dtype of the scores, and its gradient is right.
- A hidden score may be any number: the weights stay the same, bit for bit.
- A row with no True gives zeros, in the value and in the gradient.
"""

import functools
import math

import torch

from attncourse.exercises import Borrow
from attncourse.exercises.masks import masked_softmax
from attncourse.mechanisms.dense.softmax import masked_softmax as solution
from attncourse.testing import assert_same, assert_that, gaussian, random_mask

difficulty, minutes = 3, 15
hints = (
    "Give a row the visible scores 1 and 2 and a hidden score of 5, then of 200, and print what "
    "each line of the function makes of it.",
    "The softmax subtracts the largest score of the row and sums over the row. Which scores are in "
    "that row? Hide them before it, not after.",
)


def check_is_bit_equal_whatever_is_hidden(student):
    """other hidden scores give the same weights, bit for bit"""
    for n, m in ((5, 37), (11, 9)):
        scores, mask = gaussian(n, m, seed=70), random_mask(n, m, seed=71)
        weights = student(scores, mask)
        for number in (-3.0, 2.0, 12.0, -math.inf):
            other = student(torch.where(mask, scores, number), mask)
            assert_that(
                torch.equal(other, weights),
                f"with hidden scores of {number} the visible weights are others, if only in their "
                "last digits: the hidden scores still take part.",
            )


def check_hides_scores_far_above(student):
    """hidden scores far above the visible ones change nothing, wherever those lie"""
    cases = ((5, 37), 22.0, 0.0), ((1, 5, 37), 738.0, 0.0), ((3, 11, 9), 1e30, 2e4)
    for shape, height, depth in cases:
        near, mask = gaussian(*shape, seed=72) - depth, random_mask(*shape[-2:], seed=73)
        scores = torch.where(mask, near, near + height)
        assert_same(student(scores, mask), solution(scores, mask))


def check_works_in_float16(student):
    """float16 scores, the hidden ones 14 above the visible, give about the right weights"""
    near, mask = gaussian(5, 13, std=1.0, seed=74), random_mask(5, 13, seed=75)
    scores = torch.where(mask, near, near + 14).half()
    error = student(scores, mask).double() - solution(scores.double(), mask)
    assert_that(error.abs().max() < 0.01, "in float16 the weights must be about the same.")


def wrong_hidden_scores_in_the_softmax(scores, mask):
    """You mask after the softmax, when the hidden scores have already set the largest score and the
    sum. Dividing anew repairs the sum, not what was rounded away: hide the scores before it.
    """
    weights = torch.softmax(scores, dim=-1) * mask
    total = weights.sum(dim=-1, keepdim=True)
    return weights / total.masked_fill(total == 0, 1.0)


stub = wrong_hidden_scores_in_the_softmax


def wrong_leak_in_float64(scores, mask):
    """You compute in float64, where the visible weights vanish later: a hidden score 745 above them
    is enough. The leak is the same: hide the scores before the softmax.
    """
    weights = torch.softmax(scores.double(), dim=-1) * mask
    total = weights.sum(dim=-1, keepdim=True)
    return (weights / total.masked_fill(total == 0, 1.0)).to(scores.dtype)


def wrong_leak_and_empty_rows_divided(scores, mask):
    """You mask after the softmax and divide by what is left: the hidden scores still take part, and
    an empty row is 0/0. Hide the scores before the softmax, and give such a row zeros.
    """
    weights = torch.softmax(scores, dim=-1) * mask
    return weights / weights.sum(dim=-1, keepdim=True)


def wrong_leak_with_a_floor(scores, mask):
    """You keep the sum from zero by a floor. Where hidden scores take nearly all the weight, what
    is left lies below the floor and does not grow to one: hide the scores before the softmax.
    """
    weights = torch.softmax(scores, dim=-1) * mask
    return weights / weights.sum(dim=-1, keepdim=True).clamp(min=1e-9)


def wrong_hidden_scores_capped(scores, mask):
    """You lower the hidden scores to the largest visible one, so that nothing vanishes any more.
    They are still in the sum, and round the weights differently: give them -inf.
    """
    largest = scores.masked_fill(~mask, -math.inf).amax(dim=-1, keepdim=True)
    weights = torch.softmax(torch.minimum(scores, largest.clamp(min=-1e9)), dim=-1) * mask
    total = weights.sum(dim=-1, keepdim=True)
    return weights / total.masked_fill(total == 0, 1.0)


def wrong_largest_of_the_visible_only(scores, mask):
    """You subtract the largest visible score, and a hidden one far above it overflows: infinity
    times 0 is NaN. Fill the hidden scores with -inf before exp, then exp gives the zeros.
    """
    largest = scores.detach().masked_fill(~mask, -math.inf).amax(dim=-1, keepdim=True)
    exponentials = (scores - largest.masked_fill(largest == -math.inf, 0.0)).exp() * mask
    total = exponentials.sum(dim=-1, keepdim=True)
    return exponentials / total.masked_fill(total == 0, 1.0)


def _the_same_function(answer):
    """An answer to `masked_softmax` is one to this."""

    @functools.wraps(answer)
    def fix_masked_softmax(scores, mask):
        return answer(scores, mask)

    return fix_masked_softmax


borrowed = (
    Borrow(
        masked_softmax,
        _the_same_function,
        (
            "check_matches_the_definition",
            "check_broadcasts_the_mask",
            "check_gives_zeros_for_an_empty_row",
            "check_has_the_right_gradient",
            "check_keeps_the_dtype",
            "wrong_mask_ignored",
            "wrong_mask_inverted",
            "wrong_mask_multiplied_into_scores",
            "wrong_mask_after_softmax",
            "wrong_small_number_in_the_sum",
            "wrong_filled_with_a_small_number",
            "wrong_filled_with_minus_ten_thousand",
            "wrong_filled_with_minus_a_billion",
            "wrong_minus_a_billion_added",
            "wrong_minus_a_billion_added_and_zeroed",
            "wrong_nan_in_empty_rows",
            "wrong_nan_in_the_gradient",
            "right_by_nan_to_num",
            "right_by_exponentials",
            "right_by_rows",
        ),
    ),
)
