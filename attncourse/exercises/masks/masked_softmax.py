r"""# Softmax under a mask

Turn scores into weights over the keys that each query may attend to:

$$w_{ij} = \frac{M_{ij} \, e^{s_{ij}}}{\sum_l M_{il} \, e^{s_{il}}} .$$

- `scores` is (..., n, m); `mask` is Boolean, True where a query *may attend*, and broadcasts to the
  scores. The result has the shape and dtype of the scores, and its gradient is right.
- Masked weights are exactly zero, however large their scores, and the others of a row sum to one.
- A row with no True gives zeros, in the value and in the gradient.
"""

import math

import torch

from attncourse.exercises import Borrow
from attncourse.exercises.scores_and_scaling import softmax
from attncourse.mechanisms.dense.softmax import masked_softmax as solution
from attncourse.testing import (
    assert_same,
    assert_that,
    gaussian,
    gradients,
    levels,
    random_mask,
)

difficulty, minutes = 2, 20
hints = (
    "Which number must a score become so that exp of it is exactly zero? It has to happen before "
    "the softmax: afterwards the others have already lost their share.",
    "Minus infinity, by `masked_fill` or `torch.where`. The softmax of a row of -inf alone is NaN: "
    "what have the weights of such a row in common with all other masked weights?",
)


def check_matches_the_definition(student):
    """equals the softmax over the visible keys of each row"""
    for n, m in ((5, 37), (11, 9)):
        scores, mask = gaussian(n, m), random_mask(n, m)
        expected = torch.zeros_like(scores)
        for i in range(n):
            expected[i, mask[i]] = torch.softmax(scores[i, mask[i]], dim=-1)
        assert_same(student(scores, mask), expected)


def check_broadcasts_the_mask(student):
    """one mask serves any batch and head axes, one row serves all queries"""
    scores = gaussian(2, 3, 5, 37, seed=10)
    padding = random_mask(2, 37, seed=11)[:, None, None, :]
    cases = [(scores, random_mask(5, 37, seed=12)), (scores, padding)]
    for shape in ((1, 11, 9), (4, 1, 1, 9), (2, 11, 1)):
        cases.append((gaussian(*shape, seed=13), random_mask(*shape[-2:], seed=14)))
    for scores, mask in cases:
        assert_same(student(scores, mask), solution(scores, mask))


def check_hides_what_is_masked(student):
    """a masked score may be anything: the weights stay the same"""
    scores, mask = gaussian(5, 37, seed=20), random_mask(5, 37, seed=21)
    weights = student(scores, mask)
    numbers = (-math.inf, -3.0, 12.0, 1e4, 1e30)
    others = [student(torch.where(mask, scores, number), mask) for number in numbers]
    assert_that((weights[~mask] == 0).all(), "a masked weight must be exactly zero.")
    for number, other in zip(numbers, others, strict=True):
        assert_same(other, weights, f"the result for masked scores of {number}")


def check_survives_large_scores(student):
    """scores in the thousands neither overflow nor vanish behind masked ones"""
    scores, mask = gaussian(5, 37, std=1000.0, seed=30), random_mask(5, 37, seed=31)
    scores[3] -= 9000.0
    near = gaussian(5, 37, seed=32)
    far = torch.where(mask, near - 1e5, near)  # what is visible lies far below what is masked
    heights = (0.0, -3000.0, 1000.0), (1000.0, -3000.0, 1000.0)
    for case in (scores, far, *(near + levels(37, *three) for three in heights)):
        assert_same(student(case, mask), solution(case, mask))


def check_gives_zeros_for_an_empty_row(student):
    """a row with no True gives zeros, value and gradient"""
    scores, mask = gaussian(5, 37, seed=40), random_mask(5, 37, empty_row=2, seed=41)
    assert_same(student(scores, mask), solution(scores, mask))
    ours, theirs = gradients(student, scores, mask), gradients(solution, scores, mask)
    assert_same(ours[0], theirs[0], "the gradient with an empty row")


def check_has_the_right_gradient(student):
    """the gradient is right, and zero for masked scores"""
    for scores, mask in (
        (gaussian(5, 37, seed=50), random_mask(5, 37, seed=51)),
        (gaussian(11, 9, seed=52) + levels(9, 0.0, -3000.0, 1000.0), random_mask(11, 9, seed=53)),
    ):
        ours, theirs = gradients(student, scores, mask), gradients(solution, scores, mask)
        assert_same(ours[0], theirs[0], "the gradient")


