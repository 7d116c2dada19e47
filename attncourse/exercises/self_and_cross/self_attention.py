r"""# Self-attention

Let every token of a sequence ask all the others. Queries, keys and values are three projections
of the same tokens, one token a row:

$$Q = X W_q, \quad K = X W_k, \quad V = X W_v, \qquad
Z = \mathrm{softmax}\!\left(\frac{Q K^\top}{\sqrt d}\right) V .$$

- `x` is (..., n, d_x), `w_q` and `w_k` are (d_x, d), `w_v` is (d_x, e); the result is (..., n, e),
  in the dtype of `x`. The leading axes of x are batches. No width need equal another.
- With `causal=True` each token sees itself and the tokens before it, and no other.
- Your functions of the last chapters may do the work.
"""

import math

import torch

from attncourse.core.masks import causal_mask
from attncourse.exercises import Borrow
from attncourse.exercises.masks import masked_attention, masked_softmax
from attncourse.exercises.scores_and_scaling import attention, softmax
from attncourse.mechanisms.dense.self_attention import self_attention as solution
from attncourse.mechanisms.dense.softmax import attention_by_definition
from attncourse.testing import assert_same, assert_that, gaussian, gradients

difficulty, minutes = 2, 15
hints = (
    "Three products with x, then the attention you have. What stands in the places of q, k and v?",
    "The projections are `x @ w_q`, `x @ w_k`, `x @ w_v`. With causal=True n tokens ask and the "
    "same n are asked, so your `causal_mask(n, n)` goes in as the mask.",
)
forbidden = ("scaled_dot_product_attention", "MultiheadAttention")

SIZES = (7, 10, 8, 6)  # n, d_x, d, e
OTHER_SIZES = (11, 4, 3, 5)


def check_matches_the_definition(student):
    """equals the loop over all pairs of tokens, whatever the three widths"""
    x, w_q, w_k, w_v = _inputs()
    assert_same(student(x, w_q, w_k, w_v), attention_by_definition(x @ w_q, x @ w_k, x @ w_v))
    assert_same(student(*_inputs(sizes=OTHER_SIZES)), solution(*_inputs(sizes=OTHER_SIZES)))


def check_sees_only_the_past(student):
    """with causal=True a token sees itself and what came before, and the first one itself alone"""
    for sizes in (SIZES, OTHER_SIZES):
        inputs = _inputs(sizes=sizes, seed=10)
        assert_same(student(*inputs, causal=True), solution(*inputs, causal=True))
    x, w_q, w_k, w_v = _inputs(seed=10)
    later = torch.cat([x[:4], x[4:] + 3.0])
    out, changed = (student(y, w_q, w_k, w_v, causal=True) for y in (x, later))
    assert_same(changed[:4], out[:4], "what the first four tokens give, after later ones changed,")


def check_works_where_all_widths_are_equal(student):
    """tokens are compared, not features, where the shapes would allow both"""
    for sizes in ((5, 5, 5, 5), (9, 4, 4, 4)):
        inputs = _inputs(sizes=sizes, seed=20)
        for causal in (False, True):
            assert_same(student(*inputs, causal=causal), solution(*inputs, causal=causal))


def check_takes_leading_axes(student):
    """works for any batch axes, those of length one too, and for a single token"""
    for lead, sizes in (
        ((2, 3), SIZES),
        ((1,), SIZES),
        ((4, 1), OTHER_SIZES),
        ((2,), (1, 3, 4, 5)),
    ):
        inputs = _inputs(*lead, sizes=sizes, seed=30)
        for causal in (False, True):
            assert_same(student(*inputs, causal=causal), solution(*inputs, causal=causal))


def check_survives_large_scores(student):
    """scores in the thousands neither overflow nor lose the mask"""
    x, w_q, w_k, w_v = _inputs(seed=40)
    for inputs in ((30.0 * x, w_q, w_k, w_v), _rising(x, w_q, w_k, w_v)):
        for causal in (False, True):
            assert_same(student(*inputs, causal=causal), solution(*inputs, causal=causal))


