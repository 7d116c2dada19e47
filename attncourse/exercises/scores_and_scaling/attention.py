r"""# Scaled dot-product attention

Compute, for n queries at once,

$$\mathrm{attention}(Q, K, V) = \mathrm{softmax}\!\left(\frac{Q K^\top}{\sqrt{d}}\right) V .$$

- `q` is (..., n, d), `k` is (..., m, d), `v` is (..., m, e); the result is (..., n, e). The
  leading axes (batch, heads) are shared by all three.
- `mask`, if given, is Boolean and broadcasts to (..., n, m): True means *may attend*. A masked
  pair gets weight zero, and a query that may attend to nothing gets an output of zeros.
- The result has the dtype of `v`, and its gradient is right. No tensor may be larger than the
  (n, m) weights need.
"""

import math

import torch

from attncourse.exercises import Borrow
from attncourse.exercises.masks import masked_softmax
from attncourse.exercises.scores_and_scaling import bilinear_scores
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
    random_mask,
)

difficulty, minutes = 3, 25
hints = (
    "Three lines: scores (n, m), weights (n, m), output (n, e). `k.mT` swaps the last two axes.",
    "Masked scores become -inf *before* the softmax: `scores.masked_fill(~mask, -math.inf)`. "
    "A row of -inf alone turns into NaN; set the weights of such rows to zero.",
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


def check_obeys_the_mask(student):
    """a masked pair has no influence, whatever its score"""
    q, k, v = attention_inputs(seed=20)
    mask = random_mask(5, 37)
    padding = random_mask(2, 37)[:, None, None, :]
    batch = attention_inputs(2, 3, seed=25)
    other = attention_inputs(4, 1, sizes=OTHER_SIZES, seed=26)
    cases = [((q, k, v), mask), (batch, padding), (other, random_mask(11, 9))]
    cases.append(_hidden_minus_infinity(q, k, v, mask))
    outputs = [student(*qkv, mask=mask) for qkv, mask in cases]
    for (qkv, mask), output in zip(cases, outputs, strict=True):
        assert_same(output, solution(*qkv, mask=mask))


def check_gives_zeros_for_an_empty_row(student):
    """a query that may attend to nothing gives zeros, and finite gradients"""
    q, k, v = attention_inputs(seed=30)
    mask = random_mask(5, 37, empty_row=2)
    assert_same(student(q, k, v, mask=mask), solution(q, k, v, mask=mask))
    ours, theirs = gradients(student, q, k, v, mask=mask), gradients(solution, q, k, v, mask=mask)
    for name, a, b in zip("qkv", ours, theirs, strict=True):
        assert_that(a.isfinite().all(), f"the gradient of {name} is not finite.")
        assert_same(a, b, f"the gradient of {name}")


def check_survives_large_scores(student):
    """scores in the thousands neither overflow nor lose the mask"""
    q, k, v = attention_inputs(std=100.0, seed=40)
    scores = _scores(q, k)
    best, worst = scores.argmax(dim=-1, keepdim=True), scores.argmin(dim=-1, keepdim=True)
    without_best = random_mask(5, 37, seed=1).scatter(-1, best, False)
    worst_alone = torch.zeros(5, 37, dtype=torch.bool).scatter(-1, worst, True)
    for mask in (None, without_best, worst_alone):
        assert_same(student(q, k, v, mask=mask), solution(q, k, v, mask=mask))
    for heights in ((0.0, -3000.0, 1000.0), (1000.0, -3000.0, 1000.0)):
        spread = _spread(levels(37, *heights))
        assert_same(student(*spread), solution(*spread))
    mask = levels(37, 0, 1, 1, 1, 0)[None] == 1
    hidden = _spread(1e9 * ~mask - 1e5)  # what is masked fits best by far
    assert_same(student(*hidden, mask=mask), solution(*hidden, mask=mask))


def check_has_the_right_gradient(student):
    """the gradients of q, k and v are right, far-off scores included"""
    near = [attention_inputs(sizes=sizes, seed=50) for sizes in (SIZES, OTHER_SIZES)]
    for q, k, v in (*near, _spread(levels(37, 0.0, -3000.0, 1000.0))):
        ours, theirs = gradients(student, q, k, v), gradients(solution, q, k, v)
        for name, a, b in zip("qkv", ours, theirs, strict=True):
            assert_same(a, b, f"the gradient of {name}")


def check_keeps_the_dtype(student):
    """float32 values give float32 outputs, bfloat16 values bfloat16 outputs"""
    mask = random_mask(5, 9, empty_row=1)
    q, k, v = (x.float() for x in attention_inputs(sizes=(5, 9, 8, 6), std=1.0, seed=70))
    for seen in (None, mask):
        exact = solution(q.double(), k.double(), v.double(), mask=seen).float()
        assert_same(student(q, k, v, mask=seen), exact)
    q, k, v = (x.bfloat16() for x in (q, k, v))
    for seen in (None, mask):
        exact = solution(q.double(), k.double(), v.double(), mask=seen)
        error = (student(q, k, v, mask=seen).double() - exact).abs().max()
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


def _hidden_minus_infinity(q, k, v, mask):
    """The same inputs with a key that every query scores with -inf and none may attend to."""
    q, k, mask = q.clone(), k.clone(), mask.clone()
    q[:, 0], k[36, 0], mask[:, 36] = q[:, 0].abs(), -math.inf, False
    return (q, k, v), mask


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
    """Right weights: -inf where masked, zeros in empty rows."""
    return _fill(torch.softmax(_fill(scores, mask, -math.inf), dim=dim), mask, 0.0)


def _with_masked_softmax(masked_softmax):
    """The attention whose weights are the learner's, under a mask of True where there is none."""

    def attention(q, k, v, *, mask=None):
        scores = _scores(q, k)
        seen = torch.ones_like(scores, dtype=torch.bool) if mask is None else mask
        return masked_softmax(scores, seen) @ v

    return attention


def _where_there_is_a_mask(masked_softmax):
    """The same, but right without a mask."""

    def attention(q, k, v, *, mask=None):
        wrong = _with_masked_softmax(masked_softmax)
        return solution(q, k, v) if mask is None else wrong(q, k, v, mask=mask)

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
        masked_softmax,
        _with_masked_softmax,
        (
            "wrong_no_maximum_subtracted",
            "wrong_float32_throughout",
            "wrong_over_the_first_axis",
            "wrong_over_axis_one",
            "wrong_over_the_axis_before_the_last",
            "wrong_scores_over_their_sum",
        ),
    ),
    Borrow(
        masked_softmax,
        _where_there_is_a_mask,
        (
            "wrong_mask_ignored",
            "wrong_mask_inverted",
            "wrong_mask_multiplied_into_scores",
            "wrong_mask_added_to_scores",
            "wrong_mask_times_infinity",
            "wrong_mask_after_softmax",
            "wrong_renormalised_after_softmax",
            "wrong_small_number_in_the_sum",
            "wrong_small_number_in_the_sum_of_exponentials",
            "wrong_filled_with_minus_one",
            "wrong_filled_with_a_small_number",
            "wrong_filled_with_minus_a_thousand",
            "wrong_filled_with_minus_ten_thousand",
            "wrong_minus_a_billion_added_and_zeroed",
            "wrong_filled_with_minus_a_billion",
            "wrong_minus_a_billion_added",
            "wrong_nan_in_empty_rows",
            "wrong_nan_in_the_gradient",
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


def wrong_nan_removed_from_the_output(q, k, v, *, mask=None):
    """You removed the NaN of empty rows from the output, but the weights still hold it, and it
    reaches the gradient of the values. Set the weights of such rows to zero.
    """
    return (torch.softmax(_fill(_scores(q, k), mask, -math.inf), dim=-1) @ v).nan_to_num()


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


def right_by_nan_to_num(q, k, v, *, mask=None):
    """torch.where for the mask, and nan_to_num on the weights of empty rows"""
    scores = (q / math.sqrt(q.shape[-1])) @ k.transpose(-2, -1)
    if mask is not None:
        scores = torch.where(mask, scores, -math.inf)
    return scores.softmax(dim=-1).nan_to_num(0.0) @ v


def right_by_logsumexp(q, k, v, *, mask=None):
    """weights from logsumexp, and a large negative number for hidden scores"""
    scores = _fill(_scores(q, k), mask, torch.finfo(q.dtype).min)
    return _fill((scores - scores.logsumexp(dim=-1, keepdim=True)).exp(), mask, 0.0) @ v


def right_by_one_key_at_a_time(q, k, v, *, mask=None):
    """a running maximum, sum and output over the keys"""
    seen = torch.zeros_like(q[..., :1], dtype=torch.bool)
    top, total = torch.zeros_like(q[..., :1]), torch.zeros_like(q[..., :1])
    out = torch.zeros_like(q[..., :1] * v[..., :1, :])
    for j in range(k.shape[-2]):
        score = (q * k[..., j : j + 1, :]).sum(-1, keepdim=True) / math.sqrt(q.shape[-1])
        may = torch.ones_like(seen) if mask is None else mask[..., j : j + 1].expand_as(seen)
        new = torch.where(may, torch.where(seen, torch.maximum(top, score), score), top)
        keep = torch.where(seen, (top - new).exp(), torch.zeros_like(top))
        add = torch.where(may, (score - new).exp(), torch.zeros_like(top))
        total, out = total * keep + add, out * keep + add * v[..., j : j + 1, :]
        top, seen = new, seen | may
    return out / total.masked_fill(total == 0, 1.0)
