r"""# Mend keys that nobody reads

Queries and keys are to share one projection. This function has the projection, runs without keys
of any particular kind, and its rows of weights sum to one. Its author noticed that it never needs
more than one pass over the keys. Give it other keys, a hundred times as long: the output is the
same to the last bit. Find out what is compared with what, and mend it:

$$Z = \mathrm{softmax}\!\left(\frac{(Q W)(K W)^\top}{\sqrt r}\right) V .$$

- `q` is (..., n, d), `k` is (..., m, d), `v` is (..., m, e), `w` is (d, r); the result is (..., n,
  e), in the dtype of `v`. r need not be m.
- The gradient is right: that of the keys, too.
"""

import math

import torch

from attncourse.exercises import Borrow, itself
from attncourse.exercises.sharing_and_fusion import shared_attention
from attncourse.mechanisms.sharing.shared import shared_attention as solution
from attncourse.testing import assert_same, assert_that, attention_inputs, gaussian

difficulty, minutes = 2, 10
hints = (
    "Multiply the keys by 100, or put others in their place. Which line of the function notices?",
    "`q @ w` has r columns, features. A score belongs to a pair of a query and a key: what has to "
    "be multiplied with what, so that there are m columns?",
)
forbidden = shared_attention.forbidden


def check_other_keys_give_another_output(student):
    """other keys, and the same keys in another order, give other outputs"""
    for m, d in ((8, 8), (9, 5)):
        q, k, v = attention_inputs(sizes=(5, m, d, 7), std=1.0, seed=15)
        w = gaussian(d, m, std=d**-0.5, seed=19)  # as many columns as keys
        out = student(q, k, v, w)
        assert_same(out, solution(q, k, v, w))
        moved = student(q, k.flip(0), v, w)
        assert_that(
            not torch.equal(out, moved),
            "with the keys in reverse order, and the values as they were, your output is the same "
            "to the last bit: no key was read.",
        )


def wrong_places_for_keys(q, k, v, w):
    """You left the keys out: the columns of `w` stand for places, and a memory of another length
    fails. Project queries and keys, and compare the two.
    """
    scores = q @ w / math.sqrt(w.shape[-1])
    weights = torch.softmax(scores, dim=-1)
    return weights @ v


stub = wrong_places_for_keys


shown = shared_attention.shown

borrowed = (
    Borrow(
        shared_attention,
        itself,
        (
            "check_matches_the_definition",
            "check_takes_leading_axes",
            "check_has_the_right_gradient",
            "check_keeps_the_dtype",
            "wrong_queries_alone_projected",
            "wrong_keys_alone_projected",
            "wrong_matrix_ignored",
            "wrong_scaled_by_the_width_before",
            "right_by_two_projections",
            "right_by_the_matrix_between",
        ),
    ),
)
