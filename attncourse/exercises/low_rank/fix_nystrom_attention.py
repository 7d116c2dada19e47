r"""# Mend the batch

This function is Nyström attention, and for one head of one text its outputs are right. In a
service it answers several texts at once, and a user complains: the same sentence has another
vector today than yesterday. Find out what else a text's output depends on, and mend it.

$$Z = L \, A^{+} R \, V, \qquad
L = \mathrm{softmax}\!\left(\frac{Q \tilde K^\top}{\sqrt d}\right), \qquad
A = \mathrm{softmax}\!\left(\frac{\tilde Q \tilde K^\top}{\sqrt d}\right), \qquad
R = \mathrm{softmax}\!\left(\frac{\tilde Q K^\top}{\sqrt d}\right) .$$

- `q` is (..., n, d), `k` is (..., m, d), `v` is (..., m, e); the result is (..., n, e). Segments,
  softmaxes, the six steps, dtype and cost are right already, and stay so.
- Each matrix of a batch, each head of a text too, is treated as if it were alone.
"""

import math

import torch

from attncourse.exercises import Borrow, itself
from attncourse.exercises.low_rank import nystrom_attention
from attncourse.mechanisms.low_rank.nystrom import nystrom_attention as solution

difficulty, minutes = 2, 10
hints = (
    "Give it two texts at once, then the first one alone, and compare. Which line looks at more "
    "than one matrix at a time?",
    "`max()` without an axis is the largest of the whole batch. Take `amax` over the last axis and "
    "give the result two axes of length one, so that it divides its own matrix.",
)
forbidden = nystrom_attention.forbidden


def wrong_largest_of_the_batch(q, k, v, *, landmarks):
    """You take the largest sums over the whole batch, all texts and heads together. Take them over
    the last axis alone, so that each matrix has its own.
    """

    def means(x):
        parts = x.tensor_split(landmarks, dim=-2)
        return torch.stack([part.mean(dim=-2) for part in parts], dim=-2)

    def weights(queries, keys):
        return (queries @ keys.mT / math.sqrt(q.shape[-1])).softmax(dim=-1)

    few_q, few_k = means(q), means(k)
    a = weights(few_q, few_k)
    columns = a.sum(dim=-2).max()
    rows = a.sum(dim=-1).max()
    z = a.mT / (columns * rows)
    eye = torch.eye(landmarks, dtype=a.dtype)
    for _ in range(6):
        y = a @ z
        z = z @ (13 * eye - y @ (15 * eye - y @ (7 * eye - y))) / 4
    return weights(q, few_k) @ (z @ (weights(few_q, k) @ v))


stub = wrong_largest_of_the_batch
shown = nystrom_attention.right_by_three_softmaxes


def _with_norms(norms):
    """The function of the exercise with another divisor of the start."""

    def fix_nystrom_attention(q, k, v, *, landmarks):
        return nystrom_attention._nystrom(
            q, k, v, landmarks, inverse=lambda a: nystrom_attention._steps(a, norms(a))
        )

    return fix_nystrom_attention


def wrong_heads_share(q, k, v, *, landmarks):
    """You keep the texts apart and not the heads: the largest sums go over the last two axes. Every
    matrix has its own, so over one axis.
    """

    def norms(a):
        if a.ndim < 3:
            return a.sum(dim=-2).max() * a.sum(dim=-1).max()
        columns = a.sum(dim=-2).amax(dim=(-2, -1), keepdim=True)
        rows = a.sum(dim=-1).amax(dim=(-2, -1), keepdim=True)
        return (columns * rows)[..., None]

    return _with_norms(norms)(q, k, v, landmarks=landmarks)


def wrong_columns_each_divided(q, k, v, *, landmarks):
    """You divide each column by its own sum, in place of the whole matrix by the largest. Take the
    largest over the last axis first.
    """
    norms = _with_norms(lambda a: a.sum(dim=-2, keepdim=True) * a.sum(dim=-1).amax())
    return norms(q, k, v, landmarks=landmarks)


def wrong_not_divided(q, k, v, *, landmarks):
    """You begin with the transpose undivided. The steps may run away then: divide it by its largest
    column sum times its largest row sum.
    """
    return _with_norms(lambda a: 1.0)(q, k, v, landmarks=landmarks)


borrowed = (
    Borrow(
        nystrom_attention,
        itself,
        (
            "check_equals_the_four_matrices",
            "check_takes_any_number_of_landmarks",
            "check_takes_leading_axes",
            "check_survives_a_large_spread",
            "check_has_the_right_gradient",
            "check_keeps_the_dtype",
            "check_costs_grow_with_the_length",
            "wrong_all_pairs",
            "wrong_no_inverse",
            "wrong_exact_inverse",
            "wrong_five_steps",
            "wrong_start_not_transposed",
            "right_by_three_softmaxes",
            "right_by_pytorch",
            "right_by_a_matrix_of_means",
        ),
    ),
)
