r"""# One tile

A program of FlashAttention holds a block of n queries and lets the keys go by, b at a time. Of each
query it keeps three things: the largest score so far, the sum of exponentials, and the sum of
values, weighted by these exponentials:

$$M = \max_j s_j, \qquad
t = \sum_j e^{s_j - M}, \qquad
u = \sum_j e^{s_j - M} v_j .$$

Write the step: what it knows after one block more.

- `q` is (..., n, d), `k` is (..., b, d), `v` is (..., b, e), and a score is $q \cdot k / \sqrt{d}$.
- `state` is a tuple `(largest, total, sums)` of shapes (..., n), (..., n) and (..., n, e): M, t and
  u over all earlier blocks. Before the first one they are $-\infty$, 0 and 0.
- The result is the new state, in the same order and dtype. The one that was given is not changed.
- Nothing is divided yet: after the last block the output is u / t. The gradient of the new state is
  right, for q, k, v and the old state.
"""

import math

import torch

from attncourse.exercises.scores_and_scaling import attention
from attncourse.mechanisms.dense.softmax import attention as whole
from attncourse.mechanisms.exact.tile import flash_forward_tile as solution
from attncourse.testing import (
    OTHER_SIZES,
    SIZES,
    assert_same,
    attention_inputs,
    gaussian,
    gradients,
    levels,
)

difficulty, minutes = 2, 25
hints = (
    "First the scores of this block, (..., n, b). The new largest score is the larger of the old "
    "one and the largest in the block. Which two of the three old numbers were made with the old?",
    "Everything that was summed before has the factor exp(old - new) to come; it is 0 where there "
    "was nothing. The sums have an axis more than it: `[..., None]`.",
)
forbidden = (*attention.forbidden, "flash_forward_tile", "attention_and_lse", "merge_attention")


def check_one_tile_on_a_state(student):
    """one block on top of a state: the largest score, the total and the sums"""
    for sizes in (SIZES, OTHER_SIZES):
        args = _inputs(sizes=sizes, seed=10)
        assert_same(student(*args), right_line_by_line(*args))


def check_first_tile(student):
    """before the first block nothing is known, and the state is -inf, 0 and 0"""
    for sizes in (SIZES, OTHER_SIZES):
        q, k, v = attention_inputs(sizes=sizes, seed=20)
        assert_same(student(q, k, v, _nothing(q, v)), right_line_by_line(q, k, v, _nothing(q, v)))


def check_tiles_give_attention(student):
    """tile after tile, divided at the end, is attention over all keys"""
    for sizes, block in ((SIZES, 8), (OTHER_SIZES, 1), (SIZES, 64)):
        q, k, v = attention_inputs(sizes=sizes, seed=30)
        state = _nothing(q, v)
        for j in range(0, k.shape[-2], block):
            state = student(q, k[j : j + block], v[j : j + block], state)
        assert_same(state[2] / state[1][:, None], whole(q, k, v), "the output")


def check_follows_the_maximum(student):
    """the largest score may lie before this block or in it, hundreds above the others"""
    for heights in ((0.0, 700.0), (0.0, -900.0), (-3000.0,)):
        for shift in (-800.0, 0.0, 800.0):
            q, k, v, (largest, total, sums) = _inputs(seed=40)
            q[:, 0], k[:, 0] = 10.0, levels(37, *heights) * math.sqrt(8) / 10.0
            args = q, k, v, (largest + shift, total, sums)
            assert_same(student(*args), right_line_by_line(*args))


def check_takes_leading_axes(student):
    """works for any batch and head axes, those of length one too, for one query and one key"""
    for lead, sizes in (
        ((2, 3), SIZES),
        ((1,), SIZES),
        ((4, 1), (1, 9, 3, 7)),
        ((2,), (11, 1, 3, 7)),
    ):
        args = _inputs(*lead, sizes=sizes, seed=50)
        assert_same(student(*args), right_line_by_line(*args))


def check_has_the_right_gradient(student):
    """the gradients of q, k, v and of the old state are right"""
    for sizes in (SIZES, OTHER_SIZES):
        args = _inputs(sizes=sizes, seed=70)
        expected = gradients(right_line_by_line, *args)
        found = gradients(student, *args)
        names = ("q", "k", "v", "largest", "total", "sums")
        for name, a, b in zip(names, found, expected, strict=True):
            assert_same(a, b, f"the gradient of {name}")


def check_keeps_the_dtype(student):
    """float32 tensors give a float32 state"""
    q, k, v, state = _inputs(seed=60)
    single = q.float(), k.float(), v.float(), tuple(x.float() for x in state)
    assert_same(student(*single), right_line_by_line(*single))


def _inputs(*lead, sizes=SIZES, seed):
    """A block of queries, keys and values, and what the queries know from twelve earlier keys."""
    q, k, v = attention_inputs(*lead, sizes=sizes, seed=seed)
    past_k = gaussian(*lead, 12, sizes[2], seed=seed + 7)
    past_v = gaussian(*lead, 12, sizes[3], seed=seed + 8)
    return q, k, v, right_line_by_line(q, past_k, past_v, _nothing(q, v))


def _nothing(q, v):
    largest = torch.full_like(q[..., 0], -math.inf)
    return largest, torch.zeros_like(largest), q.new_zeros(*q.shape[:-1], v.shape[-1])


def _step(q, k, v, state, *, old_total=True, old_sums=True, sign=1.0, scale=None):
    """One tile, with what a mistake leaves out."""
    largest, total, sums = state
    scores = q @ k.mT * (q.shape[-1] ** -0.5 if scale is None else scale)
    larger = torch.maximum(largest, scores.amax(dim=-1))
    shrink = (sign * (largest - larger)).exp()
    weights = (scores - larger[..., None]).exp()
    total = total * (shrink if old_total else 1.0) + weights.sum(dim=-1)
    sums = sums * (shrink[..., None] if old_sums else 1.0) + weights @ v
    return larger, total, sums


