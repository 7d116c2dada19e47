r"""# Attention in tiles

Compute attention without ever holding its matrix of scores. Take `block` keys at a time. Of each
query keep what has been seen so far: the largest score, the sum of exponentials, the sum of
weighted values (or an output with its logsumexp: your `merge_attention` joins two). At the end it
is

$$\mathrm{softmax}\!\left(\frac{Q K^\top}{\sqrt{d}}\right) V ,$$

exactly, whatever the block.

- `q` is (..., n, d), `k` is (..., m, d), `v` is (..., m, e); the result is (..., n, e) in the dtype
  of `v`, and its gradient is right. `block` is at least 1, and may be larger than m; the last block
  may be short.
- With `causal=True` the n queries are the last n of the m positions, as in `causal_mask`: query i
  sees the keys j with $j \le i + m - n$. A query that sees no key gives zeros.
- Nothing is as large as n times m, not even a mask: at twice the length the largest tensor is twice
  as large. You may also take `block` queries at a time.
"""

import math

import torch

from attncourse.core.masks import causal_mask
from attncourse.exercises import Borrow
from attncourse.exercises.online_softmax import merge_attention
from attncourse.exercises.scores_and_scaling import attention
from attncourse.measure.cost import largest_tensor
from attncourse.mechanisms.exact.blockwise import blockwise_attention as solution
from attncourse.mechanisms.exact.blockwise import (
    blockwise_attention_by_definition as by_definition,
)
from attncourse.mechanisms.exact.merging import attention_and_lse
from attncourse.testing import (
    OTHER_SIZES,
    SIZES,
    assert_same,
    assert_that,
    attention_inputs,
    gradients,
    levels,
)

difficulty, minutes = 4, 40
hints = (
    "One query and one key at a time first, as in the chapter. Then let the queries be all rows "
    "of a matrix: the largest score, the sum and the output get an axis of n, the keys of `block`.",
    "When a tile brings a larger maximum, sum and output so far were made with the old one: "
    "multiply both by exp(old - new). For the mask of a tile compare positions, `torch.arange`.",
)
forbidden = attention.forbidden


def check_equals_attention_for_any_block(student):
    """any block gives attention: one key, a short last block, more than there are keys"""
    for sizes, blocks in ((SIZES, (4, 9, 64)), (OTHER_SIZES, (1, 64))):
        q, k, v = attention_inputs(sizes=sizes, seed=10)
        for block in blocks:
            assert_same(student(q, k, v, block=block), by_definition(q, k, v, block=block))


def check_hides_the_future(student):
    """causal, a query sees no later key: as many queries as keys, fewer, or more"""
    for n, m in ((9, 9), (5, 37), (11, 4), (1, 12)):
        q, k, v = attention_inputs(sizes=(n, m, 8, 6), seed=20)
        for block in (3, 64):
            ours = student(q, k, v, block=block, causal=True)
            assert_same(ours, by_definition(q, k, v, block=block, causal=True))


def check_follows_the_maximum(student):
    """the largest score may lie in any tile, hundreds above the others or below zero"""
    rising = [100.0 * j for j in range(-20, 17)]
    far = [0.0, -900.0, 700.0]
    for heights, block in ((rising, 4), (rising[::-1], 5), (far, 5), ([-3000.0], 9)):
        q, k, v = _spread(levels(37, *heights))
        assert_same(student(q, k, v, block=block), by_definition(q, k, v, block=block))
    q, k, v = attention_inputs(std=100.0, seed=30)
    causal = {"block": 6, "causal": True}
    assert_same(student(q, k, v, **causal), by_definition(q, k, v, **causal))


def check_takes_leading_axes(student):
    """works for any batch and head axes, those of length one too, for one query and one key"""
    one_query, one_key = (1, 9, 3, 7), (11, 1, 3, 7)
    for lead, sizes in (((2, 3), SIZES), ((1,), SIZES), ((4, 1), one_query), ((2,), one_key)):
        q, k, v = attention_inputs(*lead, sizes=sizes, seed=40)
        for causal in (False, True):
            ours = student(q, k, v, block=4, causal=causal)
            assert_same(ours, by_definition(q, k, v, block=4, causal=causal))


