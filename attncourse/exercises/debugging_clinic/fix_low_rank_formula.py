r"""# Mend a low rank that saves nothing

Keys are mixed down to r and, in the same line, back to m: a matrix of rank r in place of the keys,
said to make attention cheap. Its scores have a low rank indeed. Its author measured the rank, and
not the work. Count both, find out which matrix is too large, and mend it:

$$Z = \mathrm{softmax}\!\left(\frac{Q \, (E K)^\top}{\sqrt d}\right) (F V) .$$

- `q` is (..., n, d), `k` is (..., m, d), `v` is (..., m, e); `proj_k` (E) and `proj_v` (F) are (r,
  m). The result is (..., n, e), in the dtype of `v`, and its gradient is right.
- FLOPs and the largest tensor grow with the length and no faster: nothing has n × m numbers, and
  the softmax goes over r keys.
"""

import math

import torch

from attncourse.exercises import Borrow, itself
from attncourse.exercises.low_rank import linformer_attention
from attncourse.mechanisms.low_rank.linformer import linformer_attention as solution

difficulty, minutes = 2, 10
hints = (
    "Which of the tensors in the function has m rows and need not have them? What is the shape of "
    "the scores, and what is it in the formula?",
    "Mixed down is enough. But then there are r weights in a row: what has to be mixed down to r "
    "as well, and by which matrix?",
)
forbidden = linformer_attention.forbidden


def wrong_multiplied_out(q, k, v, proj_k, proj_v):
    """You left the product of the factors, which has all m rows again: n × m scores, a softmax over
    m. Stay with the r mixed keys, and mix the values by `proj_v`.
    """
    low_rank = proj_k.mT @ (proj_k @ k)
    scores = q @ low_rank.mT / math.sqrt(q.shape[-1])
    weights = torch.softmax(scores, dim=-1)
    return weights @ v


stub = wrong_multiplied_out


def wrong_values_mixed_by_the_keys_matrix(q, k, v, proj_k, proj_v):
    """Your values are mixed by `proj_k`, the keys' matrix, before they meet the weights or, with
    n × m numbers on the way, after. They have one of their own: mix them by `proj_v`, before.
    """
    scores = q @ (proj_k @ k).mT / math.sqrt(q.shape[-1])
    return (torch.softmax(scores, dim=-1) @ proj_k) @ v


shown = linformer_attention.shown

borrowed = (
    Borrow(
        linformer_attention,
        itself,
        (
            "check_equals_the_mixed_tokens",
            "check_takes_leading_axes",
            "check_has_the_right_gradient",
            "check_keeps_the_dtype",
            "check_costs_grow_with_the_length",
            "wrong_all_scores",
            "wrong_weights_mixed",
            "wrong_projections_swapped",
            "right_by_two_products_first",
            "right_by_einsum",
        ),
    ),
)
