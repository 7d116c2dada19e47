r"""# A dictionary that interpolates

Look up one query in a table of m keys and values. No key needs to fit exactly: every entry
answers, weighted by how well its key fits,

$$\mathrm{lookup}(q, K, V) = \sum_j a_j \, v_j , \qquad
a = \mathrm{softmax}\!\left(\frac{K q}{\tau}\right) .$$

- `query` is (..., d), `keys` is (..., m, d), `values` is (..., m, e); the result is (..., e), in
  the dtype of the values.
- `temperature` is the number $\tau > 0$: near 0 the best entry answers alone, for a large one all
  answer alike. There is no other scale.
- `torch.softmax` is allowed; you write your own in the next chapter.
"""

import math

import torch

from attncourse.exercises import Borrow
from attncourse.exercises.scores_and_scaling import softmax
from attncourse.mechanisms.dense.lookup import soft_lookup as solution
from attncourse.mechanisms.dense.lookup import soft_lookup_by_definition
from attncourse.testing import (
    OTHER_SIZES,
    SIZES,
    assert_same,
    assert_that,
    attention_inputs,
    gradients,
    levels,
)

difficulty, minutes = 2, 15
hints = (
    "Three steps: m scores, m weights, one mean. A matrix product wants a matrix: "
    "`query[..., None]` makes a column of the query.",
    "The temperature divides the scores before the softmax, the softmax runs over the m keys, and "
    "the axis that you added to the query has to go again.",
)
forbidden = ("scaled_dot_product_attention", "MultiheadAttention")


def check_matches_the_definition(student):
    """equals the loop over the entries of the table"""
    for sizes in (SIZES, OTHER_SIZES):
        query, keys, values = _inputs(sizes=sizes)
        assert_same(student(query, keys, values), soft_lookup_by_definition(query, keys, values))


def check_takes_leading_axes(student):
    """many queries at once, each with its own table, be it of one entry; no axis is lost"""
    for lead, m in (((2, 3), 37), ((1,), 37), ((4, 1), 37), ((2,), 1)):
        query, keys, values = _inputs(*lead, sizes=(1, m, 8, 6), seed=10)
        values = 1000.0 * values  # so that rounded weights show
        assert_same(student(query, keys, values), solution(query, keys, values))


def check_obeys_the_temperature(student):
    """the temperature divides the scores, before the softmax, however small it is"""
    query, keys, values = _inputs(std=1.0, seed=20)
    cases = [(query, temperature) for temperature in (0.4, 5.0)]
    close = query / 4  # to all keys: no entry answers alone
    cases += [(temperature * close, temperature) for temperature in (1e-4, 1e-12, 1e6)]
    for asked, temperature in cases:
        assert_same(
            student(asked, keys, values, temperature=temperature),
            solution(asked, keys, values, temperature=temperature),
        )


def check_reaches_both_limits(student):
    """cold gives the entry that fits best, hot the plain mean"""
    query, keys, values = _inputs(seed=30)
    cold = student(query, keys, values, temperature=1e-9)
    assert_same(cold, values[(keys @ query).argmax()], "the lookup at a temperature near 0")
    hot = student(query, keys, values, temperature=1e12)
    assert_that(
        (hot - values.mean(dim=0)).abs().max() < 1e-6,
        "a very large temperature must give the plain mean of the values.",
    )


def check_survives_large_scores(student):
    """scores in the ten thousands do not overflow, and near ones still share"""
    query, keys, values = _inputs(4, std=100.0, seed=40)
    assert_same(student(query, keys, values), solution(query, keys, values))
    for heights in ((0.0, -3000.0, 1000.0), (1000.0, -3000.0, 1000.0)):
        query, keys, values = _inputs(sizes=OTHER_SIZES, seed=45)
        query[0], keys[:, 0] = 10.0, levels(9, *heights) / 10.0
        assert_same(student(query, keys, values), solution(query, keys, values))


