r"""# A segment and its memory

A long text is read in segments. Let the tokens of one segment attend to themselves, causally, and
to the tokens that were kept of the segments before:

$$K = [\,\mathrm{sg}(M);\, X\,]\, W_k, \quad V = [\,\mathrm{sg}(M);\, X\,]\, W_v, \quad Q = X W_q,
\qquad Z_i = \mathrm{softmax}_j\!\left(\frac{q_i \cdot k_j}{\sqrt d}\right) V, \quad j \le t + i .$$

- `x` is (..., n, d_x), `memory`, the M of the formula, is (..., t, d_x) with t >= 0; `w_q` and
  `w_k` are (d_x, d), `w_v` is (d_x, e). The result is (..., n, e), one row for each token of x, in
  the dtype of `x`.
- A token sees the whole memory, what came before it in the segment, and itself.
- sg is *stop gradient*: no gradient goes into the memory, and its gradient, if somebody asks for
  it, is zero. The weights learn from all that they project, the memory included.
- The first segment has an empty memory: t = 0.
"""

import math

import torch

from attncourse.core.masks import causal_mask
from attncourse.exercises import Borrow
from attncourse.exercises.masks import masked_attention
from attncourse.mechanisms.sharing.segments import segment_attention as solution
from attncourse.mechanisms.sharing.segments import (
    segment_attention_by_definition as by_definition,
)
from attncourse.testing import assert_same, assert_that, gaussian, gradients

difficulty, minutes = 3, 20
hints = (
    "Put the memory before the segment and project both at once for keys and values. Who asks? "
    "How many rows has the mask, how many columns, and where does its diagonal end?",
    "`memory.detach()` has the same numbers and no past. n queries are the last of t + n tokens, "
    "so `causal_mask(n, t + n)` is the mask.",
)
forbidden = ("scaled_dot_product_attention", "MultiheadAttention")

SIZES = (5, 3, 10, 8, 6)  # n, t, d_x, d, e
OTHER_SIZES = (4, 7, 3, 2, 5)


def check_sees_memory_and_past(student):
    """a token sees the memory, its segment so far and itself, whatever the lengths"""
    for sizes in (SIZES, OTHER_SIZES):
        inputs = _inputs(sizes=sizes)
        assert_same(student(*inputs), by_definition(*inputs))


def check_takes_an_empty_memory(student):
    """without a memory it is causal self-attention"""
    for sizes in ((5, 0, 10, 8, 6), (1, 0, 3, 2, 7)):
        inputs = _inputs(sizes=sizes, seed=10)
        assert_same(student(*inputs), by_definition(*inputs))


def check_joins_segments(student):
    """segment by segment, with all that came before as memory, it is attention over the whole"""
    x, _, *weights = _inputs(sizes=(9, 0, 10, 8, 6), seed=20)
    whole = by_definition(x, x[:0], *weights)
    outs = [student(x[a:b], x[:a], *weights) for a, b in ((0, 4), (4, 7), (7, 9))]
    assert_same(torch.cat(list(outs)), whole, "three segments, one after the other,")


def check_works_where_all_sizes_are_equal(student):
    """the memory stands before the segment, where the shapes would allow anything"""
    for size in (4, 6):
        inputs = _inputs(sizes=(size,) * 5, seed=30)
        assert_same(student(*inputs), by_definition(*inputs))


def check_takes_leading_axes(student):
    """works for any batch axes, those of length one too, and for a single token"""
    for lead, sizes in (((2, 3), SIZES), ((1,), OTHER_SIZES), ((4, 1), (1, 2, 3, 4, 5))):
        inputs = _inputs(*lead, sizes=sizes, seed=40)
        assert_same(student(*inputs), by_definition(*inputs))


def check_survives_large_scores(student):
    """scores in the thousands neither overflow nor show the future"""
    x, memory, *weights = _inputs(seed=50)
    x = x * 40.0 * torch.arange(1, 6, dtype=x.dtype)[:, None]  # later tokens score highest
    assert_same(student(x, memory, *weights), by_definition(x, memory, *weights))


