r"""# Mend the ends

This function computes attention in a sliding window, without the matrix: keys and values are
filled up at the ends, and each query stands beside its own run of them. In the middle of a text it
is right, and it costs what it should. Yet a test that compares it with a mask fails. Find out for
which queries, and mend it:

$$Z_i = \sum_{j \in N(i)} w_{ij} \, v_j, \qquad N(i) = \{\, j : |i - j| \le \mathrm{window} \,\},$$

and with `causal=True` those with $0 \le i - j \le \mathrm{window}$.

- `q` and `k` are (..., n, d), `v` is (..., n, e); the result is (..., n, e). Shapes, dtype and cost
  are right already, and stay so.
- Only positions of the text, from 0 to n - 1, have weight.
"""

import math

import torch
from torch.nn.functional import pad

from attncourse.exercises import Borrow, itself
from attncourse.exercises.sparse_patterns import sliding_window_attention
from attncourse.mechanisms.patterns.sliding_window import sliding_window_attention as solution

difficulty, minutes = 3, 15
hints = (
    "Take values of one, for every position. A weighted mean of ones is 1: print the outputs along "
    "the text, and see where they are smaller.",
    "What score has a key that `pad` filled in, and which weight comes of it? Work out the place "
    "of each key in a run, and hide those before 0 and from n on, before the softmax.",
)


def wrong_the_filling_has_weight(q, k, v, *, window, causal=False):
    """You let the queries near the ends see the keys that `pad` filled in: zeros, whose score of 0
    takes weight. Hide what lies outside the text, with -inf, before the softmax.
    """
    n, d = q.shape[-2:]
    before = min(window, n)
    after = 0 if causal else before
    keys, values = (
        torch.nn.functional.pad(x, (0, 0, before, after)).unfold(-2, before + 1 + after, 1)
        for x in (k, v)
    )
    scores = (q[..., None, :] @ keys).squeeze(-2) / math.sqrt(d)  # (..., n, run)
    weights = scores.softmax(dim=-1)
    return (values @ weights[..., None]).squeeze(-1)


stub = wrong_the_filling_has_weight
shown = sliding_window_attention.right_by_gathering


def _run(q, k, v, window, causal, mended):
    """The function of the exercise; mended(weights or scores, outside) is what was changed."""
    n = q.shape[-2]
    before = min(window, n)
    after = 0 if causal else before
    keys, values = (pad(x, (0, 0, before, after)).unfold(-2, before + 1 + after, 1) for x in (k, v))
    scores = (q[..., None, :] @ keys).squeeze(-2) / math.sqrt(q.shape[-1])
    place = torch.arange(n)[:, None] + torch.arange(-before, after + 1)
    weights = mended(scores, (place < 0) | (place >= n))
    return (values @ weights[..., None]).squeeze(-1)


def wrong_first_token_hidden(q, k, v, *, window, causal=False):
    """You hide the first token of the text together with the filling before it. Its position is 0,
    so what lies outside is below 0, `<` and not `<=`.
    """
    before = min(window, q.shape[-2])

    def one_too_many(scores, outside):
        place = torch.arange(len(outside))[:, None] + torch.arange(scores.shape[-1]) - before
        return scores.masked_fill(outside | (place == 0), -math.inf).softmax(-1)

    return _run(q, k, v, window, causal, one_too_many)


def wrong_one_end_only(q, k, v, *, window, causal=False):
    """You hide the filling before the text, and not the one behind it. Without `causal` a window
    leaves the text at both ends.
    """
    n, before = q.shape[-2], min(window, q.shape[-2])

    def before_the_text(scores, outside):
        place = torch.arange(n)[:, None] + torch.arange(-before, scores.shape[-1] - before)
        return scores.masked_fill(place < 0, -math.inf).softmax(-1)

    return _run(q, k, v, window, causal, before_the_text)


def wrong_hidden_by_its_score(q, k, v, *, window, causal=False):
    """You hide whatever has a score of 0, which keys of the text may have too. What lies outside is
    known by its position, not by its score.
    """

    def mended(scores, outside):
        return scores.masked_fill(scores == 0, -math.inf).softmax(-1)

    return _run(q, k, v, window, causal, mended)


def wrong_too_low_a_score(q, k, v, *, window, causal=False):
    """You give the filling a low score, -100. Where all scores of the text are lower still it has
    all the weight: -inf is below every number.
    """
    return _run(q, k, v, window, causal, lambda s, out: s.masked_fill(out, -100.0).softmax(-1))


def wrong_edge_repeated(q, k, v, *, window, causal=False):
    """You repeat the first and the last token in place of the zeros, so that they count several
    times. Outside the text there is nothing: hide it.
    """
    n = q.shape[-2]
    before = min(window, n)
    after = 0 if causal else before
    places = (torch.arange(n)[:, None] + torch.arange(-before, after + 1)).clamp(0, n - 1)
    scores = (q[..., None, :] @ k[..., places, :].mT).squeeze(-2) / math.sqrt(q.shape[-1])
    return (scores.softmax(dim=-1)[..., None, :] @ v[..., places, :]).squeeze(-2)


borrowed = (
    Borrow(
        sliding_window_attention,
        itself,
        (
            "check_equals_the_masked_attention",
            "check_is_causal_on_request",
            "check_takes_any_window",
            "check_takes_leading_axes",
            "check_has_the_right_gradient",
            "check_gives_no_weight_to_what_is_not_there",
            "check_keeps_the_dtype",
            "check_costs_grow_with_the_length",
            "wrong_a_mask_over_everything",
            "wrong_one_too_few",
            "wrong_one_too_far",
            "wrong_both_sides_together",
            "wrong_causal_ignored",
            "wrong_ends_moved_inwards",
            "wrong_wraps_round",
            "wrong_not_scaled",
            "right_by_gathering",
            "right_by_blocks",
            "right_query_by_query",
        ),
    ),
)
