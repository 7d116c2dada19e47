r"""# Multi-head attention

Project, split into h heads, attend in each, put the heads side by side, project again:

$$\mathrm{head}_i = \mathrm{attention}(X W_q^i,\; Y W_k^i,\; Y W_v^i), \qquad
\mathrm{out} = (\mathrm{head}_0, \ldots, \mathrm{head}_{h-1})\, W_o .$$

- `x` is (..., n, d_x) and asks, `memory` (Y) is (..., m, d_y) and answers. `w_q` is (d_x, d_q),
  `w_k` (d_y, d_q), `w_v` (d_y, d_v), `w_o` (d_v, d_o); the result is (..., n, d_o). Head i has the
  i-th of h equal blocks of columns; `h` divides d_q and d_v.
- `mask`, if given, is Boolean, True where a query may attend, and broadcasts to the scores with
  their head axis, (..., h, n, m). A query that may attend to nothing gets zeros from that head.
- The result has the dtype of `x`, and its gradient is right. Use your own `split_heads`,
  `masked_attention` and `merge_heads`.
"""

import math

import torch

from attncourse.exercises import Borrow
from attncourse.exercises.masks import masked_softmax
from attncourse.exercises.multi_head import merge_heads, split_heads
from attncourse.mechanisms.dense.heads import multi_head_attention as solution
from attncourse.mechanisms.dense.heads import multi_head_attention_by_definition
from attncourse.testing import assert_same, assert_that, gaussian, gradients, levels, random_mask

difficulty, minutes = 3, 25
hints = (
    "Four lines, and no loop: three times project and split, one attention on (..., h, n, d), and "
    "the way back. The scale comes from the width of a *head*.",
    "Leading axes are batches for an attention, and heads are one of them: your `masked_attention` "
    "takes (..., h, n, d) as it is. The mask has its head axis already.",
)
forbidden = ("scaled_dot_product_attention", "MultiheadAttention")

NAMES = ("x", "memory", "w_q", "w_k", "w_v", "w_o")
SIZES = {"n": 5, "m": 7, "d_x": 10, "d_y": 9, "d_q": 12, "d_v": 6, "d_o": 8, "h": 3}
OTHER_SIZES = {"n": 6, "m": 3, "d_x": 5, "d_y": 11, "d_q": 4, "d_v": 14, "d_o": 9, "h": 2}


def check_equals_the_sum_over_heads(student):
    """equals the sum over heads that defines it, whatever the sizes"""
    others = ({"n": 1}, {"n": 3})  # one query; as many queries as keys
    cases = [SIZES, SIZES | {"h": 6, "d_v": 18}, OTHER_SIZES, *(OTHER_SIZES | o for o in others)]
    for sizes in cases:
        given, h = _inputs(**sizes), sizes["h"]
        expected = multi_head_attention_by_definition(*given, h=h)
        assert_same(student(*given, h=h), expected)


def check_depends_on_the_number_of_heads(student):
    """one head is plain attention; 1, 2, 3 and 6 heads give four outputs"""
    given = _inputs(**SIZES)
    for h in (1, 2, 3, 6):
        assert_same(student(*given, h=h), solution(*given, h=h), f"the result for h={h}")


def check_obeys_the_mask(student):
    """masked pairs have no influence, one mask for all heads or one each; empty rows give zeros"""
    given, own = _inputs(**SIZES), _inputs(2, **SIZES)
    each = torch.stack([random_mask(5, 7, empty_row=i, seed=i) for i in range(3)])
    padding = random_mask(2, 7, seed=8)[:, None, None, :]
    cases = [(given, random_mask(5, 7, seed=3)), (given, each), (own, padding), (own, each)]
    cases += [(given, torch.tensor(False)), (_inputs(1, **SIZES), each[None])]
    for inputs, mask in cases:
        assert_same(student(*inputs, h=3, mask=mask), solution(*inputs, h=3, mask=mask))


