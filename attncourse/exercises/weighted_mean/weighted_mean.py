r"""# A mean under weights

Compute the mean of m values under m non-negative weights,

$$\mathrm{mean}(w, V) = \frac{\sum_j w_j \, v_j}{\sum_j w_j} .$$

- `weights` is (..., m), `values` is (..., m, e); the result is (..., e), in the dtype of the
  values. Leading axes are shared and each entry of them is a mean of its own.
- The weights need not sum to one: only their ratios count, however small or large they are.
- Weights that are all zero give zeros, and finite gradients.
"""

import torch

from attncourse.mechanisms.dense.lookup import weighted_mean as solution
from attncourse.testing import assert_same, assert_that, gaussian, gradients, levels

difficulty, minutes = 1, 10
hints = (
    "First turn the weights into shares that sum to one along the last axis, then let the shares "
    "weigh the values. `keepdim=True` keeps the summed axis, so that the division lines up.",
    "`shares[..., None, :]` is a matrix of one row for each mean: multiply it with the values and "
    "drop that axis again. Where the sum is zero, divide by one instead.",
)


def check_equals_the_sum_over_entries(student):
    """equals the sum written as a loop, for weights that do not sum to one"""
    for m, e in ((37, 6), (9, 7)):
        weights, values = _inputs(m=m, e=e)
        total = sum(float(w) for w in weights)
        expected = sum(float(w) / total * value for w, value in zip(weights, values, strict=True))
        assert_same(student(weights, values), expected)


def check_takes_leading_axes(student):
    """each entry of the leading axes is a mean of its own; an axis of length one stays"""
    for lead, m in (((4,), 37), ((2, 3), 37), ((1,), 37), ((5, 1), 37), ((2,), 1)):
        weights, values = _inputs(*lead, m=m, std=1000.0, seed=10)
        assert_same(student(weights, values), solution(weights, values))


def check_counts_only_ratios(student):
    """weights times a very small or large number give the same mean"""
    weights, values = _inputs(seed=30)
    expected = solution(weights, values)
    for factor in (1e-6, 1e6, 1e-150, 1e150):
        assert_same(student(factor * weights, values), expected, f"the mean for weights x {factor}")


def check_stays_among_the_values(student):
    """equal weights give the plain mean, and any weights a point among the values"""
    weights, values = _inputs(seed=40)
    assert_same(student(torch.full_like(weights, 0.3), values), values.mean(dim=0))
    weights = weights * levels(37, 1.0, 0.0, 1e6, 1e-6)
    out = student(weights, values)
    inside = (out >= values.amin(dim=0)) & (out <= values.amax(dim=0))
    assert_that(
        inside.all(), "a mean lies between the smallest and the largest value; yours does not."
    )
    assert_same(out, solution(weights, values))


def check_gives_zeros_for_zero_weights(student):
    """weights that are all zero give zeros with a finite gradient, and change no other mean"""
    weights, values = _inputs(3, seed=50)
    weights[1] = 0.0
    assert_same(student(weights, values), solution(weights, values))
    ours, theirs = gradients(student, weights, values), gradients(solution, weights, values)
    for name, a, b in zip(("weights", "values"), ours, theirs, strict=True):
        assert_that(a.isfinite().all(), f"the gradient of {name} is not finite.")
        assert_same(a[::2], b[::2], f"the gradient of the other {name}")


def check_has_the_right_gradient(student):
    """the gradients of weights and values are right, where a single weight is zero too"""
    for lead, m, e in (((2,), 37, 6), ((), 9, 7)):
        weights, values = _inputs(*lead, m=m, e=e, seed=60)
        weights[..., 3] = 0.0
        ours, theirs = gradients(student, weights, values), gradients(solution, weights, values)
        for name, a, b in zip(("weights", "values"), ours, theirs, strict=True):
            assert_same(a, b, f"the gradient of {name}")


def check_keeps_the_dtype(student):
    """float32 values give a float32 mean"""
    weights, values = (x.float() for x in _inputs(3, m=9, e=7, std=1.0, seed=70))
    assert_same(student(weights, values), solution(weights.double(), values.double()).float())


def _inputs(*lead, m=37, e=6, std=2.0, seed=0):
    """Positive weights (..., m) that do not sum to one, and values (..., m, e)."""
    return gaussian(*lead, m, seed=seed).square(), gaussian(*lead, m, e, std=std, seed=seed + 1)


def _total(weights):
    """The sum of the weights, one where it is zero, with its axis kept."""
    total = weights.sum(dim=-1, keepdim=True)
    return torch.where(total == 0, 1.0, total)


def _weighted_sum(weights, values):
    return (weights[..., None] * values).sum(dim=-2)


def wrong_not_normalised(weights, values):
    """You summed the weighted values and stopped there. The weights need not sum to one, so divide
    by their sum.
    """
    return _weighted_sum(weights, values)


def wrong_divided_by_the_count(weights, values):
    """You divided by the number of values. That is right only if every weight is one: divide by the
    sum of the weights.
    """
    return _weighted_sum(weights, values) / values.shape[-2]


