r"""# Rows against columns

This function was put together from two books. One writes a token as a *column* of X, and
projects with a product from the left; the other writes a token as a *row*, and its scores are
$Q K^\top$. Each is right. The function runs wherever d = e, returns the right shape, takes its
causal mask without a word, and what it computes is no attention between tokens. Mend it, so that
again, with a token a row,

$$Q = X W_q, \quad K = X W_k, \quad V = X W_v, \qquad
Z = \mathrm{softmax}\!\left(\frac{Q K^\top}{\sqrt d}\right) V .$$

- `x` is (..., n, d_x), `w_q` and `w_k` are (d_x, d), `w_v` is (d_x, e); the result is (..., n, e),
  in the dtype of `x`. No width need equal another.
- With `causal=True` each token sees itself and the tokens before it, and no other.
"""

import math

import torch

from attncourse.core.masks import causal_mask
from attncourse.exercises import Borrow, itself
from attncourse.exercises.self_and_cross import self_attention
from attncourse.mechanisms.dense.self_attention import self_attention as solution

difficulty, minutes = 3, 15
hints = (
    "Give it 7 tokens and look at the shape of `scores`. Then give it 70.",
    "Where the columns are the tokens, a product that compares tokens has the transpose on the "
    "left, and so has one that mixes their values. Or write all of it in rows.",
)
forbidden = self_attention.forbidden


borrowed = (
    Borrow(
        self_attention,
        itself,
        (
            "check_matches_the_definition",
            "check_sees_only_the_past",
            "check_works_where_all_widths_are_equal",
            "check_takes_leading_axes",
            "check_survives_large_scores",
            "check_has_the_right_gradient",
            "check_keeps_the_dtype",
            "wrong_no_scale",
            "wrong_scale_by_d",
            "wrong_scale_by_the_token_width",
            "wrong_over_the_axis_before_the_last",
            "wrong_queries_and_keys_exchanged",
            "wrong_causal_ignored",
            "wrong_future_only",
            "wrong_softmax_over_the_matrix",
            "wrong_axes_of_length_one_dropped",
            "right_by_einsum",
            "right_by_one_matrix",
            "right_by_values_last",
        ),
    ),
)


def wrong_rows_and_columns(x, w_q, w_k, w_v, *, causal=False):
    """Your scores are (d, d): with tokens as columns q @ k.mT compares features with features, and
    your mask hides features. Compare tokens, q.mT @ k, and mix them, v @ weights.mT.
    """
    columns = x.mT
    q = w_q.mT @ columns
    k = w_k.mT @ columns
    v = w_v.mT @ columns
    scores = q @ k.mT / math.sqrt(q.shape[-2])
    if causal:
        hidden = torch.ones_like(scores, dtype=torch.bool).triu(1)
        scores = scores.masked_fill(hidden, -math.inf)
    return (torch.softmax(scores, dim=-1) @ v).mT


stub = wrong_rows_and_columns


def wrong_weights_not_transposed(x, w_q, w_k, w_v, *, causal=False):
    """Your scores are right, but each token is mixed with the weights of others. With tokens as
    columns a query's weights are a row still, so the product with the values is v @ weights.mT.
    """
    q, k, v = (w.mT @ x.mT for w in (w_q, w_k, w_v))
    return (v @ _weights(q.mT @ k / math.sqrt(q.shape[-2]), causal)).mT


def wrong_scaled_by_the_last_axis(x, w_q, w_k, w_v, *, causal=False):
    """You divided by the root of the number of tokens. The size of a dot product comes from its
    width: look which axis of q is d long, as `w_q.shape[-1]` is, and divide by its root.
    """
    q, k, v = (w.mT @ x.mT for w in (w_q, w_k, w_v))
    return (v @ _weights(q.mT @ k / math.sqrt(q.shape[-1]), causal).mT).mT


def wrong_columns_returned(x, w_q, w_k, w_v, *, causal=False):
    """Your result has a token in each column. The function takes rows and is to give rows:
    transpose it at the end.
    """
    return solution(x, w_q, w_k, w_v, causal=causal).mT


def right_by_columns(x, w_q, w_k, w_v, *, causal=False):
    """tokens as columns throughout, and transposed at the end"""
    q, k, v = (w.mT @ x.mT for w in (w_q, w_k, w_v))
    return (v @ _weights(q.mT @ k / math.sqrt(q.shape[-2]), causal).mT).mT


def right_by_softmax_over_columns(x, w_q, w_k, w_v, *, causal=False):
    """a query's scores as a column, and the softmax down the columns"""
    q, k, v = (w.mT @ x.mT for w in (w_q, w_k, w_v))
    scores = k.mT @ q / math.sqrt(q.shape[-2])
    if causal:
        scores = scores.masked_fill(~causal_mask(*scores.shape[-2:]).mT, -math.inf)
    return (v @ torch.softmax(scores, dim=-2)).mT


def _weights(scores, causal):
    if causal:
        scores = scores.masked_fill(~causal_mask(*scores.shape[-2:]), -math.inf)
    return torch.softmax(scores, dim=-1)
