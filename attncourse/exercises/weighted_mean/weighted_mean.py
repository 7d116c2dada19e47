r"""# A mean under weights

Compute the mean of m values under m non-negative weights,

$$\mathrm{mean}(w, V) = \frac{\sum_j w_j \, v_j}{\sum_j w_j} .$$

- `weights` is (..., m), `values` is (..., m, e); the result is (..., e). Leading axes are shared
  and each entry of them is a mean of its own.
- The weights need not sum to one: only their ratios count, however small or large they are.
- Weights that are all zero give zeros.
"""

import torch

from attncourse.mechanisms.dense.lookup import weighted_mean as solution
from attncourse.testing import assert_same, assert_that, gaussian, gradients

difficulty, minutes = 1, 10
hints = (
    "First turn the weights into shares that sum to one along the last axis, then let the shares "
    "weigh the values. `keepdim=True` keeps the summed axis, so that the division lines up.",
    "`shares[..., None, :]` is a matrix of one row for each mean: multiply it with the values and "
    "drop that axis again. Where the sum is zero, divide by one instead.",
)


def check_equals_the_sum_over_entries(student):
    """equals the sum written as a loop, for weights that do not sum to one"""
    weights, values = _inputs()
    total = sum(float(w) for w in weights)
    expected = sum(float(w) / total * value for w, value in zip(weights, values, strict=True))
    assert_same(student(weights, values), expected)


def check_takes_leading_axes(student):
    """each entry of the leading axes is a mean of its own"""
    assert_same(student(*_inputs(4, seed=10)), solution(*_inputs(4, seed=10)))
    weights, values = _inputs(2, 3, std=100.0, seed=20)
    assert_same(student(weights, values), solution(weights, values))


def check_counts_only_ratios(student):
    """weights times a millionth or a million give the same mean"""
    weights, values = _inputs(seed=30)
    expected = solution(weights, values)
    for factor in (1e-6, 1e6):
        assert_same(student(factor * weights, values), expected, f"the mean for weights x {factor}")


def check_stays_among_the_values(student):
    """equal weights give the plain mean, and any weights a point among the values"""
    weights, values = _inputs(seed=40)
    assert_same(student(torch.full_like(weights, 0.3), values), values.mean(dim=0))
    out = student(weights, values)
    inside = (out >= values.amin(dim=0)) & (out <= values.amax(dim=0))
    assert_that(
        inside.all(), "a mean lies between the smallest and the largest value; yours does not."
    )


def check_gives_zeros_for_zero_weights(student):
    """weights that are all zero give zeros, and change no other mean"""
    weights, values = _inputs(3, seed=50)
    weights[1] = 0.0
    assert_same(student(weights, values), solution(weights, values))


def check_has_the_right_gradient(student):
    """the gradients of weights and values are right"""
    weights, values = _inputs(2, seed=60)
    ours, theirs = gradients(student, weights, values), gradients(solution, weights, values)
    for name, a, b in zip(("weights", "values"), ours, theirs, strict=True):
        assert_same(a, b, f"the gradient of {name}")


def _inputs(*lead, std=2.0, seed=0):
    """Positive weights (..., 37) that do not sum to one, and values (..., 37, 6)."""
    return gaussian(*lead, 37, seed=seed).square(), gaussian(*lead, 37, 6, std=std, seed=seed + 1)


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
    """divides at the end, with the empty case chosen by torch.where"""
    total = weights.sum(dim=-1, keepdim=True)
    return torch.where(total > 0, _weighted_sum(weights, values) / total, 0.0)


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
