r"""# Softmax

Turn scores into positive weights that sum to one along the last axis,

$$\mathrm{softmax}(x)_i = \frac{e^{x_i}}{\sum_j e^{x_j}} .$$

- `x` is (..., n), with any number of leading axes; the result has the shape and dtype of `x`, and
  its gradient is right.
- Build it from `exp`. It must hold for scores of any size: `exp(710)` is already infinite in
  float64, yet the weights of the scores 710 and 711 are ordinary numbers.
- A score of minus infinity gets weight zero, as long as its row holds a finite score.
"""

import math

import torch

from attncourse.mechanisms.dense.softmax import softmax as solution
from attncourse.testing import assert_same, assert_that, gaussian, gradients, levels

difficulty, minutes = 1, 15
hints = (
    "Adding a number to every score of a row multiplies both sides of the fraction by the same "
    "factor, so it changes nothing. Which number makes overflow impossible?",
    "Subtract the largest score of each row, then `exp`, then divide by the sum of the row: "
    "`amax` and `sum` along `dim=-1`, both with `keepdim=True`.",
)
forbidden = ("softmax", "log_softmax", "softmin")


def check_matches_the_definition(student):
    """equals exp(x) over its sum, row by row"""
    for shape in ((5, 37), (11, 9)):
        x = gaussian(*shape)
        rows = [[math.exp(number) for number in row] for row in x.tolist()]
        expected = [[number / sum(row) for number in row] for row in rows]
        assert_same(student(x), torch.tensor(expected, dtype=x.dtype))


def check_takes_any_number_of_axes(student):
    """works on one row, on a square matrix and on any leading axes, those of length one too"""
    for shape in ((37,), (7, 7), (2, 3, 5, 6), (1, 9), (4, 1, 6), (3, 1)):
        x = gaussian(*shape, seed=10)
        assert_same(student(x), torch.softmax(x, dim=-1), f"the result for shape {shape}")


def check_gives_weights(student):
    """weights are not negative, sum to one, and a shift of the scores changes nothing"""
    x = gaussian(4, 37, seed=20)
    weights = student(x)
    assert_that((weights >= 0).all(), "a weight must not be negative.")
    assert_same(weights.sum(dim=-1), torch.ones(4, dtype=x.dtype), "the sum of each row")
    assert_same(student(x - 50.0), weights, "the result after subtracting 50 from every score")


def check_survives_large_scores(student):
    """scores in the thousands neither overflow nor vanish, whatever else a row or tensor holds"""
    x = gaussian(5, 37, std=100.0, seed=30)
    rows = torch.tensor([[-1e5], [-700.0], [0.0], [800.0], [1e5]], dtype=x.dtype)
    near = gaussian(5, 37, seed=31)
    few, most = levels(37, 0.0, -3000.0, 1000.0), levels(37, 1000.0, -3000.0, 1000.0)
    for scores in (x, x / 10 + rows, near + few, near + most):
        assert_same(student(scores), torch.softmax(scores, dim=-1))


def check_gives_minus_infinity_no_weight(student):
    """a score of minus infinity gets weight zero and leaves the others right"""
    x = gaussian(5, 37, seed=40)
    x[:, ::3] = -math.inf
    x[1, :36] = -math.inf
    assert_same(student(x), torch.softmax(x, dim=-1))


def check_keeps_the_dtype(student):
    """float32 scores give float32 weights, bfloat16 scores bfloat16 weights"""
    x = gaussian(5, 13, seed=50).float()
    assert_same(student(x), torch.softmax(x.double(), dim=-1).float())
    x = gaussian(5, 13, std=1.0, seed=51).bfloat16()
    error = student(x).double() - torch.softmax(x.double(), dim=-1)
    assert_that(error.abs().max() < 0.05, "bfloat16 scores must give about the same weights.")


def check_has_the_right_gradient(student):
    """the gradient is right, far-off scores included"""
    for x in (gaussian(5, 37, seed=60), gaussian(11, 9, seed=61) + levels(9, 0.0, -3000.0, 1000.0)):
        assert_same(
            gradients(student, x)[0], gradients(torch.softmax, x, dim=-1)[0], "the gradient"
        )


def _stable_exp(x):
    return (x - x.amax(dim=-1, keepdim=True)).exp()


def _over(x, dim):
    exponentials = (x - x.amax(dim=dim, keepdim=True)).exp()
    return exponentials / exponentials.sum(dim=dim, keepdim=True)


def wrong_no_maximum_subtracted(x):
    """You took exp of the scores as they are: above 709 it overflows, far below zero it vanishes,
    and inf/inf and 0/0 are NaN. Subtract the largest score of each row first.
    """
    return x.exp() / x.exp().sum(dim=-1, keepdim=True)


def wrong_maximum_of_the_whole_tensor(x):
    """You subtracted the largest score of the whole tensor. A row that lies far below it vanishes,
    0/0: subtract each row's own largest score.
    """
    exponentials = (x - x.max()).exp()
    return exponentials / exponentials.sum(dim=-1, keepdim=True)


def wrong_mean_subtracted(x):
    """You subtracted the mean of each row. That leaves scores far above zero, and exp still
    overflows: subtract the largest.
    """
    exponentials = (x - x.mean(dim=-1, keepdim=True)).exp()
    return exponentials / exponentials.sum(dim=-1, keepdim=True)


