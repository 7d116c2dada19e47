r"""# Mend an axis that moved

This function is to compute

$$\mathrm{attention}(Q, K, V) = \mathrm{softmax}\!\left(\frac{Q K^\top}{\sqrt{d}}\right) V .$$

For one sentence it is right. For a batch of sentences it runs as well, the shape is as expected,
and the numbers are off. Find out what sums to one, and mend it.

- `q` is (..., n, d), `k` is (..., m, d), `v` is (..., m, e); the result is (..., n, e). There may
  be no leading axis, one, or several.
- The result has the dtype of `v`, and its gradient is right.
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
    "Let the values be the identity and sum the weights over the keys, for one sentence and for a "
    "batch of two.",
    "Counted from the front, the keys' axis has another number for a batch. Counted from the back "
    "it has not.",
)
forbidden = attention.forbidden


def check_the_weights_of_a_query_sum_to_one(student):
    """in a batch the weights of each query sum to one, over the keys"""
    for lead, sizes in (((2,), (5, 9, 8, 6)), ((3, 2), (4, 7, 3, 5)), ((1,), (6, 3, 5, 2))):
        q, k, _ = attention_inputs(*lead, sizes=sizes, seed=5)
        eye = torch.eye(k.shape[-2], dtype=torch.float64).expand(*lead, -1, -1)
        weights = student(q, k, eye)
        assert_same(weights, solution(q, k, eye))
        sums = weights.sum(dim=-1)
        assert_that(
            bool((sums - 1).abs().max() < 1e-9),
            f"with leading axes {lead} the weights of a query sum to {float(sums.max()):.3f}.",
        )


def wrong_axis_one(q, k, v, *, mask=None):
    """You left `dim=1`: that is the keys for one sentence, the queries for a batch, and the heads
    where there are both. Count from the back, `dim=-1`.
    """
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    return torch.softmax(scores, dim=1) @ v


stub = wrong_axis_one


def wrong_axis_two(q, k, v, *, mask=None):
    """Your softmax runs over axis 2, which is right for exactly one leading axis. With none there
    is no such axis, with two it is another: count from the back.
    """
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    return torch.softmax(scores, dim=2) @ v


def wrong_over_the_queries(q, k, v, *, mask=None):
    """You count from the back now, but one too far: the softmax runs over the queries, and each
    *key* gives away one unit. Take the last axis.
    """
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    return torch.softmax(scores, dim=-2) @ v


borrowed = (
    Borrow(
        attention,
        itself,
        (
            "check_matches_the_definition",
            "check_takes_leading_axes",
            "check_has_the_right_gradient",
            "check_keeps_the_dtype",
            "wrong_softmax_over_the_matrix",
            "wrong_transpose_of_axes_one_and_two",
            "right_by_einsum",
            "right_by_logsumexp",
        ),
    ),
)
