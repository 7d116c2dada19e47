r"""# A window without the matrix

Let each query attend to the keys at most `window` positions away, without computing any other pair:

$$Z_i = \sum_{j \in N(i)} w_{ij} \, v_j, \qquad
w_{ij} = \frac{e^{s_{ij}}}{\sum_{l \in N(i)} e^{s_{il}}}, \qquad
s_{ij} = \frac{q_i \cdot k_j}{\sqrt d} .$$

N(i) are the positions j with $|i - j| \le \mathrm{window}$; with `causal=True` those with
$0 \le i - j \le \mathrm{window}$.

- `q` and `k` are (..., n, d), `v` is (..., n, e); the result is (..., n, e) in the dtype of `v`,
  and its gradient is right. `window` is at least 0, and may be larger than n.
- At the ends of the text the window is cut: there are no keys to be filled in.
- At twice the length it is twice the FLOPs, and the largest tensor, masks included, is twice as
  large. Queries may go in blocks, with a few pairs computed in vain, and PyTorch's own attention
  may serve inside one.
"""

import math

import torch

from attncourse.measure.cost import flops, largest_tensor
from attncourse.mechanisms.patterns.sliding_window import sliding_window_attention as solution
from attncourse.mechanisms.patterns.sliding_window import (
    sliding_window_attention_by_definition as by_definition,
)
from attncourse.testing import assert_same, assert_that, attention_inputs, gradients, levels

difficulty, minutes = 4, 45
hints = (
    "Take a block of queries, from i to i + c. Which run of keys can any of them see? Slice that "
    "run, and hide inside it what a single query must not see.",
    "The run goes from max(0, i - window) to i + c + window, or to i + c if causal. Its mask comes "
    "from positions, `torch.arange`, of these queries and these keys, so it is small.",
)


def check_equals_the_masked_attention(student):
    """a query sees the keys up to `window` positions away, at the ends of the text too"""
    for n, d, e, window in ((12, 8, 6, 2), (17, 3, 7, 4), (7, 3, 7, 2)):
        q, k, v = _inputs(n, d, e, seed=10)
        assert_same(student(q, k, v, window=window), by_definition(q, k, v, window=window))


def check_is_causal_on_request(student):
    """causal, a query sees itself and the `window` keys before it, and no later one"""
    for n, d, e, window in ((12, 8, 6, 2), (17, 3, 7, 4)):
        q, k, v = _inputs(n, d, e, seed=20)
        ours = student(q, k, v, window=window, causal=True)
        assert_same(ours, by_definition(q, k, v, window=window, causal=True))


def check_takes_any_window(student):
    """a window of 0 gives the values back, one longer than the text is plain attention"""
    q, k, v = _inputs(7, 8, 6, seed=30)
    for causal in (False, True):
        assert_same(student(q, k, v, window=0, causal=causal), v)
        for window in (6, 7, 100):
            ours = student(q, k, v, window=window, causal=causal)
            assert_same(ours, by_definition(q, k, v, window=window, causal=causal))


def check_takes_leading_axes(student):
    """works for any batch and head axes, those of length one too, and for one token"""
    for lead, n, d, e in (((2, 3), 11, 5, 3), ((1,), 4, 3, 7), ((4, 1), 1, 5, 3)):
        for causal in (False, True):
            q, k, v = _inputs(n, d, e, *lead, seed=40)
            ours = student(q, k, v, window=2, causal=causal)
            assert_same(ours, by_definition(q, k, v, window=2, causal=causal))


def check_has_the_right_gradient(student):
    """the gradients of q, k and v are right, with scores far apart too"""
    for n, heights in ((12, (0.0,)), (14, (0.0, -900.0, 700.0, -2000.0))):
        q, k, v = _inputs(n, 8, 6, seed=50)
        q[:, 0], k[:, 0] = 10.0, levels(n, *heights) * math.sqrt(8) / 10.0
        for causal in (False, True):
            ours = gradients(student, q, k, v, window=3, causal=causal)
            theirs = gradients(by_definition, q, k, v, window=3, causal=causal)
            for name, a, b in zip("qkv", ours, theirs, strict=True):
                assert_that(a.isfinite().all(), f"the gradient of {name} is not finite.")
                assert_same(a, b, f"the gradient of {name}")


