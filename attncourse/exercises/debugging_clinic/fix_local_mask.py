r"""# Mend a window that hides nothing

This function is to let each token see its neighbours alone,

$$Z_i = \sum_{j \in N(i)} w_{ij} \, v_j, \qquad N(i) = \{\, j : |i - j| \le \mathrm{window} \,\},$$

and with `causal=True` those with $0 \le i - j \le \mathrm{window}$. Its author looked at the
scores: outside the window they are zero, as planned. In a language model it goes round in circles.
Find out how much weight lies outside the window, and mend it.

- `q` and `k` are (..., n, d), `v` is (..., n, e); the result is (..., n, e). Shapes, scale, dtype
  and the window itself are right already, and stay so.
- A key outside the window has no weight at all. Computing all n × n scores is allowed.
"""

import math

import torch

from attncourse.exercises import Borrow, itself
from attncourse.exercises.sparse_patterns import sliding_window_attention
from attncourse.mechanisms.patterns.sliding_window import sliding_window_attention as solution
from attncourse.testing import assert_that, attention_inputs

difficulty, minutes = 2, 10
hints = (
    "Let v be the identity: what comes out are the weights. Sum those outside the window, for 8 "
    "tokens and for 64. What does a softmax make of a score of 0?",
    "exp(0) is 1. Which score has an exponential of 0? `masked_fill` writes it.",
)
forbidden = ("sliding_window_attention",)


def check_gives_no_weight_outside_the_window(student):
    """values that are the identity show the weights: those outside the window are 0"""
    for n, d, window in ((9, 8, 2), (14, 3, 1)):
        q, k, _ = attention_inputs(sizes=(n, n, d, 6), seed=5)
        weights = student(q, k, torch.eye(n, dtype=torch.float64), window=window)
        places = torch.arange(n)
        outside = (places[:, None] - places).abs() > window
        assert_that(weights.shape == outside.shape, f"the result must be ({n}, {n}) here.")
        most = float(weights.masked_fill(~outside, 0.0).abs().max())
        assert_that(
            most == 0,
            f"with n={n} and window={window} a key outside the window has the weight {most:.3f}; "
            "it is to have 0.",
        )


def _seen(n, window, causal):
    distance = torch.arange(n)[:, None] - torch.arange(n)
    return (distance <= window) & (distance >= (0 if causal else -window))


def _scores(q, k):
    return q @ k.mT / math.sqrt(q.shape[-1])


def wrong_zero_is_a_score(q, k, v, *, window, causal=False):
    """You left the product of scores and mask: a hidden score becomes 0, and exp(0) is 1, which is
    more than many visible keys get. Put -inf there, before the softmax.
    """
    places = torch.arange(q.shape[-2])
    distance = places[:, None] - places
    near = (distance <= window) & (distance >= (0 if causal else -window))
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    weights = torch.softmax(scores * near, dim=-1)
    return weights @ v


stub = wrong_zero_is_a_score


def wrong_weights_cut_after_the_softmax(q, k, v, *, window, causal=False):
    """You set the weights outside to zero after the softmax. Now they are gone, but the others no
    longer sum to one: hide the scores before.
    """
    near = _seen(q.shape[-2], window, causal)
    return (torch.softmax(_scores(q, k), dim=-1) * near) @ v


def wrong_ten_below_zero(q, k, v, *, window, causal=False):
    """You fill with a number that is merely low. Where the visible scores are lower still, the
    hidden keys win: only -inf is below every score.
    """
    near = _seen(q.shape[-2], window, causal)
    return torch.softmax(_scores(q, k).masked_fill(~near, -10.0), dim=-1) @ v


def right_by_filling(q, k, v, *, window, causal=False):
    """-inf where a query may not look, then softmax"""
    places = torch.arange(q.shape[-2])
    distance = places[:, None] - places
    near = (distance <= window) & (distance >= (0 if causal else -window))
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    return torch.softmax(scores.masked_fill(~near, -math.inf), dim=-1) @ v


shown = right_by_filling


borrowed = (
    Borrow(
        sliding_window_attention,
        itself,
        (
            "check_equals_the_masked_attention",
            "check_is_causal_on_request",
            "check_takes_leading_axes",
            "check_has_the_right_gradient",
            "check_keeps_the_dtype",
            "wrong_one_too_few",
            "wrong_causal_ignored",
            "right_query_by_query",
        ),
    ),
)