def check_has_the_right_gradient(student):
    """the gradients of query, keys and values are right, for a table of one entry too"""
    for sizes in (SIZES, OTHER_SIZES, (1, 1, 3, 7)):
        query, keys, values = _inputs(sizes=sizes, seed=50)
        ours = gradients(student, query, keys, values, temperature=3.0)
        theirs = gradients(solution, query, keys, values, temperature=3.0)
        for name, a, b in zip(("query", "keys", "values"), ours, theirs, strict=True):
            assert_same(a, b, f"the gradient of {name}")


def check_keeps_the_dtype(student):
    """float32 values give a float32 answer"""
    inputs = [x.float() for x in _inputs(3, std=1.0, sizes=OTHER_SIZES, seed=60)]
    assert_same(student(*inputs), solution(*(x.double() for x in inputs)).float())


def _inputs(*lead, sizes=SIZES, std=2.0, seed=0):
    """A query (..., d), keys (..., m, d) and values (..., m, e)."""
    q, k, v = attention_inputs(*lead, sizes=sizes, std=std, seed=seed)
    return q[..., 0, :], k, v


def _scores(query, keys):
    return (keys * query[..., None, :]).sum(dim=-1)


def _mean(weights, values):
    return (weights[..., None] * values).sum(dim=-2)


def _with_softmax(softmax):
    """The lookup whose weights are the learner's softmax."""

    def soft_lookup(query, keys, values, *, temperature=1.0):
        return _mean(softmax(_scores(query, keys) / temperature), values)

    return soft_lookup


borrowed = (
    Borrow(
        softmax,
        _with_softmax,
        (
            "wrong_no_maximum_subtracted",
            "wrong_no_exponential",
            "wrong_not_divided_by_the_sum",
            "wrong_over_the_first_axis",
            "wrong_over_axis_one",
        ),
    ),
)


def wrong_temperature_multiplied(query, keys, values, *, temperature=1.0):
    """You multiplied the scores by the temperature. It divides them: a high temperature makes the
    weights more alike, not less.
    """
    return _mean(torch.softmax(_scores(query, keys) * temperature, dim=-1), values)


def wrong_temperature_ignored(query, keys, values, *, temperature=1.0):
    """Your result does not change with the temperature. Divide the scores by it."""
    return _mean(torch.softmax(_scores(query, keys), dim=-1), values)


def wrong_temperature_after_softmax(query, keys, values, *, temperature=1.0):
    """You divided the weights by the temperature, so they no longer sum to one. Divide the scores,
    before the softmax.
    """
    return _mean(torch.softmax(_scores(query, keys), dim=-1) / temperature, values)


def wrong_temperature_on_both_sides(query, keys, values, *, temperature=1.0):
    """You divided both the query and the keys by the temperature, so the scores are divided by its
    square. Divide once.
    """
    return _mean(torch.softmax(_scores(query, keys) / temperature**2, dim=-1), values)


def wrong_root_of_the_temperature(query, keys, values, *, temperature=1.0):
    """You divided the scores by the square root of the temperature. The root belongs to the scale
    sqrt(d) of the next chapter: divide by the temperature itself.
    """
    return _mean(torch.softmax(_scores(query, keys) / math.sqrt(temperature), dim=-1), values)


def wrong_scaled_by_sqrt_d(query, keys, values, *, temperature=1.0):
    """You also divided the scores by the square root of d. That is the scale of the next chapter;
    here the temperature is the only one.
    """
    scores = _scores(query, keys) / math.sqrt(query.shape[-1])
    return _mean(torch.softmax(scores / temperature, dim=-1), values)


def wrong_best_entry_only(query, keys, values, *, temperature=1.0):
    """You returned the value of the best key alone. A soft lookup lets every entry answer, in
    proportion to its softmax weight.
    """
    best = _scores(query, keys).argmax(dim=-1)
    return values.take_along_dim(best[..., None, None], dim=-2).squeeze(-2)


def wrong_best_entry_below_a_temperature(query, keys, values, *, temperature=1.0):
    """You switched to the best entry alone below some temperature. No switch is needed: where the
    scores are as close together as the temperature is small, the others still have their share.
    """
    if temperature < 1e-3:
        best = _scores(query, keys).argmax(dim=-1)
        return values.take_along_dim(best[..., None, None], dim=-2).squeeze(-2)
    return _mean(torch.softmax(_scores(query, keys) / temperature, dim=-1), values)