def check_stops_at_the_border(student):
    """the gradient of the memory is zero, those of x and of the weights are right"""
    for sizes in (SIZES, OTHER_SIZES):
        inputs = _inputs(sizes=sizes, seed=60)
        ours, theirs = gradients(student, *inputs), gradients(by_definition, *inputs)
        assert_that(
            bool((ours[1] == 0).all()),
            "a gradient goes back into the memory, whose tokens belong to an earlier segment.",
        )
        for name, a, b in zip(("x", "memory", "w_q", "w_k", "w_v"), ours, theirs, strict=True):
            assert_same(a, b, f"the gradient of {name}")


def check_keeps_the_dtype(student):
    """float32 tokens give float32 outputs"""
    inputs = [x.float() for x in _inputs(seed=70)]
    assert_same(student(*inputs), by_definition(*(x.double() for x in inputs)).float())


def _inputs(*lead, sizes=SIZES, seed=0):
    """Tokens (..., n, d_x), a memory (..., t, d_x), weights (d_x, d), (d_x, d), (d_x, e)."""
    n, t, d_x, d, e = sizes
    tokens = (
        gaussian(*lead, length, d_x, std=1.0, seed=seed + i) for i, length in enumerate((n, t))
    )
    std = 2.0 / math.sqrt(d_x)
    return *tokens, *(gaussian(d_x, w, std=std, seed=seed + 2 + i) for i, w in enumerate((d, d, e)))


def _read(x, keys, values, w_q, w_k, w_v, mask=None):
    """Attention of x to other tokens, under the causal mask unless there is another."""
    n, m = x.shape[-2], keys.shape[-2]
    mask = causal_mask(n, m) if mask is None else mask
    return masked_attention.solution(x @ w_q, keys @ w_k, values @ w_v, mask=mask)


def wrong_gradient_into_the_memory(x, memory, w_q, w_k, w_v):
    """Your values are right, but the gradient goes back into the memory, and from there through all
    earlier segments. Cut it off: `memory.detach()`.
    """
    whole = torch.cat([memory, x], dim=-2)
    return _read(x, whole, whole, w_q, w_k, w_v)


def wrong_weights_learn_nothing_from_the_memory(x, memory, w_q, w_k, w_v):
    """You detached the memory's keys and values, after the projection. The weights are to learn
    from what they project: detach the tokens, before it.
    """
    keys, values = (torch.cat([(memory @ w).detach(), x @ w], dim=-2) for w in (w_k, w_v))
    mask = causal_mask(x.shape[-2], keys.shape[-2])
    return masked_attention.solution(x @ w_q, keys, values, mask=mask)


def wrong_everything_detached(x, memory, w_q, w_k, w_v):
    """You detached the segment together with its memory, so that x learns from its queries alone.
    Only the memory is cut off.
    """
    whole = torch.cat([memory, x], dim=-2).detach()
    return _read(x, whole, whole, w_q, w_k, w_v)


def wrong_segment_behind_its_memory(x, memory, w_q, w_k, w_v):
    """You put the memory behind the segment, where a causal mask takes it for the future. It came
    before: [memory; x].
    """
    whole = torch.cat([x, memory.detach()], dim=-2)
    return _read(x, whole, whole, w_q, w_k, w_v)


def wrong_triangle_from_the_first_key(x, memory, w_q, w_k, w_v):
    """Your mask counts from the first key of the memory, so that the first token of the segment
    sees one token of the past. The n queries are the last of t + n tokens: shift the diagonal by t.
    """
    whole = torch.cat([memory.detach(), x], dim=-2)
    mask = torch.ones(x.shape[-2], whole.shape[-2], dtype=torch.bool).tril()
    return _read(x, whole, whole, w_q, w_k, w_v, mask)


def wrong_not_causal(x, memory, w_q, w_k, w_v):
    """Your tokens see those that follow them in the segment. The memory is open to all, the segment
    only as far as it has come.
    """
    whole = torch.cat([memory.detach(), x], dim=-2)
    mask = torch.ones(x.shape[-2], whole.shape[-2], dtype=torch.bool)
    return _read(x, whole, whole, w_q, w_k, w_v, mask)


def wrong_one_token_of_the_future(x, memory, w_q, w_k, w_v):
    """A token sees the one that follows it. Your triangle is a column too wide: key j is seen where
    j <= t + i.
    """
    whole = torch.cat([memory.detach(), x], dim=-2)
    n, m = x.shape[-2], whole.shape[-2]
    mask = torch.ones(n, m, dtype=torch.bool).tril(m - n + 1)
    return _read(x, whole, whole, w_q, w_k, w_v, mask)