def check_takes_leading_axes(student):
    """works for any leading axes, those of length one too, and equals its rows one by one"""
    for lead, sizes in (((2,), SIZES), ((1,), OTHER_SIZES), ((3, 2), OTHER_SIZES)):
        given, h = _inputs(*lead, **sizes), sizes["h"]
        out = student(*given, h=h)
        assert_same(out, solution(*given, h=h))
        first = (given[0][0], given[1][0], *given[2:])
        assert_same(out[0], solution(*first, h=h), "the first of the batch")


def check_survives_large_scores(student):
    """scores in the thousands do not overflow"""
    x, memory, *weights = _inputs(**SIZES)
    memory[:, 0], x[:, 0] = levels(7, 300.0, -900.0, 0.0), levels(5, 30.0, -30.0)
    assert_same(student(x, memory, *weights, h=3), solution(x, memory, *weights, h=3))


def check_has_the_right_gradient(student):
    """the gradients of all six tensors are right, under a mask and without"""
    each = torch.stack([random_mask(5, 7, empty_row=i, seed=i) for i in range(3)])
    for sizes, mask in ((SIZES, None), (SIZES, each), (OTHER_SIZES, None)):
        given, told = _inputs(**sizes), {"h": sizes["h"], "mask": mask}
        ours, theirs = gradients(student, *given, **told), gradients(solution, *given, **told)
        for name, a, b in zip(NAMES, ours, theirs, strict=True):
            assert_that(a.isfinite().all(), f"the gradient of {name} is not finite.")
            assert_same(a, b, f"the gradient of {name}")


def check_keeps_the_dtype(student):
    """float32 tokens give float32 outputs, bfloat16 tokens bfloat16 outputs"""
    given = [x.float() for x in _inputs(**SIZES)]
    exact = solution(*(x.double() for x in given), h=3)
    assert_same(student(*given, h=3), exact.float())
    given = [x.bfloat16() for x in given]
    out, exact = student(*given, h=3), solution(*(x.double() for x in given), h=3)
    assert_that(out.dtype == torch.bfloat16, "bfloat16 tokens must give a bfloat16 output.")
    assert_that((out.double() - exact).abs().max() < 0.3, "bfloat16 gives about the same output.")


def _inputs(*lead, n, m, d_x, d_y, d_q, d_v, d_o, h):
    """Tokens and weights; scores spread over a few units, in each head."""
    shapes = (d_x, d_q), (d_y, d_q), (d_y, d_v), (d_v, d_o)
    weights = [gaussian(*s, std=s[0] ** -0.5, seed=20 + i) for i, s in enumerate(shapes)]
    x = gaussian(*lead, n, d_x, std=1.5, seed=10)
    return [x, gaussian(*lead, m, d_y, std=1.5, seed=11), *weights]


def _attend(q, k, v, mask, scale=None):
    """A right attention in each head, with another scale if there is one."""
    scores = q @ k.mT / (scale or math.sqrt(q.shape[-1]))
    return _weights(scores, mask) @ v


def _weights(scores, mask):
    if mask is None:
        return torch.softmax(scores, dim=-1)
    return torch.softmax(torch.where(mask, scores, -math.inf), dim=-1).nan_to_num(0.0)


def _split(x, h):
    return x.unflatten(-1, (h, -1)).transpose(-3, -2)


def _merge(x):
    return x.transpose(-3, -2).flatten(-2)


def _with_split(split_heads):
    """Multi-head attention whose heads are the learner's."""

    def multi_head_attention(x, memory, w_q, w_k, w_v, w_o, *, h, mask=None):
        q, k, v = (split_heads(y, h) for y in (x @ w_q, memory @ w_k, memory @ w_v))
        return _merge(_attend(q, k, v, mask)) @ w_o

    return multi_head_attention


