r"""# Mend an attention

This function is to compute

$$\mathrm{attention}(Q, K, V) = \mathrm{softmax}\!\left(\frac{Q K^\top}{\sqrt{d}}\right) V .$$

Its author tried it on 8 queries and 8 keys of width 8. The output was right to the last digit. On
other sizes it runs as well, and is wrong. Find the line, and mend it.

- `q` is (..., n, d), `k` is (..., m, d), `v` is (..., m, e); the result is (..., n, e). The
  leading axes (batch, heads) are shared by all three.
- The result has the dtype of `v`, and its gradient is right.
- `mask` comes in the next chapter: no call here gives one.
"""

import math

import torch

from attncourse.exercises import Borrow
from attncourse.exercises.scores_and_scaling import attention
from attncourse.mechanisms.dense.softmax import attention as solution

difficulty, minutes = 3, 10
hints = (
    "Two lines of this function are right for any sizes. Give it sizes that all differ, say 5 "
    "queries and 7 keys of width 3, and write the shape of each result beside its line.",
    "The transpose of the keys is (d, m). Which of the two is its last axis, and which of the two "
    "does the formula divide by?",
)
forbidden = attention.forbidden


def _unchanged(attention):
    """An answer to `attention` is one to this, whose function is the same."""
    return attention


def wrong_scale_by_the_last_axis_of_the_transpose(q, k, v, *, mask=None):
    """You divided by the root of the last axis of the *transposed* keys, which is their number m.
    The variance of a dot product comes from its width: divide by the root of `k.shape[-1]`.
    """
    keys = k.mT
    scores = q @ keys / math.sqrt(keys.shape[-1])
    weights = torch.softmax(scores, dim=-1)
    return weights @ v


stub = wrong_scale_by_the_last_axis_of_the_transpose

borrowed = (
    Borrow(
        attention,
        _unchanged,
        (
            "check_matches_the_definition",
            "check_takes_leading_axes",
            "check_survives_large_scores",
            "check_has_the_right_gradient",
            "check_keeps_the_dtype",
            "wrong_no_scale",
            "wrong_scale_by_d",
            "wrong_multiplied_by_sqrt_d",
            "wrong_scale_by_the_root_of_the_queries",
            "wrong_scale_by_the_value_width",
            "wrong_scaled_after_softmax",
            "wrong_scale_as_a_float32_tensor",
            "wrong_width_written_down",
            "wrong_over_the_axis_before_the_last",
            "wrong_softmax_over_the_matrix",
            "wrong_queries_and_keys_exchanged",
            "wrong_transpose_of_axes_one_and_two",
            "right_by_einsum",
            "right_by_logsumexp",
            "right_by_dividing_last",
        ),
    ),
)