def check_keeps_the_dtype(student):
    """float32 scores give float32 weights, bfloat16 scores bfloat16 weights"""
    scores, mask = gaussian(5, 13, seed=60).float(), random_mask(5, 13, empty_row=1, seed=61)
    assert_same(student(scores, mask), solution(scores.double(), mask).float())
    scores = gaussian(5, 13, std=1.0, seed=62).bfloat16()
    error = student(scores, mask).double() - solution(scores.double(), mask)
    assert_that(error.abs().max() < 0.05, "bfloat16 scores must give about the same weights.")


def _with_softmax(softmax):
    """The mask applied rightly, -inf before and zeros after, around the learner's softmax."""

    def masked_softmax(scores, mask):
        return softmax(scores.masked_fill(~mask, -math.inf)).masked_fill(~mask, 0.0)

    return masked_softmax


borrowed = (
    Borrow(
        softmax,
        _with_softmax,
        (
            "wrong_no_maximum_subtracted",
            "wrong_float64_returned",
            "wrong_float32_throughout",
            "wrong_over_the_first_axis",
            "wrong_over_axis_one",
            "wrong_over_the_axis_before_the_last",
        ),
    ),
)


def _divided_by_the_sum(weights):
    total = weights.sum(dim=-1, keepdim=True)
    return weights / total.masked_fill(total == 0, 1.0)


def wrong_mask_ignored(scores, mask):
    """You did not use the mask, so masked keys keep their weight. Set their scores to -inf before
    the softmax.
    """
    return torch.softmax(scores, dim=-1)


def wrong_mask_inverted(scores, mask):
    """You read the mask the wrong way round. Here True means *may attend*, as in
    `scaled_dot_product_attention`; `nn.MultiheadAttention` has the opposite.
    """
    return solution(scores, ~mask)


def wrong_mask_multiplied_into_scores(scores, mask):
    """You multiplied the scores by the mask. A score of 0 is not "no weight", since exp(0) is 1:
    set masked scores to -inf.
    """
    return torch.softmax(scores * mask, dim=-1)


def wrong_mask_added_to_scores(scores, mask):
    """You added the Boolean mask to the scores, which raises the allowed ones by 1 and hides
    nothing. Set masked scores to -inf.
    """
    return torch.softmax(scores + mask, dim=-1)


def wrong_mask_times_infinity(scores, mask):
    """You multiplied the inverted mask by -inf to add it. Zero times infinity is NaN, so the
    allowed scores are lost as well: use `masked_fill`.
    """
    return torch.softmax(scores + ~mask * -math.inf, dim=-1)


def wrong_mask_after_softmax(scores, mask):
    """You set masked weights to zero after the softmax, so that rows sum to less than one. Mask the
    scores, before the softmax.
    """
    return torch.softmax(scores, dim=-1) * mask


def wrong_renormalised_after_softmax(scores, mask):
    """You masked after the softmax and divided by the new sum. Where a masked key has by far the
    largest score, the others have vanished by then: mask the scores, before the softmax.
    """
    return _divided_by_the_sum(torch.softmax(scores, dim=-1) * mask)


def wrong_small_number_in_the_sum(scores, mask):
    """You masked after the softmax and divided by the new sum plus a small number, so that rows sum
    to less than one. Mask the scores, before the softmax, and treat empty rows by themselves.
    """
    weights = torch.softmax(scores, dim=-1) * mask
    return weights / (weights.sum(dim=-1, keepdim=True) + 1e-8)


def wrong_small_number_in_the_sum_of_exponentials(scores, mask):
    """You added a small number to the sum of the exponentials to avoid 0/0, so that rows sum to
    less than one. Treat the sum that is exactly zero as a case of its own.
    """
    filled = scores.masked_fill(~mask, -math.inf)
    largest = filled.amax(dim=-1, keepdim=True)
    exponentials = (filled - largest.masked_fill(largest == -math.inf, 0.0)).exp()
    return exponentials / (exponentials.sum(dim=-1, keepdim=True) + 1e-6)


def wrong_filled_with_minus_one(scores, mask):
    """You filled masked scores with -1. That is a score like any other, not negative enough to hide
    a key: fill with -inf.
    """
    return torch.softmax(scores.masked_fill(~mask, -1.0), dim=-1)


