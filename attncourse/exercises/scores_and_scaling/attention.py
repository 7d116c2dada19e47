r"""# Scaled dot-product attention

Compute, for n queries at once,

$$\mathrm{attention}(Q, K, V) = \mathrm{softmax}\!\left(\frac{Q K^\top}{\sqrt{d}}\right) V .$$

- `q` is (..., n, d), `k` is (..., m, d), `v` is (..., m, e); the result is (..., n, e). The
  leading axes (batch, heads) are shared by all three.
- The result has the dtype of `v`, and its gradient is right. No tensor may be larger than the
  (n, m) weights need.
- `mask` comes in the next chapter: no call here gives one.
"""

import math

import torch

from attncourse.exercises import Borrow
from attncourse.exercises.scores_and_scaling import bilinear_scores, softmax
from attncourse.measure.cost import largest_tensor
from attncourse.mechanisms.dense.softmax import attention as solution
from attncourse.mechanisms.dense.softmax import attention_by_definition
from attncourse.testing import (
    OTHER_SIZES,
    SIZES,
    assert_same,
    assert_that,
    attention_inputs,
    gradients,
    levels,
)

difficulty, minutes = 2, 25
hints = (
    "Three lines: scores (n, m), weights (n, m), output (n, e). `k.mT` swaps the last two axes.",
    "The width is the last axis of the queries, `q.shape[-1]`; its root divides the scores. The "
    "softmax runs over the keys, `dim=-1`, and your own `softmax` does it.",
)
forbidden = ("scaled_dot_product_attention", "MultiheadAttention")


def check_matches_the_definition(student):
    """equals the loop over queries and keys"""
    q, k, v = attention_inputs()
    assert_same(student(q, k, v), solution(q, k, v))
    q, k, v = attention_inputs(sizes=OTHER_SIZES)
    assert_same(student(q, k, v), attention_by_definition(q, k, v))


def check_takes_leading_axes(student):
    """works for any batch and head axes, those of length one too, for one query and one key"""
    one_query, one_key = (1, 9, 3, 7), (11, 1, 3, 7)
    for lead, sizes in (((2, 3), SIZES), ((1,), SIZES), ((4, 1), one_query), ((2,), one_key)):
        q, k, v = attention_inputs(*lead, sizes=sizes, seed=10)
        v = 1000.0 * v  # so that rounded weights show
        assert_same(student(q, k, v), solution(q, k, v))


def check_survives_large_scores(student):
    """scores in the thousands do not overflow"""
    steep = attention_inputs(std=100.0, seed=40)
    spread = [_spread(levels(37, low, -3000.0, 1000.0)) for low in (0.0, 1000.0)]
    for q, k, v in (steep, *spread):
        assert_same(student(q, k, v), solution(q, k, v))


def check_has_the_right_gradient(student):
    """the gradients of q, k and v are right, far-off scores included"""
    near = [attention_inputs(sizes=sizes, seed=50) for sizes in (SIZES, OTHER_SIZES)]
    for q, k, v in (*near, _spread(levels(37, 0.0, -3000.0, 1000.0))):
        ours, theirs = gradients(student, q, k, v), gradients(solution, q, k, v)
        for name, a, b in zip("qkv", ours, theirs, strict=True):
            assert_same(a, b, f"the gradient of {name}")


def check_keeps_the_dtype(student):
    """float32 values give float32 outputs, bfloat16 values bfloat16 outputs"""
    q, k, v = (x.float() for x in attention_inputs(sizes=(5, 9, 8, 6), std=1.0, seed=70))
    exact = solution(q.double(), k.double(), v.double())
    assert_same(student(q, k, v), exact.float())
    q, k, v = (x.bfloat16() for x in (q, k, v))
    error = (student(q, k, v).double() - solution(q.double(), k.double(), v.double())).abs().max()
    assert_that(error < 0.2, "bfloat16 inputs must give about the same output.")


def check_needs_no_large_tensor(student):
    """the largest tensor grows with n m, whatever the width"""
    for n, m in ((20, 30), (40, 60)):
        q, k, v = attention_inputs(sizes=(n, m, 8, 6), seed=60)
        assert_same(student(q, k, v), solution(q, k, v))  # a wrong answer may well be cheap
        largest = largest_tensor(student, q, k, v)
        assert_that(
            largest <= 2 * n * m,
            f"for {n} queries and {m} keys your largest tensor holds {largest} numbers; the "
            f"weights are {n * m}, and nothing needs to be larger.",
        )


def _spread(heights):
    """Inputs in which the scores of key j are raised by heights[j]."""
    q, k, v = attention_inputs(seed=45)
    q[:, 0], k[:, 0] = 10.0, heights * math.sqrt(8) / 10.0
    return q, k, v


def _scores(q, k):
    return q @ k.mT / math.sqrt(q.shape[-1])


def _fill(scores, mask, number):
    return scores if mask is None else scores.masked_fill(~mask, number)


