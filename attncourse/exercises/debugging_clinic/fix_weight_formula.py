r"""# Mend a formula

Somewhere this was printed, five times:

$$A = \frac{S}{\sqrt d} \, \mathrm{softmax}\!\left(\frac{S}{\sqrt d}\right), \qquad S = Q K^\top,
\qquad Z = A V ,$$

and here it stands as code. It runs, it is smooth, and it trains. In a language model every word is
another. Let all values be 1, look at what comes out, and mend formula and code:

$$Z = A V, \qquad A_{ij} > 0, \qquad \sum_j A_{ij} = 1 .$$

- `q` is (..., n, d), `k` is (..., m, d), `v` is (..., m, e); the result is (..., n, e), in the
  dtype of `v`, and its gradient is right.
- `mask` plays no part: no call here gives one.
"""

import math

import torch

from attncourse.exercises import Borrow, itself
from attncourse.exercises.scores_and_scaling import attention
from attncourse.mechanisms.dense.softmax import attention as solution
from attncourse.testing import assert_same, assert_that, attention_inputs

difficulty, minutes = 1, 5
hints = (
    "Take one query and two keys with the scores 2 and -2. Write down the softmax, then what the "
    "printed formula makes of it. Which of the two can be a set of weights?",
    "The softmax is positive and sums to one by itself. What does the factor in front of it do?",
)
forbidden = attention.forbidden


def check_a_mean_of_ones_is_one(student):
    """values of 1 give outputs of 1, and no output lies outside the values"""
    for sizes in ((5, 9, 8, 6), (4, 7, 3, 5)):
        q, k, v = attention_inputs(sizes=sizes, seed=5)
        out = student(q, k, torch.ones_like(v))
        assert_same(out, torch.ones_like(out), "a mean of ones")
        out = student(q, k, v)
        assert_that(
            bool((out <= v.amax(dim=0) + 1e-9).all() and (out >= v.amin(dim=0) - 1e-9).all()),
            "an output is larger than every value, or smaller: a mean is neither.",
        )


def _scores(q, k):
    return q @ k.mT / math.sqrt(q.shape[-1])


def wrong_scores_in_front(q, k, v, *, mask=None):
    """You left the scores in front of the softmax: where a score is negative the weight is, and the
    row sums to the mean score. The softmax alone is the weights.
    """
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    weights = scores * torch.softmax(scores, dim=-1)
    return weights @ v


stub = wrong_scores_in_front


def wrong_divided_by_the_sum(q, k, v, *, mask=None):
    """You kept the factor and divided by the row's sum: it is one now, and negative weights are
    still there; where the sum is near zero they explode. Leave the factor out.
    """
    weights = _scores(q, k) * torch.softmax(_scores(q, k), dim=-1)
    return weights / weights.sum(dim=-1, keepdim=True) @ v


def wrong_absolute(q, k, v, *, mask=None):
    """You took absolute values, so that a key that fits badly counts like one that fits well. Leave
    the factor out: the softmax is positive.
    """
    weights = _scores(q, k).abs() * torch.softmax(_scores(q, k), dim=-1)
    return weights / weights.sum(dim=-1, keepdim=True) @ v


borrowed = (
    Borrow(
        attention,
        itself,
        (
            "check_matches_the_definition",
            "check_takes_leading_axes",
            "check_has_the_right_gradient",
            "check_keeps_the_dtype",
            "wrong_raw_scores_as_weights",
            "wrong_no_scale",
            "wrong_scaled_after_softmax",
            "right_by_einsum",
            "right_by_dividing_last",
        ),
    ),
)