def wrong_filled_with_a_small_number(scores, mask):
    """You filled masked scores with zero, or with a number as close to it as 1e-9, and exp(0) is 1.
    You want the most negative number there is: -inf.
    """
    return torch.softmax(scores.masked_fill(~mask, 1e-9), dim=-1)


def wrong_filled_with_minus_a_thousand(scores, mask):
    """You filled masked scores with -1000. That hides a key only while the other scores stay far
    above it: fill with -inf.
    """
    weights = torch.softmax(scores.masked_fill(~mask, -1e3), dim=-1)
    return weights.masked_fill(~mask.any(dim=-1, keepdim=True), 0.0)


def wrong_filled_with_minus_ten_thousand(scores, mask):
    """You filled masked scores with -10000 and set their weights to zero afterwards. Where the
    visible scores lie lower still, nothing is left of their row: fill with -inf.
    """
    return torch.softmax(scores.masked_fill(~mask, -1e4), dim=-1) * mask


def wrong_minus_a_billion_added_and_zeroed(scores, mask):
    """You added a large negative number to masked scores and set their weights to zero afterwards.
    A masked score that is larger still takes all the weight with it: fill with -inf.
    """
    return torch.softmax(scores - 1e9 * ~mask, dim=-1) * mask


def wrong_filled_with_minus_a_billion(scores, mask):
    """You filled masked scores with a large negative number. A row with no True then spreads its
    weight evenly over what it must not see: fill with -inf and set such rows to zero.
    """
    return torch.softmax(scores.masked_fill(~mask, -1e9), dim=-1)


def wrong_minus_a_billion_added(scores, mask):
    """You added a large negative number to masked scores. In a row with no True all scores sink
    alike, so its weights are as if there were no mask: set such rows to zero.
    """
    return torch.softmax(scores + ~mask * -1e9, dim=-1)


def wrong_nan_in_empty_rows(scores, mask):
    """A row with no True gives NaN in your result: the softmax of a row of -inf is 0/0. Set the
    weights of such rows to zero.
    """
    return torch.softmax(scores.masked_fill(~mask, -math.inf), dim=-1)


def wrong_nan_in_the_gradient(scores, mask):
    """Your weights are right, but you added -inf and removed the NaN of empty rows afterwards, and
    their gradient is still NaN. Fill the scores with `masked_fill` or `torch.where`, which stop the
    gradient of masked scores.
    """
    bias = torch.zeros_like(scores).masked_fill(~mask, -math.inf)
    return torch.softmax(scores + bias, dim=-1).nan_to_num(0.0)


def wrong_scores_over_their_sum(scores, mask):
    """You divided the visible scores by their sum. Scores can be negative and their sum near zero,
    so these are no weights: take exp first.
    """
    return _divided_by_the_sum(scores * mask)


def wrong_logarithm_returned(scores, mask):
    """You returned the logarithms of the weights. Take exp of them: that also makes the -inf of a
    masked pair zero.
    """
    return torch.log_softmax(scores.masked_fill(~mask, -math.inf), dim=-1)


def right_by_nan_to_num(scores, mask):
    """torch.where before the softmax, nan_to_num after it"""
    return torch.softmax(torch.where(mask, scores, -math.inf), dim=-1).nan_to_num(0.0)


def right_by_exponentials(scores, mask):
    """exponentials by hand, with the largest visible score subtracted"""
    low = torch.finfo(scores.dtype).min
    largest = torch.where(mask, scores, low).amax(dim=-1, keepdim=True)
    exponentials = torch.where(mask, scores - largest, -math.inf).exp()
    total = exponentials.sum(dim=-1, keepdim=True)
    return torch.where(total > 0, exponentials / torch.where(total > 0, total, 1.0), 0.0)


def right_by_logsumexp(scores, mask):
    """the lowest number instead of -inf, logsumexp, and zeros afterwards"""
    filled = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    return (filled - filled.logsumexp(dim=-1, keepdim=True)).exp() * mask


def right_by_rows(scores, mask):
    """a loop over rows, each a softmax over its visible keys"""
    rows = []
    flat_mask = mask.expand(scores.shape).reshape(-1, scores.shape[-1])
    for row, visible in zip(scores.reshape(-1, scores.shape[-1]), flat_mask, strict=True):
        weights = torch.softmax(row[visible], dim=-1)
        rows.append(torch.zeros_like(row).masked_scatter(visible, weights))
    return torch.stack(rows).reshape(scores.shape)