def check_has_the_right_gradient(student):
    """the gradients of x and of the three weights are right"""
    for sizes, causal in ((SIZES, False), (OTHER_SIZES, True)):
        inputs = _inputs(sizes=sizes, seed=50)
        ours = gradients(student, *inputs, causal=causal)
        theirs = gradients(solution, *inputs, causal=causal)
        for name, a, b in zip(("x", "w_q", "w_k", "w_v"), ours, theirs, strict=True):
            assert_that(a.isfinite().all(), f"the gradient of {name} is not finite.")
            assert_same(a, b, f"the gradient of {name}")


def check_keeps_the_dtype(student):
    """float32 tokens give float32 outputs"""
    inputs = [x.float() for x in _inputs(seed=60)]
    for causal in (False, True):
        exact = solution(*(x.double() for x in inputs), causal=causal)
        assert_same(student(*inputs, causal=causal), exact.float())


def _inputs(*lead, sizes=SIZES, seed=0):
    """Tokens (..., n, d_x) and weights (d_x, d), (d_x, d), (d_x, e)."""
    n, d_x, d, e = sizes
    widths = (d, d, e)
    tokens = gaussian(*lead, n, d_x, std=1.0, seed=seed)
    return tokens, *(
        gaussian(d_x, width, std=2.0 / math.sqrt(d_x), seed=seed + 1 + i)
        for i, width in enumerate(widths)
    )


def _rising(x, w_q, w_k, w_v):
    """The same inputs with scores that rise along the keys: what is hidden fits best by far."""
    x, w_q, w_k = x.clone(), w_q.clone(), w_k.clone()
    x[:, 0] = 100.0 * torch.arange(1, len(x) + 1)
    for w in (w_q, w_k):
        w[0] = 0.0
        w[0, 0] = 1.0
    return x, w_q, w_k, w_v


def _triangle(x, causal):
    n = x.shape[-2]
    return causal_mask(n, n) if causal else None


def _projected(attention):
    """The self-attention that projects rightly, and then is the learner's attention."""

    def self_attention(x, w_q, w_k, w_v, *, causal=False):
        return attention(x @ w_q, x @ w_k, x @ w_v, mask=_triangle(x, causal))

    return self_attention


def _with_softmax(softmax):
    """The self-attention whose weights are the learner's softmax of scores, masked rightly."""

    def self_attention(x, w_q, w_k, w_v, *, causal=False):
        scores = _scores(x @ w_q, x @ w_k)
        if causal:
            scores = scores.masked_fill(~_triangle(x, causal), -math.inf)
        return softmax(scores) @ (x @ w_v)

    return self_attention


def _with_masked_softmax(masked_softmax):
    """The causal self-attention whose weights are the learner's; right where not causal."""

    def self_attention(x, w_q, w_k, w_v, *, causal=False):
        if not causal:
            return solution(x, w_q, w_k, w_v)
        scores = _scores(x @ w_q, x @ w_k)
        return masked_softmax(scores, _triangle(x, causal)) @ (x @ w_v)

    return self_attention


def _scores(q, k):
    return q @ k.mT / math.sqrt(q.shape[-1])


borrowed = (
    Borrow(
        attention,
        _projected,
        (
            "wrong_no_scale",
            "wrong_scale_by_d",
            "wrong_multiplied_by_sqrt_d",
            "wrong_scaled_after_softmax",
            "wrong_scale_by_the_value_width",
            "wrong_raw_scores_as_weights",
            "wrong_scores_times_softmax",
            "wrong_softmax_over_the_matrix",
            "wrong_argmax",
            "wrong_uniform_average",
            "wrong_weights_returned",
            "wrong_axes_of_length_one_dropped",
            "wrong_float64_returned",
        ),
    ),
    Borrow(
        softmax,
        _with_softmax,
        ("wrong_no_maximum_subtracted", "wrong_over_the_axis_before_the_last"),
    ),
    Borrow(
        masked_softmax,
        _with_masked_softmax,
        (
            "wrong_mask_inverted",
            "wrong_mask_multiplied_into_scores",
            "wrong_mask_added_to_scores",
            "wrong_mask_after_softmax",
            "wrong_renormalised_after_softmax",
            "wrong_filled_with_minus_one",
        ),
    ),
)


def wrong_queries_not_projected(x, w_q, w_k, w_v, *, causal=False):
    """You compared the tokens themselves with the keys: x took the place of the queries. That runs
    where d is the width of the tokens only; a query is x @ w_q.
    """
    return _attend(x, x @ w_k, x @ w_v, causal)