def _weights(scores, mask, dim=-1):
    """Right weights: -inf where masked, zeros in empty rows.

    No check here gives a mask; the exercise that does borrows the mistakes below.
    """
    return _fill(torch.softmax(_fill(scores, mask, -math.inf), dim=dim), mask, 0.0)


def _with_softmax(softmax):
    """The attention whose weights are the learner's softmax of the scores, masked rightly."""

    def attention(q, k, v, *, mask=None):
        filled = _fill(_scores(q, k), mask, -math.inf)
        return _fill(softmax(filled), mask, 0.0) @ v

    return attention


def _with_bilinear_scores(bilinear_scores):
    """The attention whose scores are the learner's, for the identity over sqrt(d)."""

    def attention(q, k, v, *, mask=None):
        scale = torch.eye(q.shape[-1], dtype=q.dtype) / math.sqrt(q.shape[-1])
        return _weights(bilinear_scores(q, k, scale), mask) @ v

    return attention


borrowed = (
    Borrow(
        bilinear_scores,
        _with_bilinear_scores,
        ("wrong_transpose_of_all_axes", "wrong_product_of_all_pairs"),
    ),
    Borrow(
        softmax,
        _with_softmax,
        (
            "wrong_no_maximum_subtracted",
            "wrong_float32_throughout",
            "wrong_over_the_first_axis",
            "wrong_over_axis_one",
            "wrong_over_the_axis_before_the_last",
            "wrong_no_exponential",
            "wrong_sign",
            "wrong_clamped",
        ),
    ),
)


def wrong_no_scale(q, k, v, *, mask=None):
    """You did not divide the scores by the square root of d. Their variance is d, so without it
    the softmax is nearly one-hot.
    """
    return _weights(q @ k.mT, mask) @ v


def wrong_scale_by_d(q, k, v, *, mask=None):
    """You divided the scores by d. Their variance is d, so divide by its square root."""
    return _weights(q @ k.mT / q.shape[-1], mask) @ v


def wrong_multiplied_by_sqrt_d(q, k, v, *, mask=None):
    """You multiplied the scores by the square root of d. The scale goes the other way: divide."""
    return _weights(q @ k.mT * math.sqrt(q.shape[-1]), mask) @ v


def wrong_scale_by_sqrt_n(q, k, v, *, mask=None):
    """You scaled by the square root of the number of keys. The variance of a dot product comes
    from its width: divide by sqrt(d).
    """
    return _weights(q @ k.mT / math.sqrt(k.shape[-2]), mask) @ v


def wrong_scale_by_the_root_of_the_queries(q, k, v, *, mask=None):
    """You scaled by the square root of the number of queries. How many ask has no say in how well
    one key fits: divide by the root of the width, the last axis.
    """
    return _weights(q @ k.mT / math.sqrt(q.shape[-2]), mask) @ v


def wrong_scale_by_the_value_width(q, k, v, *, mask=None):
    """You scaled by the square root of the values' width. The values take no part in the scores:
    use the width of queries and keys.
    """
    return _weights(q @ k.mT / math.sqrt(v.shape[-1]), mask) @ v


def wrong_scaled_after_softmax(q, k, v, *, mask=None):
    """You divided the weights by the square root of d, so their rows no longer sum to one. Divide
    the scores, before the softmax.
    """
    return _weights(q @ k.mT, mask) / math.sqrt(q.shape[-1]) @ v


def wrong_scale_as_a_float32_tensor(q, k, v, *, mask=None):
    """Your scale is a float32 tensor of its own. It drags bfloat16 scores up to float32, rounds
    float64 ones and stays on its device: use a plain number, `math.sqrt(d)`.
    """
    scale = torch.tensor([q.shape[-1]], dtype=torch.float32).sqrt()
    return _weights(q @ k.mT / scale, mask) @ v


def wrong_softmax_over_the_matrix(q, k, v, *, mask=None):
    """Your softmax runs over all pairs, so the queries share one unit of weight. Each query has one
    of its own: `dim=-1`.
    """
    scores = _fill(_scores(q, k), mask, -math.inf)
    return torch.softmax(scores.flatten(-2), dim=-1).reshape(scores.shape) @ v


def wrong_raw_scores_as_weights(q, k, v, *, mask=None):
    """You used the scores as weights. They can be negative and do not sum to one: take their
    softmax first.
    """
    return _fill(_scores(q, k), mask, 0.0) @ v


def wrong_argmax(q, k, v, *, mask=None):
    """You took the value of the best key alone. That is hard attention: the other keys get neither
    weight nor gradient. Use the softmax.
    """
    best = _fill(_scores(q, k), mask, -math.inf).argmax(dim=-1)
    chosen = torch.nn.functional.one_hot(best, k.shape[-2]).to(v.dtype)
    return _fill(chosen, mask, 0.0) @ v