def wrong_small_number_added_to_the_temperature(query, keys, values, *, temperature=1.0):
    """You added a small number to the temperature. It is positive, so nothing is divided by zero,
    and a temperature that is small itself becomes another: divide by it as it is.
    """
    return _mean(torch.softmax(_scores(query, keys) / (temperature + 1e-8), dim=-1), values)


def wrong_axes_of_length_one_dropped(query, keys, values, *, temperature=1.0):
    """You dropped every axis of length one, a leading one too. Drop the one that you added, by its
    place: `squeeze(-1)` or `squeeze(-2)`.
    """
    return _mean(torch.softmax(_scores(query, keys) / temperature, dim=-1), values).squeeze()


def wrong_no_softmax(query, keys, values, *, temperature=1.0):
    """You used the scores as weights. They can be negative and do not sum to one: take their
    softmax first.
    """
    return _mean(_scores(query, keys) / temperature, values)


def wrong_matrix_times_query(query, keys, values, *, temperature=1.0):
    """You multiplied `keys @ query`, which takes the last leading axis of the queries for rows of a
    matrix. Make the query a column, `query[..., None]`, and drop that axis again.
    """
    return _mean(torch.softmax(keys @ query / temperature, dim=-1), values)


def wrong_weights_times_matrix(query, keys, values, *, temperature=1.0):
    """You multiplied `weights @ values`, which takes the last leading axis of the weights for rows
    of a matrix. Make the weights a row, `weights[..., None, :]`, and drop that axis again.
    """
    return torch.softmax(_scores(query, keys) / temperature, dim=-1) @ values


def wrong_cosine(query, keys, values, *, temperature=1.0):
    """You divided the scores by the lengths of query and keys. A dot product keeps the lengths: a
    long key fits more strongly.
    """
    scores = torch.nn.functional.cosine_similarity(keys, query[..., None, :], dim=-1)
    return _mean(torch.softmax(scores / temperature, dim=-1), values)


def wrong_distance(query, keys, values, *, temperature=1.0):
    """You scored each key by its distance from the query. Here the score is the dot product of the
    key with the query.
    """
    scores = -(keys - query[..., None, :]).norm(dim=-1)
    return _mean(torch.softmax(scores / temperature, dim=-1), values)


def wrong_plain_mean(query, keys, values, *, temperature=1.0):
    """You returned the plain mean of the values, whatever the query. Weigh each value by how well
    its key fits.
    """
    return values.mean(dim=-2)


def wrong_keys_returned(query, keys, values, *, temperature=1.0):
    """You averaged the keys. Keys are for matching only: the weights apply to the values."""
    return _mean(torch.softmax(_scores(query, keys) / temperature, dim=-1), keys)


def wrong_weights_returned(query, keys, values, *, temperature=1.0):
    """You returned the m weights. One step is missing: the mean of the values under them."""
    return torch.softmax(_scores(query, keys) / temperature, dim=-1)


def right_by_einsum(query, keys, values, *, temperature=1.0):
    """einsum, and weights from logsumexp"""
    scores = torch.einsum("...d,...md->...m", query, keys) / temperature
    weights = (scores - scores.logsumexp(dim=-1, keepdim=True)).exp()
    return torch.einsum("...m,...me->...e", weights, values)


def right_by_cold_query(query, keys, values, *, temperature=1.0):
    """divides the query instead of the scores, and multiplies matrices"""
    scores = keys @ (query / temperature)[..., None]
    return (values.mT @ torch.softmax(scores, dim=-2)).squeeze(-1)


def right_by_one_entry_at_a_time(query, keys, values, *, temperature=1.0):
    """a running maximum, sum and answer over the entries"""
    top = (query * keys[..., 0, :]).sum(dim=-1, keepdim=True) / temperature
    total, answer = torch.ones_like(top), values[..., 0, :]
    for j in range(1, keys.shape[-2]):
        score = (query * keys[..., j, :]).sum(dim=-1, keepdim=True) / temperature
        new = torch.maximum(top, score)
        keep, add = (top - new).exp(), (score - new).exp()
        total, answer, top = total * keep + add, answer * keep + add * values[..., j, :], new
    return answer / total