def _with_merge(merge_heads):
    """Multi-head attention whose heads are put together by the learner's function."""

    def multi_head_attention(x, memory, w_q, w_k, w_v, w_o, *, h, mask=None):
        q, k, v = (_split(y, h) for y in (x @ w_q, memory @ w_k, memory @ w_v))
        return merge_heads(_attend(q, k, v, mask)) @ w_o

    return multi_head_attention


def _with_masked_softmax(masked_softmax):
    """Multi-head attention whose weights are the learner's, right where there is no mask."""

    def multi_head_attention(x, memory, w_q, w_k, w_v, w_o, *, h, mask=None):
        q, k, v = (_split(y, h) for y in (x @ w_q, memory @ w_k, memory @ w_v))
        scores = q @ k.mT / math.sqrt(q.shape[-1])
        weights = torch.softmax(scores, -1) if mask is None else masked_softmax(scores, mask)
        return _merge(weights @ v) @ w_o

    return multi_head_attention


borrowed = (
    Borrow(split_heads, _with_split, ("wrong_interleaved",)),
    Borrow(merge_heads, _with_merge, ("wrong_no_transpose", "wrong_order_reversed")),
    Borrow(
        masked_softmax,
        _with_masked_softmax,
        (
            "wrong_mask_ignored",
            "wrong_mask_inverted",
            "wrong_mask_multiplied_into_scores",
            "wrong_mask_added_to_scores",
            "wrong_mask_after_softmax",
            "wrong_filled_with_minus_a_billion",
            "wrong_nan_in_empty_rows",
        ),
    ),
)