def check_gives_no_weight_to_what_is_not_there(student):
    """scores thousands below zero, or all zero: nothing outside the text has weight"""
    for n, d, e in ((11, 8, 6), (14, 3, 7)):
        q, k, v = _inputs(n, d, e, seed=80)
        q[:, 0], k[:, 0] = 10.0, -300.0 * math.sqrt(d)
        q[n // 2] = q[1] = 0.0  # of which all scores are 0
        for causal in (False, True):
            ours = student(q, k, v, window=3, causal=causal)
            assert_same(ours, by_definition(q, k, v, window=3, causal=causal))


def check_keeps_the_dtype(student):
    """float32 values give float32 outputs"""
    q, k, v = (x.float() for x in _inputs(10, 8, 6, std=1.0, seed=60))
    for causal in (False, True):
        exact = by_definition(q.double(), k.double(), v.double(), window=3, causal=causal)
        assert_same(student(q, k, v, window=3, causal=causal), exact.float())


def check_costs_grow_with_the_length(student):
    """at twice the length twice the FLOPs, and a largest tensor twice as large, masks included"""
    for causal in (False, True):
        work, held = [], []
        for n in (96, 192):
            q, k, v = _inputs(n, 8, 6, seed=70)
            options = {"window": 5, "causal": causal}
            assert_same(student(q, k, v, **options), by_definition(q, k, v, **options))
            work.append(flops(student, q, k, v, **options))
            held.append(largest_tensor(student, q, k, v, **options))
        assert_that(
            work[1] <= 2.5 * work[0],
            f"at 96 positions you take {work[0]} FLOPs, at 192 you take {work[1]}: pairs outside "
            "the window are computed, if only to be thrown away.",
        )
        assert_that(
            held[1] <= 2.5 * held[0],
            f"at 96 positions your largest tensor holds {held[0]} numbers, at 192 it holds "
            f"{held[1]}: something is as large as n times n.",
        )


def _inputs(n, d, e, *lead, std=2.0, seed):
    return attention_inputs(*lead, sizes=(n, n, d, e), std=std, seed=seed)


def _run(q, k, v, window, causal, *, c=8, before=0, after=0, hide=True):
    """Blocks of c queries, each against its run of keys, with what a mistake makes of the run."""
    n, parts = q.shape[-2], []
    for start in range(0, n, c):
        i = torch.arange(start, min(start + c, n))[:, None]
        low = max(0, start - window - before)
        high = min(n, int(i[-1]) + 1 + (0 if causal else window + after))
        j = torch.arange(low, high)
        least = i - window - before
        most = i if causal else i + window + after
        seen = (j >= least) & (j <= most) if hide else torch.ones(len(i), len(j), dtype=torch.bool)
        scores = q[..., start : start + c, :] @ k[..., low:high, :].mT / math.sqrt(q.shape[-1])
        weights = scores.masked_fill(~seen, -math.inf).softmax(dim=-1)
        parts.append(weights @ v[..., low:high, :])
    return torch.cat(parts, dim=-2)


def wrong_a_mask_over_everything(q, k, v, *, window, causal=False):
    """Your result is right, but you compute all n times n scores and hide most of them. A mask
    saves nothing: slice the run of keys that a block of queries can see, and compute only there.
    """
    distance = torch.arange(q.shape[-2])[:, None] - torch.arange(q.shape[-2])
    seen = (distance <= window) & (distance >= (0 if causal else -window))
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    return scores.masked_fill(~seen, -math.inf).softmax(dim=-1) @ v


def wrong_the_run_is_not_masked(q, k, v, *, window, causal=False):
    """You let all queries of a block see its whole run of keys. The run is that of the block:
    inside it each query has a window of its own, so a small mask is left to apply.
    """
    return _run(q, k, v, window, causal, hide=False)


def wrong_blocks(q, k, v, *, window, causal=False):
    """You cut the text into blocks that see themselves alone. A window slides over all borders: the
    run of keys is longer than the block of queries.
    """
    size, parts = max(window, 1), []
    for start in range(0, q.shape[-2], size):
        queries, keys, values = (x[..., start : start + size, :] for x in (q, k, v))
        parts.append(_run(queries, keys, values, q.shape[-2], causal))
    return torch.cat(parts, dim=-2)


def wrong_both_sides_together(q, k, v, *, window, causal=False):
    """You took `window` for both sides together. Here it counts one side: a query sees `window`
    keys before it and as many after it.
    """
    return _run(q, k, v, window if causal else window // 2, causal)


def wrong_one_too_few(q, k, v, *, window, causal=False):
    """Your window has one key too few on each side. The key that is exactly `window` away is seen:
    a slice needs the end `+ 1`, a comparison `<=`.
    """
    if window == 0:
        return v + 0 * (q.sum() + k.sum())
    return _run(q, k, v, window - 1, causal)


def wrong_one_too_far(q, k, v, *, window, causal=False):
    """Your window has one key too many. The key that is `window` away is the last one seen, on
    either side.
    """
    return _run(q, k, v, window, causal, before=1, after=1)


def wrong_causal_ignored(q, k, v, *, window, causal=False):
    """You do the same with and without `causal`. With `causal=True` a query must not see what comes
    after it.
    """
    return _run(q, k, v, window, False)


def wrong_causal_sees_all_that_came_before(q, k, v, *, window, causal=False):
    """Your causal form hides the future, and forgets the window. A key that lies more than `window`
    back is hidden too.
    """
    return _run(q, k, v, q.shape[-2] if causal else window, causal)


def wrong_filling_is_seen(q, k, v, *, window, causal=False):
    """You filled keys and values up with zeros at the ends, and queries see them: a score of 0
    takes weight. At the ends the window is cut: hide the filling.
    """
    return _gathered(q, k, v, window, causal, hidden=0.0)


def wrong_ends_moved_inwards(q, k, v, *, window, causal=False):
    """At the ends you move the window inwards, so that it keeps its full width. Here it is cut: the
    first query sees itself and the `window` keys after it.
    """
    n, rows = q.shape[-2], []
    width = min(n, window + 1 if causal else 2 * window + 1)
    for i in range(n):
        low = max(0, min(i - window, n - width))
        keys, values = (x[..., low : low + width, :] for x in (k, v))
        weights = (q[..., i : i + 1, :] @ keys.mT / math.sqrt(q.shape[-1])).softmax(dim=-1)
        rows.append(weights @ values)
    return torch.cat(rows, dim=-2)


def wrong_wraps_round(q, k, v, *, window, causal=False):
    """Your window leaves the text at one end and comes in again at the other: an index below 0
    counts from the end, and `roll` turns round. There the window is cut.
    """
    n, rows = q.shape[-2], []
    for i in range(n):
        places = {p % n for p in range(i - window, i + 1 + (0 if causal else window))}
        keys, values = (x[..., sorted(places), :] for x in (k, v))
        weights = (q[..., i : i + 1, :] @ keys.mT / math.sqrt(q.shape[-1])).softmax(dim=-1)
        rows.append(weights @ values)
    return torch.cat(rows, dim=-2)


def wrong_not_scaled(q, k, v, *, window, causal=False):
    """You did not scale the scores. Divide them by the square root of d, as everywhere."""
    return _run(q * math.sqrt(q.shape[-1]), k, v, window, causal)


def _gathered(q, k, v, window, causal, *, hidden):
    """Each query beside its own run of keys; what lies outside the text has a score of `hidden`."""
    n = q.shape[-2]
    window = min(window, n)
    after = 0 if causal else window
    keys, values = (
        torch.nn.functional.pad(x, (0, 0, window, after)).unfold(-2, window + 1 + after, 1)
        for x in (k, v)
    )  # (..., n, d, window + 1 + after)
    scores = (q[..., None, :] @ keys).squeeze(-2) / math.sqrt(q.shape[-1])
    place = torch.arange(n)[:, None] + torch.arange(-window, after + 1)
    outside = (place < 0) | (place >= n)
    weights = scores.masked_fill(outside, hidden).softmax(dim=-1)
    return (values @ weights[..., None]).squeeze(-1)


def right_by_blocks(q, k, v, *, window, causal=False):
    """blocks of queries, each against the run of keys that it can see"""
    (n, d), block = q.shape[-2:], 16
    outputs = []
    for start in range(0, n, block):
        stop = min(start + block, n)
        low, high = max(0, start - window), min(n, stop + (0 if causal else window))
        distance = torch.arange(start, stop)[:, None] - torch.arange(low, high)
        hidden = (distance > window) | (distance < (0 if causal else -window))
        scores = q[..., start:stop, :] @ k[..., low:high, :].mT / math.sqrt(d)
        weights = scores.masked_fill(hidden, -math.inf).softmax(dim=-1)
        outputs.append(weights @ v[..., low:high, :])
    return torch.cat(outputs, dim=-2)


def right_query_by_query(q, k, v, *, window, causal=False):
    """a loop over the queries, each with its slice of keys"""
    rows = []
    for i in range(q.shape[-2]):
        run = slice(max(0, i - window), i + 1 if causal else i + window + 1)
        scores = q[..., i : i + 1, :] @ k[..., run, :].mT / math.sqrt(q.shape[-1])
        rows.append(scores.softmax(dim=-1) @ v[..., run, :])
    return torch.cat(rows, dim=-2)


def right_by_gathering(q, k, v, *, window, causal=False):
    """keys and values unfolded, a run for each query, with the filling hidden"""
    return _gathered(q, k, v, window, causal, hidden=-math.inf)


shown = right_by_blocks
