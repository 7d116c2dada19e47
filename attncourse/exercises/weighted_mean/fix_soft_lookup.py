r"""# A temperature that changes nothing

The function below is a soft lookup. It runs, its weights are positive and sum to one, and its
answers at temperature 1 are right. Then somebody turned the temperature to 0.1, and to 10, and got
the same answer three times. Find out why, and mend it, so that again

$$\mathrm{lookup}(q, K, V) = \sum_j a_j \, v_j , \qquad
a = \mathrm{softmax}\!\left(\frac{K q}{\tau}\right) .$$

- `query` is (..., d), `keys` is (..., m, d), `values` is (..., m, e); the result is (..., e), in
  the dtype of the values. All that is right already.
- `temperature` is the number $\tau > 0$, however small or large.
"""

import torch

from attncourse.exercises import Borrow, itself
from attncourse.exercises.weighted_mean import soft_lookup
from attncourse.mechanisms.dense.lookup import soft_lookup as solution

difficulty, minutes = 2, 10
hints = (
    "Call it with two temperatures and print what each line makes of them. In which line do the "
    "two calls become equal again?",
    "Whatever number all weights are divided by, a division by their sum takes it out again. The "
    "temperature has to come in while the entries are still scores.",
)
forbidden = ("scaled_dot_product_attention", "MultiheadAttention")


borrowed = (
    Borrow(
        soft_lookup,
        itself,
        (
            "check_matches_the_definition",
            "check_obeys_the_temperature",
            "check_reaches_both_limits",
            "check_takes_leading_axes",
            "check_survives_large_scores",
            "check_has_the_right_gradient",
            "check_keeps_the_dtype",
            "wrong_temperature_multiplied",
            "wrong_temperature_after_softmax",
            "wrong_temperature_on_both_sides",
            "wrong_root_of_the_temperature",
            "wrong_scaled_by_sqrt_d",
            "wrong_best_entry_below_a_temperature",
            "wrong_small_number_added_to_the_temperature",
            "wrong_axes_of_length_one_dropped",
            "wrong_matrix_times_query",
            "wrong_weights_times_matrix",
            "wrong_no_maximum_subtracted",
            "wrong_over_the_first_axis",
            "right_by_einsum",
            "right_by_cold_query",
        ),
    ),
)


def wrong_temperature_cancelled(query, keys, values, *, temperature=1.0):
    """Your result does not change with the temperature: what happens to all weights alike, their
    sum takes out again. Divide the scores, before the softmax.
    """
    scores = (keys * query[..., None, :]).sum(dim=-1)
    weights = torch.softmax(scores, dim=-1) / temperature
    shares = weights / weights.sum(dim=-1, keepdim=True)
    return (shares[..., None] * values).sum(dim=-2)


def wrong_power_of_the_weights(query, keys, values, *, temperature=1.0):
    """You raised the weights to the power 1/temperature. On paper that is right, but they are
    rounded by then, and a small temperature makes zeros of all of them: divide the scores instead.
    """
    weights = torch.softmax((keys * query[..., None, :]).sum(dim=-1), dim=-1) ** (1 / temperature)
    shares = weights / weights.sum(dim=-1, keepdim=True)
    return (shares[..., None] * values).sum(dim=-2)


def wrong_temperature_of_the_values(query, keys, values, *, temperature=1.0):
    """You divided the keys by the temperature and the values as well. It belongs to the comparison
    alone: leave the values as they are.
    """
    scores = (keys * query[..., None, :]).sum(dim=-1) / temperature
    weights = torch.softmax(scores, dim=-1)
    return (weights[..., None] * values / temperature).sum(dim=-2)


def right_by_dividing_twice(query, keys, values, *, temperature=1.0):
    """divides the scores, and leaves the division that the sum takes out"""
    scores = (keys * query[..., None, :]).sum(dim=-1)
    weights = torch.softmax(scores / temperature, dim=-1) / temperature
    shares = weights / weights.sum(dim=-1, keepdim=True)
    return (shares[..., None] * values).sum(dim=-2)


stub = wrong_temperature_cancelled
