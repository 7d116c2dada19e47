r"""# Mend the tiles

This function computes attention in tiles of `block` keys. On every text that fits into one tile it
is right, and in a language model the first words are right too. On longer texts it drifts away, and
with some keys far above the others it is nowhere near. Find the line, and mend it, so that again

$$\mathrm{out} = \mathrm{softmax}\!\left(\frac{Q K^\top}{\sqrt{d}}\right) V$$

whatever the block.

- `q` is (..., n, d), `k` is (..., m, d), `v` is (..., m, e); the result is (..., n, e). Shapes,
  dtype, the causal mask and what is kept in memory are right already, and stay so.
- The result does not depend on `block`, on how the keys are cut, or on where the largest score
  lies.
"""

import math

import torch

from attncourse.exercises import Borrow, itself
from attncourse.exercises.online_softmax import blockwise_attention
from attncourse.mechanisms.exact.blockwise import blockwise_attention as solution

difficulty, minutes = 3, 15
hints = (
    "Take one query, width 1, `block=1`, and two keys with the scores 0 and then ln 3. Print the "
    "largest score, the sum and the output after each, beside what you expect by hand.",
    "All that was kept of the past was divided by exp of the old maximum. When the maximum is "
    "another, which of the three has to be put into the new unit, and which of them is?",
)
forbidden = blockwise_attention.forbidden


def wrong_output_in_the_old_unit(q, k, v, *, block, causal=False):
    """Your sum is rescaled when the maximum moves, your output is not: it keeps the unit of the old
    maximum, while new tiles come in the new one. Multiply it by `shrink`, too.
    """
    places = torch.arange(q.shape[-2])[:, None] + k.shape[-2] - q.shape[-2]
    largest = torch.full_like(q[..., :1], -1e30)
    total = torch.zeros_like(largest)
    out = torch.zeros_like(largest * v[..., :1, :])
    for j in range(0, k.shape[-2], block):
        keys, values = k[..., j : j + block, :], v[..., j : j + block, :]
        scores = q @ keys.mT / math.sqrt(q.shape[-1])
        if causal:
            later = torch.arange(j, j + keys.shape[-2]) > places
            scores = scores.masked_fill(later, -math.inf)
        larger = torch.maximum(largest, scores.amax(dim=-1, keepdim=True)).detach()
        weights, shrink = (scores - larger).exp(), (largest - larger).exp()
        total = total * shrink + weights.sum(dim=-1, keepdim=True)
        out = out + weights @ values
        largest = larger
    return out / total.masked_fill(total == 0, 1.0)


stub = wrong_output_in_the_old_unit
shown = blockwise_attention.shown


def wrong_sum_in_the_old_unit(q, k, v, *, block, causal=False):
    """Now your output is rescaled when the maximum moves, and your sum is not. Both were made with
    the old maximum: multiply both by `shrink`.
    """
    return blockwise_attention.wrong_old_sum_not_rescaled(q, k, v, block=block, causal=causal)


def wrong_rescaled_with_the_new_tile(q, k, v, *, block, causal=False):
    """You shrink the old output together with the new tile, which is in the new unit already.
    Multiply the past by `shrink` before you add the tile.
    """
    out = torch.zeros_like(q[..., :1] * v[..., :1, :])
    top = torch.full_like(q[..., :1], -1e30)
    total = torch.zeros_like(top)
    for scores, values in blockwise_attention._tiles(q, k, v, block, causal):
        new = torch.maximum(top, scores.amax(dim=-1, keepdim=True)).detach()
        weights, shrink = (scores - new).exp(), (top - new).exp()
        total = total * shrink + weights.sum(dim=-1, keepdim=True)
        out = (out + weights @ values) * shrink
        top = new
    return out / total.masked_fill(total == 0, 1.0)


def wrong_no_maximum_any_more(q, k, v, *, block, causal=False):
    """You did without the maximum, so that there is nothing to rescale; but then large scores
    overflow. Keep it, and multiply what is old by exp(old - new).
    """
    return blockwise_attention.wrong_no_maximum_subtracted(q, k, v, block=block, causal=causal)


borrowed = (
    Borrow(
        blockwise_attention,
        itself,
        (
            "check_equals_attention_for_any_block",
            "check_hides_the_future",
            "check_follows_the_maximum",
            "check_takes_leading_axes",
            "check_has_the_right_gradient",
            "check_keeps_the_dtype",
            "check_needs_memory_that_grows_with_the_length",
            "wrong_whole_matrix",
            "wrong_mean_of_the_tiles",
            "wrong_nothing_rescaled",
            "wrong_rescaled_the_other_way",
            "wrong_maximum_starts_at_zero",
            "wrong_divided_in_every_tile",
            "wrong_not_divided",
            "wrong_last_tile_only",
            "wrong_nan_where_no_key_is_seen",
            "right_by_a_running_maximum",
            "right_by_merging",
            "right_by_two_passes",
        ),
    ),
)