def wrong_scores_times_softmax(q, k, v, *, mask=None):
    """You multiplied the softmax by the scores once more. The weights are the softmax alone: with
    the extra factor they can be negative and do not sum to one.
    """
    scores = _scores(q, k)
    return (scores * _weights(scores, mask)) @ v


def wrong_softmax_twice(q, k, v, *, mask=None):
    """You took the softmax of the weights again. The second one makes them nearly equal: take it
    once.
    """
    return _weights(_weights(_scores(q, k), mask), mask) @ v


def wrong_cosine(q, k, v, *, mask=None):
    """You divided by the lengths of queries and keys. Scores between -1 and 1 cannot single out a
    key: divide the dot products by sqrt(d) only.
    """
    normalize = torch.nn.functional.normalize
    return _weights(normalize(q, dim=-1) @ normalize(k, dim=-1).mT, mask) @ v


def wrong_uniform_average(q, k, v, *, mask=None):
    """You averaged the values evenly, so your output does not depend on the query. Weigh them by
    the softmax of the scores.
    """
    return _weights(torch.zeros_like(_scores(q, k)), mask) @ v


def wrong_keys_ignored(q, k, v, *, mask=None):
    """You made weights from the queries alone, so your output stays the same whatever the keys. The
    scores are products of queries and keys.
    """
    return torch.softmax(q / math.sqrt(q.shape[-1]), dim=-1) @ v


def wrong_keys_as_values(q, k, v, *, mask=None):
    """You averaged the keys. Keys are for matching, values are what is summed: multiply the weights
    by `v`.
    """
    return _weights(_scores(q, k), mask) @ k


def wrong_values_as_keys(q, k, v, *, mask=None):
    """You compared the queries with the values. Values are what is summed, keys are for matching:
    multiply `q` by the transpose of `k`.
    """
    return _weights(_scores(q, v), mask) @ v


def wrong_queries_and_keys_exchanged(q, k, v, *, mask=None):
    """You exchanged queries and keys, so there is a row of scores for each key. Rows belong to
    queries: `q @ k.mT`.
    """
    return _weights(_scores(k, q), mask) @ v


def wrong_weights_returned(q, k, v, *, mask=None):
    """You returned the weights. One step is missing: multiply them by the values."""
    return _weights(_scores(q, k), mask)


def wrong_applied_twice(q, k, v, *, mask=None):
    """You multiplied by the values twice. The output of attention is not a matrix of weights: one
    product with `v` is all.
    """
    return _weights(_scores(q, k), mask) @ v @ v


def wrong_transpose_of_axes_one_and_two(q, k, v, *, mask=None):
    """You transposed axes 1 and 2 of the keys, which is right for one leading axis only. Count from
    the right: `transpose(-2, -1)`, or `.mT`.
    """
    return _weights(q @ k.transpose(1, 2) / math.sqrt(q.shape[-1]), mask) @ v


def wrong_width_written_down(q, k, v, *, mask=None):
    """You divided by the square root of a number that you wrote down. The width is another for
    other inputs: take it from `q.shape[-1]`.
    """
    return _weights(q @ k.mT / math.sqrt(8), mask) @ v


def wrong_axes_of_length_one_dropped(q, k, v, *, mask=None):
    """You dropped every axis of length one. A batch of one, or one query, is an axis like any
    other: leave out `squeeze()`.
    """
    return (_weights(_scores(q, k), mask) @ v).squeeze()


def wrong_float64_returned(q, k, v, *, mask=None):
    """You computed in float64 and returned float64. The output has the dtype of the values: cast it
    back, `.to(v.dtype)`.
    """
    return _weights(_scores(q.double(), k.double()), mask) @ v.double()


def right_by_einsum(q, k, v, *, mask=None):
    """einsum for both products"""
    scores = torch.einsum("...nd,...md->...nm", q, k) / q.shape[-1] ** 0.5
    return torch.einsum("...nm,...me->...ne", _weights(scores, mask), v)


def right_by_logsumexp(q, k, v, *, mask=None):
    """scales the queries instead of the scores; weights from logsumexp"""
    scores = (q / math.sqrt(q.shape[-1])) @ k.transpose(-2, -1)
    return (scores - scores.logsumexp(dim=-1, keepdim=True)).exp() @ v


def right_by_dividing_last(q, k, v, *, mask=None):
    """sums values by exponentials, and divides by their sum at the end"""
    scores = _scores(q, k)
    exponentials = (scores - scores.amax(dim=-1, keepdim=True)).exp()
    return (exponentials @ v) / exponentials.sum(dim=-1, keepdim=True)


def right_by_one_query_at_a_time(q, k, v, *, mask=None):
    """a loop over the queries, each with all keys"""
    rows = []
    for i in range(q.shape[-2]):
        scores = (k @ q[..., i, :, None]).mT / math.sqrt(k.shape[-1])
        rows.append(torch.softmax(scores, dim=-1) @ v)
    return torch.cat(rows, dim=-2)
