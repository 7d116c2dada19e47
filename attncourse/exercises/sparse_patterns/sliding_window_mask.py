r"""# A sliding window

Build the mask in which a query sees its neighbours alone:

$$M_{ij} = \text{True} \iff |i - j| \le \mathrm{window},$$

and, if `causal`, itself and the `window` keys before it:

$$M_{ij} = \text{True} \iff 0 \le i - j \le \mathrm{window} .$$

- `n`, the length, and `window` are numbers; the result is a Boolean (n, n) tensor, True where a
  query *may attend*.
- `window` counts one side, without the query itself. Many libraries count both sides together.
- A window of 0 leaves a query itself; a window may be longer than the text.
"""

import math

import torch

from attncourse.core.patterns import sliding_window_mask as solution
from attncourse.testing import assert_same, assert_that

difficulty, minutes = 1, 10
hints = (
    "Write the distance i - j of each pair as an (n, n) table. Which distances may stay, without "
    "`causal` and with it?",
    "A column of positions minus a row of positions, both made by `arange`, is that table. Compare "
    "it with `window`; two comparisons join by `&`.",
)


def check_sees_both_sides(student):
    """a query sees the keys up to `window` positions away, before and after it"""
    for n, window in ((7, 2), (12, 3), (9, 5)):
        assert_same(student(n, window), _by_rule(n, window, causal=False))


def check_is_causal_on_request(student):
    """causal, a query sees itself and the `window` keys before it, and no later one"""
    for n, window in ((7, 2), (12, 3), (9, 5)):
        assert_same(student(n, window, causal=True), _by_rule(n, window, causal=True))


def check_counts_one_side(student):
    """in the middle of a text a query sees 2 window + 1 keys; causal, window + 1"""
    for causal, most in ((False, 9), (True, 5)):
        seen = student(20, 4, causal=causal)[10].sum().item()
        how = "with `causal=True`" if causal else "without `causal`"
        assert_that(
            seen == most,
            f"with a window of 4 and {how} the query in the middle sees {most} keys: yours sees "
            f"{seen}.",
        )


def check_takes_a_window_longer_than_the_text(student):
    """a window that is longer than the text hides nothing; causal, it hides the future"""
    for n, window in ((5, 9), (6, 6), (4, 100)):
        for causal in (False, True):
            ours = student(n, window, causal=causal)
            assert_same(ours, _by_rule(n, window, causal=causal))


def check_leaves_a_query_itself(student):
    """a window of 0, or a text of one token: each query sees itself"""
    for n, window in ((6, 0), (1, 0), (1, 3)):
        for causal in (False, True):
            ours = student(n, window, causal=causal)
            assert_same(ours, torch.eye(n, dtype=torch.bool))


def _by_rule(n, window, *, causal):
    low = 0 if causal else -window
    return torch.tensor([[low <= i - j <= window for j in range(n)] for i in range(n)])


def _distance(n):
    return torch.arange(n)[:, None] - torch.arange(n)


def wrong_both_sides_together(n, window, *, causal=False):
    """You took `window` for both sides together and gave half of it to each. Here it counts one
    side: a query sees `window` keys before it and as many after it.
    """
    near = _distance(n).abs() <= window // 2
    return _band(n, 0, window) if causal else near


def wrong_counts_itself(n, window, *, causal=False):
    """Your window has one key too few on each side. It does not count the query itself: the key
    that is exactly `window` away is still seen, `<=` and not `<`.
    """
    near = _distance(n).abs() < window
    return near & (_distance(n) >= 0) if causal else near


def wrong_one_too_far(n, window, *, causal=False):
    """Your window has one key too many on each side. The key that is `window` away is the last one
    seen; the end of `range` and of a slice is not part of it.
    """
    return _band(n, 0 if causal else -window - 1, window + 1)


def wrong_causal_ignored(n, window, *, causal=False):
    """You do the same with and without `causal`. With `causal=True` a query must not see what comes
    after it: i - j is at least 0.
    """
    return _band(n, -window, window)


def wrong_always_causal(n, window, *, causal=False):
    """You hide the later keys even where `causal` is False. Then the window has two sides: look at
    the distance without its sign.
    """
    return _band(n, 0, window)


def wrong_causal_looks_ahead(n, window, *, causal=False):
    """Your causal window lies after the query: it hides the past and shows the future. Rows are
    queries: row i keeps the columns i - window to i.
    """
    return _band(n, -window, 0 if causal else window)


def wrong_causal_without_itself(n, window, *, causal=False):
    """Your causal window begins one key too early: the query itself is hidden. A distance of 0
    belongs to it.
    """
    return _band(n, 1 if causal else -window, window)


def wrong_causal_sees_all_that_came_before(n, window, *, causal=False):
    """Your causal mask hides the future, and forgets the window. A key that lies more than `window`
    back is hidden too: join both rules by `&`.
    """
    return _band(n, 0, n) if causal else _band(n, -window, window)


def wrong_blocks(n, window, *, causal=False):
    """You cut the text into blocks of `window`. A window slides: each query has its own, with
    itself in the middle, and there are no borders.
    """
    number = torch.arange(n) // max(window, 1)
    same = number[:, None] == number
    return same & (_distance(n) >= 0) if causal else same


def wrong_slice_below_zero(n, window, *, causal=False):
    """You leave the first rows empty: a slice that begins below 0 counts from the end. Begin it at
    max(0, i - window).
    """
    mask = torch.zeros(n, n, dtype=torch.bool)
    for i in range(n):
        mask[i, i - window : i + 1 if causal else i + window + 1] = True
    return mask


def wrong_wraps_round(n, window, *, causal=False):
    """Your window leaves the text at one end and comes in again at the other. A text has two ends:
    there the window is cut.
    """
    back = _distance(n) % n
    return back <= window if causal else (back <= window) | (n - back <= window)


def wrong_inverted(n, window, *, causal=False):
    """You marked with True what is hidden. Here True means *may attend*: keep the pairs inside the
    window.
    """
    return ~_band(n, 0 if causal else -window, window)


def wrong_numbers(n, window, *, causal=False):
    """You returned ones and zeros. A mask is Boolean: a comparison gives one, and so does `.bool()`
    of what you have.
    """
    return _band(n, 0 if causal else -window, window).float()


def wrong_added_to_scores(n, window, *, causal=False):
    """You returned numbers to be added to the scores, 0 and -inf. The mask itself is Boolean; the
    -inf comes where it is applied.
    """
    hidden = ~_band(n, 0 if causal else -window, window)
    return torch.zeros(n, n).masked_fill(hidden, -math.inf)


def _band(n, low, high):
    return (_distance(n) >= low) & (_distance(n) <= high)


def right_by_distance(n, window, *, causal=False):
    """compares the distance of each pair with the window"""
    distance = torch.arange(n)[:, None] - torch.arange(n)
    near = distance.abs() <= window
    return near & (distance >= 0) if causal else near


def right_by_triangles(n, window, *, causal=False):
    """cuts two triangles off a full matrix"""
    full = torch.ones(n, n, dtype=torch.bool)
    return full.tril(0 if causal else window).triu(-window)


def right_by_rows(n, window, *, causal=False):
    """a loop over the queries, each with its run of keys"""
    mask = torch.zeros(n, n, dtype=torch.bool)
    for i in range(n):
        mask[i, max(0, i - window) : i + 1 if causal else i + window + 1] = True
    return mask


shown = right_by_distance