def wrong_minimum_subtracted(x):
    """You subtracted the smallest score of each row. That makes all the others positive, and exp
    overflows the sooner: subtract the largest.
    """
    exponentials = (x - x.amin(dim=-1, keepdim=True)).exp()
    return exponentials / exponentials.sum(dim=-1, keepdim=True)


def wrong_median_subtracted(x):
    """You subtracted the median of each row. Scores far above it overflow in exp: subtract the
    largest.
    """
    exponentials = (x - x.median(dim=-1, keepdim=True).values).exp()
    return exponentials / exponentials.sum(dim=-1, keepdim=True)


def wrong_divided_by_the_maximum(x):
    """You divided the scores by their largest. Softmax keeps its value when a number is subtracted
    from every score, not when they are divided by one.
    """
    return _over(x / x.amax(dim=-1, keepdim=True), -1)


def wrong_clamped(x):
    """You cut off large scores before exp. Scores beyond the limit then count as equal; subtract
    the largest score of the row instead.
    """
    exponentials = x.clamp(-80.0, 80.0).exp()
    return exponentials / exponentials.sum(dim=-1, keepdim=True)


def wrong_over_all_entries(x):
    """You divided by the sum of the whole tensor, so all rows share one unit of weight. Each row
    along the last axis sums to one by itself.
    """
    exponentials = (x - x.max()).exp()
    return exponentials / exponentials.sum()


def wrong_over_the_first_axis(x):
    """You normalised over the first axis: that is the columns of a matrix, or the batch where there
    is one. The weights that sum to one lie along the last axis: `dim=-1`.
    """
    return _over(x, 0)


def wrong_over_axis_one(x):
    """You wrote `dim=1`, which is the last axis of a matrix only. With other numbers of axes it is
    another one, or none: use `dim=-1`.
    """
    return _over(x, 1)


def wrong_over_the_axis_before_the_last(x):
    """You normalised over the last axis but one, so the columns of each matrix sum to one. The
    weights of one row lie along `dim=-1`.
    """
    return _over(x, -2)


def wrong_maximum_without_keepdim(x):
    """Your maximum lost its axis, so it does not line up with the rows: on a square matrix it is
    subtracted from the columns. Pass `keepdim=True`.
    """
    exponentials = (x - x.amax(dim=-1)).exp()
    return exponentials / exponentials.sum(dim=-1, keepdim=True)


def wrong_sum_without_keepdim(x):
    """Your sum lost its axis, so it does not line up with the rows: on a square matrix it divides
    the columns. Pass `keepdim=True`.
    """
    exponentials = _stable_exp(x)
    return exponentials / exponentials.sum(dim=-1)


def wrong_no_exponential(x):
    """You divided the scores by their sum. Scores can be negative and their sum near zero: take
    exp first, which makes all of them positive.
    """
    return x / x.sum(dim=-1, keepdim=True)


def wrong_not_divided_by_the_sum(x):
    """You took exp of the scores but did not divide by the sum of the exponentials. Weights sum to
    one: divide each row by its sum.
    """
    return _stable_exp(x)


def wrong_logarithm_returned(x):
    """You returned the logarithms of the weights. Take exp of them at the end."""
    return x - x.logsumexp(dim=-1, keepdim=True)


def wrong_sigmoid(x):
    """You squashed each score by itself. Softmax weights compete: each is a share of the sum over
    its row.
    """
    return torch.sigmoid(x)


def wrong_sign(x):
    """You took exp of minus the scores, so that the lowest score gets the most weight. The highest
    one should.
    """
    return _over(-x, -1)


def wrong_small_number_added(x):
    """You added a small number to the sum, so that the rows sum to less than one. It is not needed:
    after subtracting the maximum the sum is at least one.
    """
    exponentials = _stable_exp(x)
    return exponentials / (exponentials.sum(dim=-1, keepdim=True) + 1e-6)


def wrong_float64_returned(x):
    """You computed in float64 and returned float64. The weights have the dtype of the scores: cast
    them back, `.to(x.dtype)`.
    """
    return _over(x.double(), -1)


def wrong_float32_throughout(x):
    """You cast the scores to float32, whatever they are, which rounds float64 ones. Compute in the
    dtype of the scores or a wider one, and return their own.
    """
    return _over(x.float(), -1).to(x.dtype)


def right_by_logsumexp(x):
    """subtracts the logarithm of the sum, then takes exp once"""
    return (x - x.logsumexp(dim=-1, keepdim=True)).exp()


def right_by_rows(x):
    """a loop over the rows, each with its own maximum and sum"""
    rows = []
    for row in x.reshape(-1, x.shape[-1]):
        exponentials = torch.exp(row - row.detach().max())
        rows.append(exponentials / exponentials.sum())
    return torch.stack(rows).reshape(x.shape)


def right_by_doubling(x):
    """powers of two instead of e, after a change of base"""
    powers = torch.exp2((x - x.amax(dim=-1, keepdim=True)) * math.log2(math.e))
    return powers * powers.sum(dim=-1, keepdim=True).reciprocal()