def wrong_divided_by_the_largest(weights, values):
    """You divided the weights by the largest of them. Then the largest share is one, but the shares
    do not sum to one: divide by the sum.
    """
    largest = weights.amax(dim=-1, keepdim=True)
    return _weighted_sum(weights / torch.where(largest == 0, 1.0, largest), values)


def wrong_divided_by_the_length(weights, values):
    """You divided the weights by their length as a vector, the root of the sum of squares. A mean
    needs shares that sum to one, so divide by the plain sum.
    """
    return _weighted_sum(torch.nn.functional.normalize(weights, dim=-1), values)


def wrong_softmax_of_the_weights(weights, values):
    """You took a softmax of the weights. They are weights already, not scores: divide them by
    their sum.
    """
    return _weighted_sum(torch.softmax(weights, dim=-1), values)


def wrong_squared_weights(weights, values):
    """Your weights enter twice, so that each counts with its square. Let each weight multiply its
    value once.
    """
    return _weighted_sum(weights.square() / _total(weights.square()), values)


def wrong_weights_ignored(weights, values):
    """You took the plain mean of the values, so your result does not depend on the weights.
    Multiply each value by its share of the weight.
    """
    return values.mean(dim=-2)


def wrong_nan_for_zero_weights(weights, values):
    """You divided by the sum even where it is zero, and 0/0 is NaN. Where the sum is zero, divide
    by one: the result is then zeros.
    """
    return _weighted_sum(weights / weights.sum(dim=-1, keepdim=True), values)


def wrong_nan_in_the_gradient(weights, values):
    """Your mean is right, but you replaced the NaN of zero weights after the division, and their
    gradient is still NaN. Replace the sum of zero before you divide.
    """
    total = weights.sum(dim=-1, keepdim=True)
    return torch.where(total == 0, 0.0, _weighted_sum(weights, values) / total)


def wrong_sum_clamped(weights, values):
    """You put a lower bound under the sum, and weights that are small themselves fall below it.
    Treat the sum that is exactly zero as a case of its own.
    """
    return _weighted_sum(weights / weights.sum(dim=-1, keepdim=True).clamp(min=1e-8), values)


def wrong_sum_clamped_at_one(weights, values):
    """You put a lower bound of one under the sum, so weights that sum to less are not normalised.
    Only the sum that is exactly zero needs another number.
    """
    return _weighted_sum(weights / weights.sum(dim=-1, keepdim=True).clamp(min=1.0), values)


def wrong_axes_of_length_one_dropped(weights, values):
    """You dropped every axis of length one, a leading one too. Drop the one that you added, by its
    place: `squeeze(-2)`.
    """
    return _weighted_sum(weights / _total(weights), values).squeeze()


def wrong_small_number_added(weights, values):
    """You added a small number to the sum to avoid 0/0, and it spoils the mean where the weights
    themselves are small. Treat the sum that is exactly zero as a case of its own.
    """
    return _weighted_sum(weights / (weights.sum(dim=-1, keepdim=True) + 1e-8), values)


def wrong_total_over_the_batch(weights, values):
    """You summed the weights over all axes, so the means of a batch share one total. Sum over the
    last axis only.
    """
    total = weights.sum()
    return _weighted_sum(weights / torch.where(total == 0, 1.0, total), values)


def wrong_axis_first(weights, values):
    """You summed the weights over the first axis. With leading axes that is the batch: the weights
    of one mean lie along the last axis.
    """
    total = weights.sum(dim=0, keepdim=True)
    return _weighted_sum(weights / torch.where(total == 0, 1.0, total), values)


def wrong_total_without_keepdim(weights, values):
    """Your sum lost its axis, so with leading axes it no longer lines up with the weights. Pass
    `keepdim=True` to the sum.
    """
    total = weights.sum(dim=-1)
    return _weighted_sum(weights / torch.where(total == 0, 1.0, total), values)


def wrong_matrix_product_of_batches(weights, values):
    """You multiplied `weights @ values`, which takes the last leading axis of the weights for rows
    of a matrix. Give the weights an axis of length one in front of m.
    """
    return weights / _total(weights) @ values


def right_by_where(weights, values):
    """divides at the end, by a sum that torch.where has made safe"""
    total = weights.sum(dim=-1, keepdim=True)
    return _weighted_sum(weights, values) / torch.where(total > 0, total, 1.0)


def right_by_einsum(weights, values):
    """einsum for the weighted sum"""
    return torch.einsum("...m,...me->...e", weights / _total(weights), values)


def right_by_running_mean(weights, values):
    """moves the mean towards each value by its share of the weight so far"""
    mean, total = torch.zeros_like(values[..., 0, :]), torch.zeros_like(weights[..., :1])
    for j in range(weights.shape[-1]):
        weight = weights[..., j : j + 1]
        total = total + weight
        mean = mean + weight / torch.where(total == 0, 1.0, total) * (values[..., j, :] - mean)
    return mean