def wrong_total_not_rescaled(q, k, v, state):
    """You rescale the old sums where the largest score grows, but not the old total, which was made
    with the same old largest. Multiply both by exp(old - new).
    """
    return _step(q, k, v, state, old_total=False)


def wrong_sums_not_rescaled(q, k, v, state):
    """You rescale the old total where the largest score grows, but not the old sums, which were
    made with the same old largest. Multiply both by exp(old - new).
    """
    return _step(q, k, v, state, old_sums=False)


def wrong_nothing_rescaled(q, k, v, state):
    """You subtract a new largest score and add to total and sums as they were, although those have
    another unit. Where the largest grows, multiply both by exp(old - new).
    """
    return _step(q, k, v, state, old_total=False, old_sums=False)


def wrong_rescaled_the_other_way(q, k, v, state):
    """You multiply the past by exp(new - old). A larger maximum makes old exponentials smaller, not
    larger: exp(old - new), at most 1.
    """
    return _step(q, k, v, state, sign=-1.0)


def wrong_no_scale(q, k, v, state):
    """You left out the scale: a score is q . k over the square root of d."""
    return _step(q, k, v, state, scale=1.0)


def wrong_scale_by_the_block(q, k, v, state):
    """You divided the scores by the square root of the block's length. The scale is the width of
    queries and keys: `math.sqrt(q.shape[-1])`.
    """
    return _step(q, k, v, state, scale=k.shape[-2] ** -0.5)


def wrong_largest_of_this_block(q, k, v, state):
    """Your new largest score is that of this block alone, and goes down where an earlier one was
    larger. Take the larger of the two: `torch.maximum`.
    """
    largest, total, sums = state
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    larger = scores.amax(dim=-1)
    shrink, weights = (largest - larger).exp(), (scores - larger[..., None]).exp()
    total = total * shrink + weights.sum(dim=-1)
    return larger, total, sums * shrink[..., None] + weights @ v


def wrong_state_forgotten(q, k, v, state):
    """You begin anew with each block: total and sums hold this one alone. Add to what the state
    brings, once it is rescaled.
    """
    largest, _, _ = state
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    larger = torch.maximum(largest, scores.amax(dim=-1))
    weights = (scores - larger[..., None]).exp()
    return larger, weights.sum(dim=-1), weights @ v


def wrong_divided_in_every_tile(q, k, v, state):
    """You divide the sums by the total in every tile, so that the next one adds to a mean. Keep
    sums; the division comes once, after the last block.
    """
    larger, total, sums = _step(q, k, v, state)
    return larger, total, sums / total[..., None]


def wrong_no_maximum_subtracted(q, k, v, state):
    """You took the exponentials of the scores as they are, and large ones are infinite. Subtract
    the largest score so far, the new one.
    """
    largest, total, sums = state
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    larger = torch.maximum(largest, scores.amax(dim=-1))
    return larger, total + scores.exp().sum(dim=-1), sums + scores.exp() @ v


def wrong_one_maximum_for_all_queries(q, k, v, state):
    """You keep one largest score for all queries together. Each query has its own: the largest over
    the keys, `amax(dim=-1)`.
    """
    largest, total, sums = state
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    larger = torch.maximum(largest, scores.amax().expand_as(largest))
    shrink, weights = (largest - larger).exp(), (scores - larger[..., None]).exp()
    total = total * shrink + weights.sum(dim=-1)
    return larger, total, sums * shrink[..., None] + weights @ v


def wrong_largest_without_gradient(q, k, v, state):
    """You cut the largest score off from the gradient with `detach`. That is right where the tiles
    are divided at the end; here the state itself is the result, and its gradient is asked.
    """
    largest, total, sums = state
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    larger = torch.maximum(largest, scores.amax(dim=-1)).detach()
    shrink, weights = (largest - larger).exp(), (scores - larger[..., None]).exp()
    total = total * shrink + weights.sum(dim=-1)
    return larger, total, sums * shrink[..., None] + weights @ v


def right_line_by_line(q, k, v, state):
    """scores, the larger maximum, the factor for what is old, then both sums"""
    largest, total, sums = state
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    larger = torch.maximum(largest, scores.amax(dim=-1))
    shrink = (largest - larger).exp()
    weights = (scores - larger[..., None]).exp()
    total = total * shrink + weights.sum(dim=-1)
    sums = sums * shrink[..., None] + weights @ v
    return larger, total, sums


def right_by_merging(q, k, v, state):
    """the block alone first, then both parts brought to one unit"""
    largest, total, sums = state
    scores = torch.einsum("...nd,...bd->...nb", q, k) / math.sqrt(q.shape[-1])
    top = scores.max(dim=-1).values
    weights = torch.exp(scores - top[..., None])
    both = torch.maximum(largest, top)
    old, new = torch.exp(largest - both), torch.exp(top - both)
    total = old * total + new * weights.sum(dim=-1)
    return both, total, old[..., None] * sums + new[..., None] * (weights @ v)


def right_key_by_key(q, k, v, state):
    """a loop over the keys of the block, one after the other"""
    largest, total, sums = state
    for j in range(k.shape[-2]):
        score = (q * k[..., j : j + 1, :]).sum(dim=-1) / math.sqrt(q.shape[-1])
        larger = torch.maximum(largest, score)
        shrink, weight = (largest - larger).exp(), (score - larger).exp()
        total = total * shrink + weight
        sums = sums * shrink[..., None] + weight[..., None] * v[..., j : j + 1, :]
        largest = larger
    return largest, total, sums


shown = right_line_by_line