def check_has_the_right_gradient(student):
    """the gradients of q, k and v are right, causal and with scores far apart too"""
    near = [attention_inputs(sizes=sizes, seed=50) for sizes in (SIZES, OTHER_SIZES)]
    for q, k, v in (*near, _spread(levels(37, 0.0, -3000.0, 1000.0))):
        for causal in (False, True):
            ours = gradients(student, q, k, v, block=5, causal=causal)
            theirs = gradients(by_definition, q, k, v, block=5, causal=causal)
            for name, a, b in zip("qkv", ours, theirs, strict=True):
                assert_that(a.isfinite().all(), f"the gradient of {name} is not finite.")
                assert_same(a, b, f"the gradient of {name}")


def check_keeps_the_dtype(student):
    """float32 values give float32 outputs, bfloat16 values bfloat16 outputs"""
    for causal in (False, True):
        options = {"block": 4, "causal": causal}
        q, k, v = (x.float() for x in attention_inputs(sizes=(5, 9, 8, 6), std=1.0, seed=70))
        exact = by_definition(q.double(), k.double(), v.double(), **options)
        assert_same(student(q, k, v, **options), exact.float())
        q, k, v = (x.bfloat16() for x in (q, k, v))
        exact = by_definition(q.double(), k.double(), v.double(), **options)
        error = (student(q, k, v, **options).double() - exact).abs().max()
        assert_that(error < 0.2, "bfloat16 inputs must give about the same output.")


def check_needs_memory_that_grows_with_the_length(student):
    """at twice the length the largest tensor is twice as large, causal or not"""
    found = []
    for causal in (False, True):
        for n in (32, 64):
            q, k, v = attention_inputs(sizes=(n, n + 6, 8, 6), seed=60)
            options = {"block": 16, "causal": causal}
            assert_same(student(q, k, v, **options), by_definition(q, k, v, **options))
            found.append(largest_tensor(student, q, k, v, **options))
    for causal, (once, twice) in (("", found[:2]), (" with `causal=True`", found[2:])):
        assert_that(
            twice <= 2.5 * once and twice < 64 * 70 // 2,
            f"at 32 queries your largest tensor{causal} holds {once} numbers, at 64 it holds "
            f"{twice}: something is as large as n times m.",
        )


def _spread(heights):
    """Inputs in which the scores of key j are raised by heights[j]."""
    q, k, v = attention_inputs(seed=45)
    q[:, 0], k[:, 0] = 10.0, heights * math.sqrt(8) / 10.0
    return q, k, v


def _tiles(q, k, v, block, causal):
    """Scores and values of one tile after another, -inf where a query may not attend."""
    queries = torch.arange(q.shape[-2])[:, None] + k.shape[-2] - q.shape[-2]
    for j in range(0, k.shape[-2], block):
        keys, values = k[..., j : j + block, :], v[..., j : j + block, :]
        scores = q @ keys.mT / math.sqrt(q.shape[-1])
        if causal:
            later = torch.arange(j, j + keys.shape[-2]) > queries
            scores = scores.masked_fill(later, -math.inf)
        yield scores, values


def _online(q, k, v, block, causal, *, old_sum=True, old_out=True, sign=1.0, least=-1e30):
    """The running maximum, sum and output, with what a mistake leaves out."""
    top = torch.full_like(q[..., :1], least)
    total, out = torch.zeros_like(top), torch.zeros_like(top * v[..., :1, :])
    for scores, values in _tiles(q, k, v, block, causal):
        new = torch.maximum(top, scores.amax(dim=-1, keepdim=True)).detach()
        weights, shrink = (scores - new).exp(), (sign * (top - new)).exp()
        total = total * (shrink if old_sum else 1.0) + weights.sum(dim=-1, keepdim=True)
        out = out * (shrink if old_out else 1.0) + weights @ values
        top = new
    return out / total.masked_fill(total == 0, 1.0)


def wrong_whole_matrix(q, k, v, *, block, causal=False):
    """You hold n times m numbers together: all scores, or a whole causal mask. Use each tile up
    before the next is made, and compute its part of the mask from positions.
    """
    scores = torch.cat([s for s, _ in _tiles(q, k, v, k.shape[-2], causal)], dim=-1)
    empty = (scores == -math.inf).all(dim=-1, keepdim=True)
    return scores.masked_fill(empty, 0.0).softmax(dim=-1).masked_fill(empty, 0.0) @ v


