r"""# Mend the tile

A tile of FlashAttention, as somebody wrote it. The first is right. After several, most rows are
right to the last digit, and some too small: their weights sum to less than one. Mend it, so that

$$M = \max_j s_j, \qquad
t = \sum_j e^{s_j - M}, \qquad
u = \sum_j e^{s_j - M} v_j$$

over all keys so far, and the output is u / t.

- `q` is (..., n, d), `k` is (..., b, d), `v` is (..., b, e); `state` is `(largest, total, sums)`,
  of shapes (..., n), (..., n) and (..., n, e), and so is the result: M, t and u.
- Shapes, dtype, scale and order are right already, and stay so. The given state is not changed.
"""

import math

import torch

from attncourse.exercises import Borrow, itself
from attncourse.exercises.kernels import flash_forward_tile
from attncourse.mechanisms.exact.tile import flash_forward_tile as solution

difficulty, minutes = 3, 10
hints = (
    "Take one query and two keys with the scores 0 and then ln 2, a tile each, by hand. What "
    "should the total be after the second, counted with the new largest score? What is it here?",
    "Three things are carried. One is the largest score itself; each of the other two was summed "
    "in the unit of the old one. How many of them meet `shrink`?",
)
forbidden = flash_forward_tile.forbidden


def wrong_total_in_the_old_unit(q, k, v, state):
    """Your sums are rescaled where the largest score grows, your total is not: it keeps the unit of
    the old largest, while the new tile comes in the new one. Multiply it by `shrink`, too.
    """
    old, total, sums = state
    s = q @ k.mT / math.sqrt(q.shape[-1])
    new = torch.maximum(old, s.amax(dim=-1))
    shrink = torch.exp(old - new)[..., None]
    raised = torch.exp(s - new[..., None])
    total = total + raised.sum(dim=-1)
    sums = sums * shrink + raised @ v
    return new, total, sums


stub = wrong_total_in_the_old_unit
shown = flash_forward_tile.shown


def wrong_rescaled_with_the_new_tile(q, k, v, state):
    """You shrink the total together with the new tile, which is in the new unit already. Multiply
    the past by `shrink` before you add the tile.
    """
    largest, total, sums = state
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    larger = torch.maximum(largest, scores.amax(dim=-1))
    shrink = (largest - larger).exp()
    weights = (scores - larger[..., None]).exp()
    total = (total + weights.sum(dim=-1)) * shrink
    return larger, total, sums * shrink[..., None] + weights @ v


borrowed = (
    Borrow(
        flash_forward_tile,
        itself,
        (
            "check_one_tile_on_a_state",
            "check_first_tile",
            "check_tiles_give_attention",
            "check_follows_the_maximum",
            "check_takes_leading_axes",
            "check_has_the_right_gradient",
            "check_keeps_the_dtype",
            "wrong_sums_not_rescaled",
            "wrong_nothing_rescaled",
            "wrong_rescaled_the_other_way",
            "wrong_no_maximum_subtracted",
            "wrong_state_forgotten",
            "right_line_by_line",
            "right_by_merging",
            "right_key_by_key",
        ),
    ),
)