def wrong_nothing_projected(x, w_q, w_k, w_v, *, causal=False):
    """You used the tokens themselves as queries, keys and values, and no weights at all. Each of
    the three is a projection of its own: x @ w_q, x @ w_k, x @ w_v.
    """
    return _attend(x, x, x, causal)


def wrong_values_not_projected(x, w_q, w_k, w_v, *, causal=False):
    """You averaged the tokens themselves. What is averaged are the values, x @ w_v, and their width
    is e.
    """
    return _attend(x @ w_q, x @ w_k, x, causal)


def wrong_keys_by_the_query_weights(x, w_q, w_k, w_v, *, causal=False):
    """Your keys come from w_q, as the queries do. Then what a token asks for is what it is found
    by, and scores are symmetric: keys are x @ w_k.
    """
    return _attend(x @ w_q, x @ w_q, x @ w_v, causal)


def wrong_queries_by_the_key_weights(x, w_q, w_k, w_v, *, causal=False):
    """Your queries come from w_k, as the keys do. Then what a token asks for is what it is found
    by, and scores are symmetric: queries are x @ w_q.
    """
    return _attend(x @ w_k, x @ w_k, x @ w_v, causal)


def wrong_queries_and_keys_exchanged(x, w_q, w_k, w_v, *, causal=False):
    """You exchanged w_q and w_k, so each score is that of the pair the other way round. The row of
    a token is made with its query: x @ w_q on the left.
    """
    return _attend(x @ w_k, x @ w_q, x @ w_v, causal)


def wrong_values_by_the_key_weights(x, w_q, w_k, w_v, *, causal=False):
    """Your values come from w_k. What a token is found by and what it hands over are made by
    different weights: values are x @ w_v.
    """
    return _attend(x @ w_q, x @ w_k, x @ w_k, causal)


def wrong_keys_and_values_exchanged(x, w_q, w_k, w_v, *, causal=False):
    """You exchanged w_k and w_v: you compare with what a token hands over, and hand over what it is
    found by. Keys are x @ w_k, values x @ w_v.
    """
    return _attend(x @ w_q, x @ w_v, x @ w_k, causal)


def wrong_weights_transposed(x, w_q, w_k, w_v, *, causal=False):
    """You transposed the weights, as `nn.Linear` does, which keeps its own as (out, in). Here they
    are (in, out): x @ w_q, without a transpose.
    """
    return _attend(x @ w_q.mT, x @ w_k.mT, x @ w_v.mT, causal)


def wrong_features_compared(x, w_q, w_k, w_v, *, causal=False):
    """You compared features with features: your scores are (d, d), whatever the number of tokens.
    With a token a row the scores are q @ k.mT, (n, n); q.mT @ k sums over the tokens.
    """
    q, k, v = x @ w_q, x @ w_k, x @ w_v
    scores = q.mT @ k / math.sqrt(q.shape[-1])
    if causal:
        scores = scores.masked_fill(~causal_mask(*scores.shape[-2:]), -math.inf)
    return v @ torch.softmax(scores, dim=-1).mT


def wrong_scale_by_the_token_width(x, w_q, w_k, w_v, *, causal=False):
    """You divided by the root of the tokens' width. The dot product is over the width of queries
    and keys, the last axis of x @ w_q: divide by its root.
    """
    scale = math.sqrt(w_q.shape[-1] / x.shape[-1])
    return _attend(x @ w_q * scale, x @ w_k, x @ w_v, causal)


def wrong_scale_by_the_number_of_tokens(x, w_q, w_k, w_v, *, causal=False):
    """You divided by the root of the number of tokens. The size of a dot product comes from its
    width: divide by the root of d.
    """
    scale = math.sqrt(w_q.shape[-1] / x.shape[-2])
    return _attend(x @ w_q * scale, x @ w_k, x @ w_v, causal)


def wrong_causal_ignored(x, w_q, w_k, w_v, *, causal=False):
    """You took no notice of causal=True: every token sees those that follow it. Hide them by a
    causal mask of n queries and n keys.
    """
    return _attend(x @ w_q, x @ w_k, x @ w_v, False)


def wrong_always_causal(x, w_q, w_k, w_v, *, causal=False):
    """You hide what follows even where nobody asked for it. Without causal=True every token sees
    every other.
    """
    return _attend(x @ w_q, x @ w_k, x @ w_v, True)