def wrong_own_place_hidden(x, memory, w_q, w_k, w_v):
    """You hide a token from itself, and without a memory the first one sees nothing. It may attend
    to itself: j <= t + i.
    """
    whole = torch.cat([memory.detach(), x], dim=-2)
    n, m = x.shape[-2], whole.shape[-2]
    mask = torch.ones(n, m, dtype=torch.bool).tril(m - n - 1)
    return _read(x, whole, whole, w_q, w_k, w_v, mask)


def wrong_memory_forgotten(x, memory, w_q, w_k, w_v):
    """You read the segment alone: the memory changes nothing. Keys and values come from
    [memory; x].
    """
    return _read(x, x, x, w_q, w_k, w_v)


def wrong_segment_forgotten(x, memory, w_q, w_k, w_v):
    """You read the memory alone, and no token of the segment, itself included. Keys and values come
    from [memory; x].
    """
    if not memory.shape[-2]:
        return x @ w_v * 0
    mask = torch.ones(x.shape[-2], memory.shape[-2], dtype=torch.bool)
    return _read(x, memory.detach(), memory.detach(), w_q, w_k, w_v, mask)


def wrong_memory_has_no_values(x, memory, w_q, w_k, w_v):
    """Your memory has keys and no values: what a query finds there are zeros. Project it by both
    `w_k` and `w_v`.
    """
    past = memory.detach()
    keys, values = torch.cat([past, x], dim=-2), torch.cat([past * 0, x], dim=-2)
    return _read(x, keys, values, w_q, w_k, w_v)


def wrong_two_means_added(x, memory, w_q, w_k, w_v):
    """You attended to the memory and to the segment apart and added what came back. One softmax
    runs over both: put them together first.
    """
    own = _read(x, x, x, w_q, w_k, w_v)
    return own + wrong_segment_forgotten(x, memory, w_q, w_k, w_v)


def wrong_memory_asks_too(x, memory, w_q, w_k, w_v):
    """Your memory asks, too: the result has a row for each of its tokens. They had their turn:
    queries are those of x.
    """
    whole = torch.cat([memory.detach(), x], dim=-2)
    return _read(whole, whole, whole, w_q, w_k, w_v)


def _of_both(attention):
    """The learner's attention of the segment to its memory and itself, rightly put together."""

    def segment_attention(x, memory, w_q, w_k, w_v):
        whole = torch.cat([memory.detach(), x], dim=-2)
        mask = causal_mask(x.shape[-2], whole.shape[-2])
        return attention(x @ w_q, whole @ w_k, whole @ w_v, mask=mask)

    return segment_attention


borrowed = (
    Borrow(
        masked_attention,
        _of_both,
        ("wrong_no_scale", "wrong_scale_by_d", "wrong_mask_after_softmax"),
    ),
)


def right_by_one_mask(x, memory, w_q, w_k, w_v):
    """memory and segment in one tensor, under a mask for the last n of t + n tokens"""
    whole = torch.cat([memory.detach(), x], dim=-2)
    n, m = x.shape[-2], whole.shape[-2]
    scores = (x @ w_q) @ (whole @ w_k).mT / math.sqrt(w_q.shape[-1])
    seen = torch.ones(n, m, dtype=torch.bool).tril(m - n)
    return scores.masked_fill(~seen, -math.inf).softmax(dim=-1) @ (whole @ w_v)


def right_by_the_last_rows(x, memory, w_q, w_k, w_v):
    """causal attention of everything to itself, of which the rows of x are kept"""
    whole = torch.cat([memory.detach(), x], dim=-2)
    n, m = x.shape[-2], whole.shape[-2]
    return _read(whole, whole, whole, w_q, w_k, w_v)[..., m - n :, :]


def right_token_by_token(x, memory, w_q, w_k, w_v):
    """one query after the other, with the keys that it may see"""
    whole = torch.cat([memory.detach(), x], dim=-2)
    start = memory.shape[-2] + 1
    rows = []
    for i in range(x.shape[-2]):
        seen = whole[..., : start + i, :]
        scores = (x[..., i : i + 1, :] @ w_q) @ (seen @ w_k).mT / math.sqrt(w_q.shape[-1])
        rows.append(torch.softmax(scores, dim=-1) @ (seen @ w_v))
    return torch.cat(rows, dim=-2)


shown = right_by_one_mask
