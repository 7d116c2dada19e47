r"""# Drop the small weights

Take the weights of plain attention, drop those below `threshold`, and share out their weight among
those that are left:

$$Z_i = \frac{\sum_{j \in K_i} p_{ij} \, v_j}{\sum_{j \in K_i} p_{ij}}, \qquad
K_i = \{\, j : p_{ij} \ge \min(\mathrm{threshold}, \max_l p_{il}) \,\}, \qquad
p = \mathrm{softmax}\!\left(\frac{q k^\top}{\sqrt d}\right) .$$

- `q` is (..., n, d), `k` is (..., m, d), `v` is (..., m, e); the result is (..., n, e) in the dtype
  of `v`, and its gradient is right. `threshold` is at least 0.
- A query keeps its largest weight even where that is below the threshold, so that no row is empty.
  Weights equal to the largest are kept with it.
- Which keys are kept is constant to the gradient.
"""

import math

import torch

from attncourse.mechanisms.content.threshold import threshold_attention as solution
from attncourse.mechanisms.content.threshold import (
    threshold_attention_by_definition as by_definition,
)
from attncourse.testing import (
    OTHER_SIZES,
    SIZES,
    assert_same,
    attention_inputs,
    gradients,
)

difficulty, minutes = 2, 15
hints = (
    "What happens to a query all of whose weights are below the threshold? Decide that before you "
    "write the rest.",
    "Each row has its own cut: the threshold, or its largest weight where that is smaller. Hide "
    "the scores of what lies below the cut with -inf, and take the softmax again.",
)
forbidden = ("threshold_attention",)


def check_drops_what_is_below(student):
    """weights below the threshold are dropped, and the others sum to one"""
    for sizes in (SIZES, OTHER_SIZES):
        q, k, v = attention_inputs(sizes=sizes, std=1.0, seed=10)
        for threshold in (0.01, 0.1, 0.2):
            ours = student(q, k, v, threshold=threshold)
            assert_same(ours, by_definition(q, k, v, threshold=threshold))


def check_keeps_the_largest(student):
    """where all weights are below the threshold the largest is kept, and its equals"""
    q, k, v = attention_inputs(sizes=OTHER_SIZES, std=1.0, seed=20)
    for threshold in (1.0, 30.0):
        assert_same(student(q, k, v, threshold=threshold), v[(q @ k.mT).argmax(dim=-1)])
    k = torch.tensor([[1.0], [3.0], [3.0], [2.0], [2.0]], dtype=torch.float64).expand(5, 3)
    q = torch.tensor([[0.0], [1.0], [-1.0]], dtype=torch.float64).expand(3, 3)
    v = 2 * torch.eye(5, dtype=torch.float64)
    assert_same(student(q, k, v, threshold=0.9), by_definition(q, k, v, threshold=0.9))


def check_keeps_all_at_zero(student):
    """a threshold of 0 is plain attention"""
    for sizes in (SIZES, OTHER_SIZES):
        q, k, v = attention_inputs(sizes=sizes, seed=30)
        weights = torch.softmax(q @ k.mT / math.sqrt(q.shape[-1]), dim=-1)
        assert_same(student(q, k, v, threshold=0.0), weights @ v)


def check_takes_leading_axes(student):
    """works for any batch and head axes, those of length one too, for one query and one key"""
    one_query, one_key = (1, 9, 3, 7), (11, 1, 3, 7)
    for lead, sizes in (((2, 3), SIZES), ((1,), OTHER_SIZES), ((4, 1), one_query), ((2,), one_key)):
        q, k, v = attention_inputs(*lead, sizes=sizes, seed=40)
        assert_same(student(q, k, v, threshold=0.05), by_definition(q, k, v, threshold=0.05))


def check_has_the_right_gradient(student):
    """the gradients of q, k and v are right, through the sum as well"""
    for sizes in (SIZES, OTHER_SIZES):
        q, k, v = attention_inputs(sizes=sizes, std=1.0, seed=50)
        expected = gradients(by_definition, q, k, v, threshold=0.08)
        ours = gradients(student, q, k, v, threshold=0.08)
        for name, a, b in zip("qkv", ours, expected, strict=True):
            assert_same(a, b, f"the gradient of {name}")


def check_survives_scores_far_from_zero(student):
    """scores far apart, or all thousands from zero, are weighed right"""
    q, k, v = attention_inputs(std=40.0, seed=60)
    assert_same(student(q, k, v, threshold=0.3), by_definition(q, k, v, threshold=0.3))
    for sign in (-1, 1):
        far = torch.full((5, 3), 900.0 * sign, dtype=torch.float64)
        keys = (9 + torch.arange(37.0, dtype=torch.float64)[:, None] / 900).expand(37, 3)
        assert_same(
            student(far, keys, v, threshold=0.1), by_definition(far, keys, v, threshold=0.1)
        )


def check_keeps_the_dtype(student):
    """float32 values give float32 outputs"""
    q, k, v = (x.float() for x in attention_inputs(std=1.0, seed=70))
    assert_same(student(q, k, v, threshold=0.05), by_definition(q, k, v, threshold=0.05))


def _scores(q, k):
    return q @ k.mT / math.sqrt(q.shape[-1])


def _largest(x):
    return x.amax(dim=-1, keepdim=True)


def _under(mask, scores, v):
    return scores.masked_fill(~mask, -math.inf).softmax(dim=-1) @ v


def _kept(p, threshold):
    return p >= _largest(p).clamp(max=threshold)