def wrong_mean_of_the_tiles(q, k, v, *, block, causal=False):
    """You averaged the outputs of the tiles as if each weighed the same. A tile counts by its sum
    of exponentials: keep it, or the logsumexp, and merge.
    """
    outs = []
    for scores, values in _tiles(q, k, v, block, causal):
        empty = (scores == -math.inf).all(dim=-1, keepdim=True)
        weights = scores.masked_fill(empty, 0.0).softmax(dim=-1).masked_fill(empty, 0.0)
        outs.append(weights @ values)
    return torch.stack(outs).mean(dim=0)


def wrong_own_tile_only(q, k, v, *, block, causal=False):
    """You let each block of queries attend to the block of keys at the same place alone. Tiles
    change the order of the work, not what is seen: go over all keys for each query.
    """
    outs = []
    for i in range(0, q.shape[-2], block):
        keys = k[..., i : i + block, :] if i < k.shape[-2] else k[..., -block:, :]
        values = v[..., i : i + block, :] if i < k.shape[-2] else v[..., -block:, :]
        outs.append(solution(q[..., i : i + block, :], keys, values, block=block, causal=causal))
    return torch.cat(outs, dim=-2)


def wrong_last_tile_only(q, k, v, *, block, causal=False):
    """Your loop begins anew with each tile, so that only the last one is left. Maximum, sum and
    output are made before the loop and carried through it.
    """
    for scores, values in _tiles(q, k, v, block, causal):
        empty = (scores == -math.inf).all(dim=-1, keepdim=True)
        out = scores.masked_fill(empty, 0.0).softmax(dim=-1).masked_fill(empty, 0.0) @ values
    return out