def wrong_split_without_transpose(x, memory, w_q, w_k, w_v, w_o, *, h, mask=None):
    """Your split is a plain reshape, which cuts the sequence: head 0 gets the first tokens whole.
    Cut the width into (h, d) first, then exchange tokens and heads.
    """

    def split(y):
        return y.reshape(*y.shape[:-2], h, y.shape[-2], y.shape[-1] // h)

    q, k, v = split(x @ w_q), split(memory @ w_k), split(memory @ w_v)
    return _merge(_attend(q, k, v, mask)) @ w_o


def wrong_sentence_cut_and_glued(x, memory, w_q, w_k, w_v, w_o, *, h, mask=None):
    """Both your reshapes lack the exchange of tokens and heads. They undo each other, and between
    them each head sees a piece of the sequence: exchange after the split, and before the merge.
    """

    def split(y):
        return y.reshape(*y.shape[:-2], h, y.shape[-2], y.shape[-1] // h)

    heads = _attend(split(x @ w_q), split(memory @ w_k), split(memory @ w_v), mask)
    return heads.reshape(*x.shape[:-1], -1) @ w_o


def wrong_heads_only_in_the_scale(x, memory, w_q, w_k, w_v, w_o, *, h, mask=None):
    """You divide by the root of a head's width, and nothing else knows of heads: one score per pair
    still sums over all features. Split before the product, so that there is a score for each head.
    """
    q, k, v = x @ w_q, memory @ w_k, memory @ w_v
    scale = math.sqrt(q.shape[-1] // h)
    q, k, v = (y.unsqueeze(-3) for y in (q, k, v))
    return _merge(_attend(q, k, v, _of_all(mask), scale)) @ w_o


def wrong_one_head_whatever_h_says(x, memory, w_q, w_k, w_v, w_o, *, h, mask=None):
    """Your result is the same for any h: one map of weights serves all features, as in one head of
    the whole width. Split queries and keys too, before they meet, not the values alone.
    """
    q, k, v = (y.unsqueeze(-3) for y in (x @ w_q, memory @ w_k, memory @ w_v))
    return _merge(_attend(q, k, v, _of_all(mask))) @ w_o


def wrong_scale_of_the_whole_width(x, memory, w_q, w_k, w_v, w_o, *, h, mask=None):
    """You divided by the root of the whole width. A dot product now has the width of a head: take
    the scale after the split, from the last axis.
    """
    q, k, v = (_split(y, h) for y in (x @ w_q, memory @ w_k, memory @ w_v))
    return _merge(_attend(q, k, v, mask, math.sqrt(w_q.shape[-1]))) @ w_o


def wrong_scale_of_the_values(x, memory, w_q, w_k, w_v, w_o, *, h, mask=None):
    """You divided by the root of the width of a head's *values*. Values take no part in the scores:
    take the width of a head's queries.
    """
    q, k, v = (_split(y, h) for y in (x @ w_q, memory @ w_k, memory @ w_v))
    return _merge(_attend(q, k, v, mask, math.sqrt(v.shape[-1]))) @ w_o


def wrong_not_scaled(x, memory, w_q, w_k, w_v, w_o, *, h, mask=None):
    """You did not scale the scores of the heads. Each head is an attention like any other: divide
    by the root of its width.
    """
    q, k, v = (_split(y, h) for y in (x @ w_q, memory @ w_k, memory @ w_v))
    return _merge(_attend(q, k, v, mask, 1.0)) @ w_o


def wrong_maps_averaged(x, memory, w_q, w_k, w_v, w_o, *, h, mask=None):
    """You averaged the weights of the heads before you used them. Then one mean map serves all
    values: let each head's weights meet that head's values.
    """
    q, k, v = (_split(y, h) for y in (x @ w_q, memory @ w_k, memory @ w_v))
    weights = _weights(q @ k.mT / math.sqrt(q.shape[-1]), mask).mean(dim=-3, keepdim=True)
    return _merge(weights @ v) @ w_o


def wrong_softmax_over_the_heads(x, memory, w_q, w_k, w_v, w_o, *, h, mask=None):
    """Your softmax runs over the heads, so that they share one unit of weight. Each head has its
    own, over the keys: `dim=-1`.
    """
    q, k, v = (_split(y, h) for y in (x @ w_q, memory @ w_k, memory @ w_v))
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    weights = torch.softmax(scores, dim=-3)
    if mask is not None:
        weights = weights.masked_fill(~mask, 0.0)
    return _merge(weights @ v) @ w_o


def wrong_every_head_the_first(x, memory, w_q, w_k, w_v, w_o, *, h, mask=None):
    """All your heads use the columns of head 0. Head i has columns of its own, from i d on, in all
    three projections.
    """
    q, k, v = (_split(y, h)[..., :1, :, :] for y in (x @ w_q, memory @ w_k, memory @ w_v))
    heads = _attend(q, k, v, mask)
    return _merge(heads.expand(*heads.shape[:-3], h, *heads.shape[-2:])) @ w_o


def wrong_heads_averaged(x, memory, w_q, w_k, w_v, w_o, *, h, mask=None):
    """You gave each head its rows of W_O and took the mean of the results. It is their sum: side by
    side times W_O, or added up, but not divided by h.
    """
    return solution(x, memory, w_q, w_k, w_v, w_o, h=h, mask=mask) / h


def wrong_no_output_projection(x, memory, w_q, w_k, w_v, w_o, *, h, mask=None):
    """You stopped at the heads side by side. The last step is the product with `w_o`, which is what
    lets one head's finding reach every feature.
    """
    q, k, v = (_split(y, h) for y in (x @ w_q, memory @ w_k, memory @ w_v))
    return _merge(_attend(q, k, v, mask))


def wrong_self_attention(x, memory, w_q, w_k, w_v, w_o, *, h, mask=None):
    """Your keys and values come from x. They come from `memory`, which may be of another length and
    width: x asks, the memory answers.
    """
    return solution(x, x, w_q, w_k, w_v, w_o, h=h, mask=mask)


def wrong_x_and_memory_exchanged(x, memory, w_q, w_k, w_v, w_o, *, h, mask=None):
    """You let the memory ask and x answer. Queries come from `x`, keys and values from `memory`:
    there is an output for each token of x.
    """
    return solution(memory, x, w_q, w_k, w_v, w_o, h=h, mask=mask)


def wrong_weights_transposed(x, memory, w_q, w_k, w_v, w_o, *, h, mask=None):
    """You multiplied with the transposes of the weights, as `nn.Linear` stores them. Here a weight
    is (d_in, d_out): tokens times weight, `x @ w_q`.
    """
    return solution(x, memory, w_q.mT, w_k.mT, w_v.mT, w_o.mT, h=h, mask=mask)


def wrong_queries_split_only(x, memory, w_q, w_k, w_v, w_o, *, h, mask=None):
    """You split the queries alone, and their width no longer fits the keys. Keys and values are
    split in the same way.
    """
    return _merge(_attend(_split(x @ w_q, h), memory @ w_k, memory @ w_v, mask)) @ w_o


def wrong_mask_of_the_first_head(x, memory, w_q, w_k, w_v, w_o, *, h, mask=None):
    """You used the mask of head 0 for all heads. Where the mask has a head axis each head has its
    own: let it broadcast against the scores as it is.
    """
    if mask is not None and mask.ndim > 2:
        mask = mask[..., :1, :, :]
    return solution(x, memory, w_q, w_k, w_v, w_o, h=h, mask=mask)


def wrong_mask_with_another_axis(x, memory, w_q, w_k, w_v, w_o, *, h, mask=None):
    """You gave the mask one more axis for the heads. It has that axis already, (..., h, n, m): with
    another one it fits nothing, or the wrong axis.
    """
    if mask is not None and mask.ndim > 2:
        mask = mask.unsqueeze(-3)
    q, k, v = (_split(y, h) for y in (x @ w_q, memory @ w_k, memory @ w_v))
    return _merge(_attend(q, k, v, mask)) @ w_o


def wrong_float64_returned(x, memory, w_q, w_k, w_v, w_o, *, h, mask=None):
    """You computed in float64 and returned float64. The output has the dtype of `x`: cast it back,
    `.to(x.dtype)`.
    """
    given = (y.double() for y in (x, memory, w_q, w_k, w_v, w_o))
    return solution(*given, h=h, mask=mask)


def _of_all(mask):
    """The mask of head 0, for an answer that has one head."""
    return mask[..., :1, :, :] if mask is not None and mask.ndim > 2 else mask


def right_by_a_loop(x, memory, w_q, w_k, w_v, w_o, *, h, mask=None):
    """head by head, concatenated"""
    outs = []
    for i in range(h):
        q, k, v = (y.chunk(h, dim=-1)[i] for y in (x @ w_q, memory @ w_k, memory @ w_v))
        seen = mask
        if mask is not None and mask.ndim > 2:
            seen = mask[..., i if mask.shape[-3] > 1 else 0, :, :]
        outs.append(_attend(q, k, v, seen))
    return torch.cat(outs, dim=-1) @ w_o


def right_by_the_sum(x, memory, w_q, w_k, w_v, w_o, *, h, mask=None):
    """every head through its own rows of W_O, then the sum"""
    q, k, v = (_split(y, h) for y in (x @ w_q, memory @ w_k, memory @ w_v))
    return (_attend(q, k, v, mask) @ w_o.unflatten(0, (h, -1))).sum(dim=-3)


def right_by_einsum(x, memory, w_q, w_k, w_v, w_o, *, h, mask=None):
    """einsum from end to end, weights with a head axis"""
    w_q, w_k, w_v = (w.unflatten(-1, (h, -1)) for w in (w_q, w_k, w_v))
    q = torch.einsum("...nx,xhd->...hnd", x, w_q) / w_q.shape[-1] ** 0.5
    scores = torch.einsum("...hnd,...my,yhd->...hnm", q, memory, w_k)
    heads = torch.einsum("...hnm,...my,yhe->...nhe", _weights(scores, mask), memory, w_v)
    return torch.einsum("...nhe,heo->...no", heads, w_o.unflatten(0, (h, -1)))