def wrong_rows_left_empty(q, k, v, *, threshold):
    """You dropped all weights of a query whose largest is below the threshold, and 0/0 is NaN. Keep
    the largest of each row, whatever the threshold says.
    """
    scores = _scores(q, k)
    return _under(scores.softmax(dim=-1) >= threshold, scores, v)


def wrong_empty_rows_give_zeros(q, k, v, *, threshold):
    """You give zeros where all weights of a query are below the threshold. Here its largest weight
    stays, so that each query has an output.
    """
    p = _scores(q, k).softmax(dim=-1)
    p = p * (p >= threshold)
    total = p.sum(dim=-1, keepdim=True)
    return p / total.masked_fill(total == 0, 1.0) @ v


def wrong_one_of_the_equal_largest(q, k, v, *, threshold):
    """Of several largest weights you keep the first alone. What equals the largest is kept with it:
    compare with `amax`, not with `argmax`.
    """
    scores = _scores(q, k)
    p = scores.softmax(dim=-1)
    mask = (p >= threshold).scatter(-1, p.argmax(dim=-1, keepdim=True), True)
    return _under(mask, scores, v)


def wrong_not_shared_out_again(q, k, v, *, threshold):
    """You dropped the small weights and left the others as they were, so that they sum to less than
    one. Divide them by their sum.
    """
    p = _scores(q, k).softmax(dim=-1)
    return (p * _kept(p, threshold)) @ v


def wrong_sum_without_gradient(q, k, v, *, threshold):
    """Your values are right, and the sum that you divide by is detached. It depends on q and k as
    well: only the choice is constant to the gradient.
    """
    p = _scores(q, k).softmax(dim=-1)
    p = p * _kept(p, threshold)
    return p / p.sum(dim=-1, keepdim=True).detach() @ v


def wrong_scores_compared(q, k, v, *, threshold):
    """You compared the scores with the threshold. It is one for weights: take the softmax before
    you compare.
    """
    scores = _scores(q, k)
    return _under(scores >= _largest(scores).clamp(max=threshold), scores, v)


def wrong_relative_to_the_largest(q, k, v, *, threshold):
    """You took the threshold as a share of the largest weight. It is a weight itself, the same for
    all rows.
    """
    scores = _scores(q, k)
    p = scores.softmax(dim=-1)
    return _under(p >= _largest(p) * min(threshold, 1.0), scores, v)


def wrong_largest_of_everything(q, k, v, *, threshold):
    """You took the largest weight of the whole matrix. Each query keeps its own largest: `amax`
    along the last axis.
    """
    scores = _scores(q, k)
    p = scores.softmax(dim=-1)
    mask = p >= p.amax().clamp(max=threshold)
    return torch.nan_to_num(_under(mask, scores, v))


def wrong_zero_in_place_of_minus_infinity(q, k, v, *, threshold):
    """You set the scores of the dropped keys to 0, which has a weight. Set them to -inf before you
    take the softmax again.
    """
    scores = _scores(q, k)
    return scores.masked_fill(~_kept(scores.softmax(dim=-1), threshold), 0.0).softmax(dim=-1) @ v


def wrong_softmax_of_weights(q, k, v, *, threshold):
    """You took a softmax of the weights that are left. They are positive already: divide by their
    sum, or take the softmax of their scores.
    """
    p = _scores(q, k).softmax(dim=-1)
    return _under(_kept(p, threshold), p, v)


def wrong_small_ones_kept(q, k, v, *, threshold):
    """You dropped the large weights and kept the small ones. Keep those from the threshold on."""
    scores = _scores(q, k)
    p = scores.softmax(dim=-1)
    return torch.nan_to_num(_under(~_kept(p, threshold), scores, v))


def wrong_softmax_over_queries(q, k, v, *, threshold):
    """Your softmax runs over the queries. The weights of one query sum to one: take it along the
    last axis.
    """
    scores = _scores(q, k)
    return _under(_kept(scores.softmax(dim=-2), threshold), scores, v)


def wrong_not_scaled(q, k, v, *, threshold):
    """You left out the scale. Divide the scores by the root of d before the softmax."""
    scores = q @ k.mT
    return _under(_kept(scores.softmax(dim=-1), threshold), scores, v)


def wrong_axes_of_length_one_dropped(q, k, v, *, threshold):
    """You squeezed the result and lost axes of length one. Keep the shape (..., n, e): squeeze no
    more than you unsqueezed.
    """
    scores = _scores(q, k)
    return _under(_kept(scores.softmax(dim=-1), threshold), scores, v).squeeze()


def right_by_dividing(q, k, v, *, threshold):
    """what is kept, divided by its sum"""
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    p = scores.softmax(dim=-1)
    cut = p.amax(dim=-1, keepdim=True).clamp(max=threshold)
    kept = p * (p >= cut)
    return kept / kept.sum(dim=-1, keepdim=True) @ v


def right_by_hiding_scores(q, k, v, *, threshold):
    """the scores of the others at -inf, and a second softmax"""
    scores = _scores(q, k)
    return _under(_kept(scores.softmax(dim=-1), threshold), scores, v)


def right_by_the_logsumexp(q, k, v, *, threshold):
    """the cut as a score: logarithm of the threshold plus the logsumexp of the row"""
    scores = _scores(q, k)
    cut = math.log(threshold) if threshold else -math.inf
    cut = (scores.logsumexp(dim=-1, keepdim=True) + cut).minimum(_largest(scores))
    return _under(scores >= cut, scores, v)


shown = right_by_dividing
