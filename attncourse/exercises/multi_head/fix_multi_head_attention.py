r"""# Mend a multi-head attention

This function is to compute

$$\mathrm{head}_i = \mathrm{attention}(X W_q^i,\; Y W_k^i,\; Y W_v^i), \qquad
\mathrm{out} = (\mathrm{head}_0, \ldots, \mathrm{head}_{h-1})\, W_o .$$

Its author tested it: `merge(split(x))` is `x` to the last digit, every shape is right, and with one
head the output is that of `nn.MultiheadAttention`. With two heads it is not. Find out what a head
of this function sees, and mend it.

- `x` is (..., n, d_x), `memory` (Y) is (..., m, d_y); `w_q` is (d_x, d_q), `w_k` (d_y, d_q), `w_v`
  (d_y, d_v), `w_o` (d_v, d_o); the result is (..., n, d_o). Head i has the i-th of h equal blocks
  of columns; `h` divides d_q and d_v.
- `mask`, if given, is Boolean, True where a query may attend, and broadcasts to the scores with
  their head axis, (..., h, n, m). A query that may attend to nothing gets zeros from that head.
- The result has the dtype of `x`, and its gradient is right.
"""

import math

import torch

from attncourse.exercises import Borrow
from attncourse.exercises.multi_head import multi_head_attention
from attncourse.mechanisms.dense.heads import multi_head_attention as solution

difficulty, minutes = 3, 15
hints = (
    "Let x have four tokens and two heads, number the tokens 1 to 4 in all their features, and "
    "print what `split` puts into head 0. How many different tokens are in it?",
    "`reshape` deals numbers out in the order in which they lie, and a token's features lie "
    "together. Cut the last axis into two, then exchange axes; `merge` goes the same way back.",
)
forbidden = multi_head_attention.forbidden


def wrong_sentence_cut(x, memory, w_q, w_k, w_v, w_o, *, h, mask=None):
    """You left both reshapes as they were. They undo each other, so that no shape complains, and
    between them a head sees a piece of the sequence: move the head axis in both.
    """

    def split(y):
        return y.reshape(*y.shape[:-2], h, y.shape[-2], y.shape[-1] // h)

    def merge(y):
        return y.reshape(*y.shape[:-3], y.shape[-2], y.shape[-3] * y.shape[-1])

    q = split(x @ w_q)
    k = split(memory @ w_k)
    v = split(memory @ w_v)
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    weights = torch.softmax(scores, dim=-1).nan_to_num(0.0)  # empty rows are zero
    return merge(weights @ v) @ w_o


stub = wrong_sentence_cut


def wrong_split_mended_alone(x, memory, w_q, w_k, w_v, w_o, *, h, mask=None):
    """You mended the split and left the merge, which now mixes tokens on the way out. Exchange
    heads and tokens there too, before the reshape.
    """
    q, k, v = (_split(y, h) for y in (x @ w_q, memory @ w_k, memory @ w_v))
    heads = _attend(q, k, v, mask)
    return heads.reshape(*x.shape[:-1], -1) @ w_o


def wrong_merge_mended_alone(x, memory, w_q, w_k, w_v, w_o, *, h, mask=None):
    """You mended the merge and left the split, which still deals out whole tokens. Cut the width
    into (h, d) first, then exchange tokens and heads.
    """

    def split(y):
        return y.reshape(*y.shape[:-2], h, y.shape[-2], y.shape[-1] // h)

    heads = _attend(split(x @ w_q), split(memory @ w_k), split(memory @ w_v), mask)
    return heads.transpose(-3, -2).flatten(-2) @ w_o


def _split(x, h):
    return x.unflatten(-1, (h, -1)).transpose(-3, -2)


def _attend(q, k, v, mask):
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    return torch.softmax(scores, dim=-1).nan_to_num(0.0) @ v


def _unchanged(multi_head_attention):
    """An answer to `multi_head_attention` is one to this, whose function is the same."""
    return multi_head_attention


borrowed = (
    Borrow(
        multi_head_attention,
        _unchanged,
        (
            "check_equals_the_sum_over_heads",
            "check_depends_on_the_number_of_heads",
            "check_obeys_the_mask",
            "check_takes_leading_axes",
            "check_survives_large_scores",
            "check_has_the_right_gradient",
            "check_keeps_the_dtype",
            "wrong_heads_only_in_the_scale",
            "wrong_one_head_whatever_h_says",
            "wrong_scale_of_the_whole_width",
            "wrong_every_head_the_first",
            "wrong_no_output_projection",
            "wrong_self_attention",
            "wrong_float64_returned",
            "right_by_a_loop",
            "right_by_the_sum",
            "right_by_einsum",
        ),
    ),
)
