r"""# Attention under a mask

Let each query attend only to the keys that it may see:

$$Z_i = \sum_j w_{ij} \, v_j, \qquad
w_{ij} = \frac{M_{ij} \, e^{s_{ij}}}{\sum_l M_{il} \, e^{s_{il}}}, \qquad
s_{ij} = \frac{q_i \cdot k_j}{\sqrt d} .$$

- `q` is (..., n, d), `k` is (..., m, d), `v` is (..., m, e); the result is (..., n, e). The
  leading axes (batch, heads) are shared by all three.
- `mask`, if given, is Boolean and broadcasts to (..., n, m): True means *may attend*. A masked
  pair gets weight zero, and a query that may attend to nothing gets an output of zeros. Without a
  mask every query sees every key.
- The result has the dtype of `v`, and its gradient is right. No tensor may be larger than the
  (n, m) weights need.
"""

import math

import torch

from attncourse.exercises import Borrow
from attncourse.exercises.masks import masked_softmax
from attncourse.exercises.scores_and_scaling import attention
from attncourse.mechanisms.dense.softmax import attention as solution
from attncourse.testing import (
    OTHER_SIZES,
    assert_same,
    assert_that,
    attention_inputs,
    gradients,
    levels,
    random_mask,
)

difficulty, minutes = 3, 20
hints = (
    "Take your `attention` of the last chapter. One line changes: which, if a masked pair gets "
    "weight zero and the others of its row share what it loses?",
    "Your `masked_softmax` takes the place of the softmax. Where `mask` is None every pair may "
    "attend: a mask of True, or the softmax as before.",
)
forbidden = attention.forbidden


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
    attention.check_survives_large_scores(student)
    q, k, v = attention_inputs(std=100.0, seed=40)
    scores = q @ k.mT
    best, worst = scores.argmax(dim=-1, keepdim=True), scores.argmin(dim=-1, keepdim=True)
    without_best = random_mask(5, 37, seed=1).scatter(-1, best, False)
    worst_alone = torch.zeros(5, 37, dtype=torch.bool).scatter(-1, worst, True)
    for mask in (without_best, worst_alone):
        assert_same(student(q, k, v, mask=mask), solution(q, k, v, mask=mask))
    mask = levels(37, 0, 1, 1, 1, 0)[None] == 1
    q, k, v = attention_inputs(seed=45)
    q[:, 0], k[:, 0] = 10.0, 1e9 * ~mask[0] - 1e5  # what is masked fits best by far
    assert_same(student(q, k, v, mask=mask), solution(q, k, v, mask=mask))


def check_keeps_the_dtype(student):
    """float32 values give float32 outputs, bfloat16 values bfloat16 outputs, under a mask too"""
    attention.check_keeps_the_dtype(student)
    mask = random_mask(5, 9, empty_row=1)
    q, k, v = (x.float() for x in attention_inputs(sizes=(5, 9, 8, 6), std=1.0, seed=70))
    exact = solution(q.double(), k.double(), v.double(), mask=mask)
    assert_same(student(q, k, v, mask=mask), exact.float())
    q, k, v = (x.bfloat16() for x in (q, k, v))
    exact = solution(q.double(), k.double(), v.double(), mask=mask)
    error = (student(q, k, v, mask=mask).double() - exact).abs().max()
    assert_that(error < 0.2, "bfloat16 inputs must give about the same output.")


def _hidden_minus_infinity(q, k, v, mask):
    """The same inputs with a key that every query scores with -inf and none may attend to."""
    q, k, mask = q.clone(), k.clone(), mask.clone()
    q[:, 0], k[36, 0], mask[:, 36] = q[:, 0].abs(), -math.inf, False
    return (q, k, v), mask


def _unchanged(attention):
    """An answer of the last chapter as one of this: those that are borrowed obey the mask."""
    return attention


def _with_masked_softmax(masked_softmax):
    """The attention whose weights are the learner's, under a mask of True where there is none."""

    def attention(q, k, v, *, mask=None):
        scores = q @ k.mT / math.sqrt(q.shape[-1])
        seen = torch.ones_like(scores, dtype=torch.bool) if mask is None else mask
        return masked_softmax(scores, seen) @ v

    return attention


def _where_there_is_a_mask(masked_softmax):
    """The same, but right without a mask."""

    def attention(q, k, v, *, mask=None):
        wrong = _with_masked_softmax(masked_softmax)
        return solution(q, k, v) if mask is None else wrong(q, k, v, mask=mask)

    return attention


borrowed = (
    Borrow(
        attention,
        _unchanged,
        (
            "check_matches_the_definition",
            "check_takes_leading_axes",
            "check_has_the_right_gradient",
            "check_needs_no_large_tensor",
            "wrong_transpose_of_all_axes",
            "wrong_product_of_all_pairs",
            "wrong_no_scale",
            "wrong_scale_by_d",
            "wrong_multiplied_by_sqrt_d",
            "wrong_scale_by_sqrt_n",
            "wrong_scale_by_the_root_of_the_queries",
            "wrong_scale_by_the_value_width",
            "wrong_scaled_after_softmax",
            "wrong_scale_as_a_float32_tensor",
            "wrong_softmax_over_the_matrix",
            "wrong_raw_scores_as_weights",
            "wrong_argmax",
            "wrong_scores_times_softmax",
            "wrong_softmax_twice",
            "wrong_cosine",
            "wrong_uniform_average",
            "wrong_keys_ignored",
            "wrong_keys_as_values",
            "wrong_values_as_keys",
            "wrong_queries_and_keys_exchanged",
            "wrong_weights_returned",
            "wrong_applied_twice",
            "wrong_transpose_of_axes_one_and_two",
            "wrong_width_written_down",
            "wrong_axes_of_length_one_dropped",
            "wrong_float64_returned",
            "right_by_einsum",
        ),
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


def wrong_nan_removed_from_the_output(q, k, v, *, mask=None):
    """You removed the NaN of empty rows from the output, but the weights still hold it, and it
    reaches the gradient of the values. Set the weights of such rows to zero.
    """
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    return (torch.softmax(scores, dim=-1) @ v).nan_to_num()


def right_by_nan_to_num(q, k, v, *, mask=None):
    """torch.where for the mask, and nan_to_num on the weights of empty rows"""
    scores = (q / math.sqrt(q.shape[-1])) @ k.transpose(-2, -1)
    if mask is not None:
        scores = torch.where(mask, scores, -math.inf)
    return scores.softmax(dim=-1).nan_to_num(0.0) @ v


def right_by_logsumexp(q, k, v, *, mask=None):
    """weights from logsumexp, and a large negative number for hidden scores"""
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    seen = torch.ones_like(scores, dtype=torch.bool) if mask is None else mask
    filled = scores.masked_fill(~seen, torch.finfo(q.dtype).min)
    return ((filled - filled.logsumexp(dim=-1, keepdim=True)).exp() * seen) @ v


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