def wrong_causal_exchanged(x, w_q, w_k, w_v, *, causal=False):
    """Your test for causal is the wrong way round: you hide the future by default, and show it with
    causal=True. Hide it where causal is True.
    """
    return _attend(x @ w_q, x @ w_k, x @ w_v, not causal)


def wrong_future_only(x, w_q, w_k, w_v, *, causal=False):
    """With causal=True your tokens see themselves and the future, and the past is hidden. The mask
    is True where key j stands at or before query i: the lower triangle.
    """
    mask = _triangle(x, causal)
    return _attend_under(x @ w_q, x @ w_k, x @ w_v, None if mask is None else mask.mT)


def wrong_own_place_hidden(x, w_q, w_k, w_v, *, causal=False):
    """With causal=True you hide a token from itself, so the first one sees nothing. It may attend
    to itself: the diagonal belongs to the mask.
    """
    mask = None if not causal else _triangle(x, causal).tril(-1)
    return _attend_under(x @ w_q, x @ w_k, x @ w_v, mask)


def wrong_one_token_of_the_future(x, w_q, w_k, w_v, *, causal=False):
    """With causal=True a token sees the one that follows, too. Your triangle is a column too wide:
    key j is visible where j <= i.
    """
    n = x.shape[-2]
    mask = torch.ones(n, n, dtype=torch.bool).tril(1) if causal else None
    return _attend_under(x @ w_q, x @ w_k, x @ w_v, mask)


def wrong_residual_added(x, w_q, w_k, w_v, *, causal=False):
    """You added the values of each token to its output. A residual belongs to the block around the
    attention, chapter 7: return the weighted mean alone.
    """
    return _attend(x @ w_q, x @ w_k, x @ w_v, causal) + x @ w_v


def wrong_sequence_length_written_down(x, w_q, w_k, w_v, *, causal=False):
    """Your mask is for 7 tokens, whatever the input. Take their number from it: `x.shape[-2]`."""
    mask = causal_mask(7, 7) if causal else None
    return _attend_under(x @ w_q, x @ w_k, x @ w_v, mask)


def right_by_one_matrix(x, w_q, w_k, w_v, *, causal=False):
    """one product for all three, then split; the scale on the queries"""
    d = w_q.shape[-1]
    q, k, v = (x @ torch.cat([w_q / math.sqrt(d), w_k, w_v], dim=-1)).split(
        [d, d, w_v.shape[-1]], -1
    )
    scores = q @ k.transpose(-2, -1)
    if causal:
        hidden = torch.ones_like(scores, dtype=torch.bool).triu(1)
        scores = scores.masked_fill(hidden, -math.inf)
    return scores.softmax(dim=-1) @ v


def right_by_einsum(x, w_q, w_k, w_v, *, causal=False):
    """every product an einsum, and the hidden exponentials taken out before the division"""
    q, k = torch.einsum("...nc,cd->...nd", x, w_q), torch.einsum("...nc,cd->...nd", x, w_k)
    scores = torch.einsum("...nd,...md->...nm", q, k) / math.sqrt(q.shape[-1])
    visible = torch.ones_like(scores)
    visible = visible.tril() if causal else visible
    largest = scores.masked_fill(visible == 0, -math.inf).amax(dim=-1, keepdim=True)
    e = torch.exp((scores - largest).clamp(max=0.0)) * visible
    return torch.einsum("...nm,...mc,ce->...ne", e / e.sum(dim=-1, keepdim=True), x, w_v)


def right_by_values_last(x, w_q, w_k, w_v, *, causal=False):
    """averages the tokens first and projects the mean to values afterwards"""
    return _attend(x @ w_q, x @ w_k, x, causal) @ w_v


def right_by_a_bilinear_form(x, w_q, w_k, w_v, *, causal=False):
    """queries and keys only through the product of their weights"""
    scores = x @ (w_q @ w_k.mT) @ x.mT / math.sqrt(w_k.shape[-1])
    if causal:
        scores = scores + torch.full_like(scores, -math.inf).triu(1)
    return torch.softmax(scores, dim=-1) @ (x @ w_v)


def _attend(q, k, v, causal):
    return _attend_under(q, k, v, _triangle(q, causal))


def _attend_under(q, k, v, mask):
    return masked_attention.solution(q, k, v, mask=mask)