def wrong_short_block_left_out(q, k, v, *, block, causal=False):
    """You left out the keys of the last block where it is short. Count the blocks upwards,
    `range(0, m, block)`: a slice that reaches too far is cut.
    """
    offset = k.shape[-2] - q.shape[-2]
    whole = max(k.shape[-2] // block * block, 1)
    top = torch.full_like(q[..., :1], -1e30)
    total, out = torch.zeros_like(top), torch.zeros_like(top * v[..., :1, :])
    places = torch.arange(q.shape[-2])[:, None] + offset
    for j in range(0, whole, block):
        scores = q @ k[..., j : j + block, :].mT / math.sqrt(q.shape[-1])
        if causal:
            later = torch.arange(j, j + scores.shape[-1]) > places
            scores = scores.masked_fill(later, -math.inf)
        new = torch.maximum(top, scores.amax(dim=-1, keepdim=True)).detach()
        weights, shrink = (scores - new).exp(), (top - new).exp()
        total = total * shrink + weights.sum(dim=-1, keepdim=True)
        out = out * shrink + weights @ v[..., j : j + block, :]
        top = new
    return out / total.masked_fill(total == 0, 1.0)


def wrong_old_output_not_rescaled(q, k, v, *, block, causal=False):
    """When the maximum moves you rescale the old sum, but not the old output, which was made with
    the same old maximum. Multiply both by exp(old - new).
    """
    return _online(q, k, v, block, causal, old_out=False)


def wrong_old_sum_not_rescaled(q, k, v, *, block, causal=False):
    """When the maximum moves you rescale the old output, but not the old sum, which was made with
    the same old maximum. Multiply both by exp(old - new).
    """
    return _online(q, k, v, block, causal, old_sum=False)


def wrong_nothing_rescaled(q, k, v, *, block, causal=False):
    """You subtract a new maximum in each tile and add the results as they are, although they have
    different units. When the maximum moves, multiply the old sum and the old output by exp(old -
    new).
    """
    return _online(q, k, v, block, causal, old_sum=False, old_out=False)


def wrong_rescaled_the_other_way(q, k, v, *, block, causal=False):
    """You multiply the past by exp(new - old). A larger maximum makes old exponentials smaller, not
    larger: exp(old - new), at most 1.
    """
    return _online(q, k, v, block, causal, sign=-1.0)


def wrong_maximum_starts_at_zero(q, k, v, *, block, causal=False):
    """Your running maximum starts at 0. Where all scores lie far below zero every exponential
    vanishes: start below all scores.
    """
    return _online(q, k, v, block, causal, least=0.0)


def wrong_no_maximum_subtracted(q, k, v, *, block, causal=False):
    """You took the exponentials of the scores as they are, and large ones are infinite. Keep a
    running maximum and subtract it.
    """
    total, out = torch.zeros_like(q[..., :1]), torch.zeros_like(q[..., :1] * v[..., :1, :])
    for scores, values in _tiles(q, k, v, block, causal):
        total = total + scores.exp().sum(dim=-1, keepdim=True)
        out = out + scores.exp() @ values
    return out / total.masked_fill(total == 0, 1.0)


def wrong_one_maximum_for_all_queries(q, k, v, *, block, causal=False):
    """You keep one maximum for all queries together. A query whose scores lie far below it has only
    zeros left, and 0/0 is NaN: keep one for each query, `amax(dim=-1)`.
    """
    top = -math.inf
    total, out = torch.zeros_like(q[..., :1]), torch.zeros_like(q[..., :1] * v[..., :1, :])
    for scores, values in _tiles(q, k, v, block, causal):
        new = max(top, scores.max().item())
        safe = 0.0 if new == -math.inf else new
        weights, shrink = (scores - safe).exp(), math.exp(top - safe)
        total = total * shrink + weights.sum(dim=-1, keepdim=True)
        out = out * shrink + weights @ values
        top = new
    empty = torch.arange(q.shape[-2])[:, None] + k.shape[-2] - q.shape[-2] < 0
    return out / (total + (empty if causal else 0))


def wrong_divided_in_every_tile(q, k, v, *, block, causal=False):
    """You divide by the sum in every tile and add a new part to it, so that the old one is divided
    again and again. Divide once, after the loop.
    """
    top = torch.full_like(q[..., :1], -1e30)
    total, out = torch.zeros_like(top), torch.zeros_like(top * v[..., :1, :])
    for scores, values in _tiles(q, k, v, block, causal):
        new = torch.maximum(top, scores.amax(dim=-1, keepdim=True)).detach()
        weights, shrink = (scores - new).exp(), (top - new).exp()
        total = total * shrink + weights.sum(dim=-1, keepdim=True)
        out = (out * shrink + weights @ values) / total.masked_fill(total == 0, 1.0)
        top = new
    return out


def wrong_not_divided(q, k, v, *, block, causal=False):
    """You did not divide by the sum of exponentials. The weights of a query sum to one only after
    that: divide once, after the loop.
    """
    top = torch.full_like(q[..., :1], -1e30)
    out = torch.zeros_like(top * v[..., :1, :])
    for scores, values in _tiles(q, k, v, block, causal):
        new = torch.maximum(top, scores.amax(dim=-1, keepdim=True)).detach()
        out = out * (top - new).exp() + (scores - new).exp() @ values
        top = new
    return out


def wrong_nan_where_no_key_is_seen(q, k, v, *, block, causal=False):
    """You give NaN to a query that sees no key: -inf less -inf, or 0/0. Subtract a finite number
    from its scores and divide by 1, and zeros come out.
    """
    return _online(q, k, v, block, causal, least=-math.inf)


def wrong_causal_ignored(q, k, v, *, block, causal=False):
    """Your result is the same with `causal=True`, so every query sees the future. Hide the later
    keys of each tile with -inf.
    """
    return _online(q, k, v, block, False)


def wrong_always_causal(q, k, v, *, block, causal=False):
    """You hide later keys whether you are asked to or not. Without `causal=True` every query sees
    every key.
    """
    return _online(q, k, v, block, True)


def wrong_causal_from_the_top_left(q, k, v, *, block, causal=False):
    """You let query i see the keys up to i. The queries are the last n of the m positions: up to i
    + m - n.
    """
    if not causal:
        return _online(q, k, v, block, causal)
    n, m = q.shape[-2], k.shape[-2]
    mask = torch.arange(m) <= torch.arange(n)[:, None]
    return attention.solution(q, k, v, mask=mask)


def wrong_causal_within_the_tile(q, k, v, *, block, causal=False):
    """You compare a key's place within its tile with the query's place in the text. Add where the
    tile begins, `j`, to the place of its keys.
    """
    if not causal:
        return _online(q, k, v, block, causal)
    n, m = q.shape[-2], k.shape[-2]
    mask = torch.arange(m) % block <= torch.arange(n)[:, None] + m - n
    return attention.solution(q, k, v, mask=mask)


def wrong_own_position_hidden(q, k, v, *, block, causal=False):
    """You hide the query's own position too. Causal means up to and with itself: hide the keys that
    are later, `>`.
    """
    if not causal:
        return _online(q, k, v, block, causal)
    n, m = q.shape[-2], k.shape[-2]
    mask = torch.arange(m) < torch.arange(n)[:, None] + m - n
    return attention.solution(q, k, v, mask=mask)


def wrong_width_of_a_tile_as_scale(q, k, v, *, block, causal=False):
    """You divided the scores by the square root of the block. The scale is the width of queries and
    keys: `math.sqrt(q.shape[-1])`.
    """
    return solution(q * math.sqrt(q.shape[-1] / block), k, v, block=block, causal=causal)


def _in_whole(function):
    """An answer that knows no blocks: dense, under the mask that causal asks for."""

    def blockwise(q, k, v, *, block, causal=False):
        mask = causal_mask(q.shape[-2], k.shape[-2]) if causal else None
        return function(q, k, v, mask=mask)

    return blockwise


borrowed = (
    Borrow(
        attention,
        _in_whole,
        (
            "wrong_no_scale",
            "wrong_scale_by_d",
            "wrong_multiplied_by_sqrt_d",
            "wrong_scores_times_softmax",
            "wrong_keys_as_values",
            "wrong_width_written_down",
            "wrong_axes_of_length_one_dropped",
            "wrong_float64_returned",
        ),
    ),
)


def right_by_a_running_maximum(q, k, v, *, block, causal=False):
    """all queries at once, a running maximum, sum and output over the tiles"""
    top = torch.full_like(q[..., :1], -1e30)  # nothing is seen yet
    total, out = torch.zeros_like(top), torch.zeros_like(top * v[..., :1, :])
    for scores, values in _tiles(q, k, v, block, causal):
        new = torch.maximum(top, scores.amax(dim=-1, keepdim=True)).detach()
        weights, shrink = (scores - new).exp(), (top - new).exp()
        total = total * shrink + weights.sum(dim=-1, keepdim=True)
        out = out * shrink + weights @ values
        top = new
    return out / total.masked_fill(total == 0, 1.0)


def right_by_merging(q, k, v, *, block, causal=False):
    """each tile an attention of its own, merged by logsumexps"""
    places = torch.arange(q.shape[-2])[:, None] + k.shape[-2] - q.shape[-2]
    out = lse = None
    for j in range(0, k.shape[-2], block):
        keys, values = k[..., j : j + block, :], v[..., j : j + block, :]
        mask = torch.arange(j, j + keys.shape[-2]) <= places if causal else None
        part = attention_and_lse(q, keys, values, mask=mask)
        out, lse = part if out is None else merge_attention.solution(out, lse, *part)
    return out.to(v.dtype)


def right_by_queries_and_keys(q, k, v, *, block, causal=False):
    """blocks of queries outside, tiles of keys inside, later tiles left out"""
    rows = []
    for i in range(0, q.shape[-2], block):
        queries = q[..., i : i + block, :]
        if causal:
            end = max(0, i + queries.shape[-2] + k.shape[-2] - q.shape[-2])
            keys, values = k[..., :end, :], v[..., :end, :]
        else:
            keys, values = k, v
        if keys.shape[-2]:
            rows.append(_online(queries, keys, values, block, causal))
        else:
            rows.append(torch.zeros_like(queries[..., :1] * v[..., :1, :]))
    return torch.cat(rows, dim=-2)


def right_by_two_passes(q, k, v, *, block, causal=False):
    """the maximum in a first pass over the tiles, sum and output in a second"""
    tops = [s.amax(dim=-1) for s, _ in _tiles(q, k, v, block, causal)]
    top = torch.full_like(tops[0], -math.inf)
    for one in tops:
        top = torch.maximum(top, one)
    top = top.masked_fill(top == -math.inf, 0.0)[..., None].detach()
    total, out = torch.zeros_like(top), torch.zeros_like(top * v[..., :1, :])
    for scores, values in _tiles(q, k, v, block, causal):
        weights = (scores - top).exp()
        total, out = total + weights.sum(dim=-1, keepdim=True), out + weights @ values
    return out / total.masked_fill(total == 0, 1.0)


shown = right_by_a_running_maximum
