r"""# One projection for both sides

Project queries and keys by the same matrix, and attend:

$$\mathrm{out} = \mathrm{softmax}\!\left(\frac{(Q W)(K W)^\top}{\sqrt r}\right) V .$$

- `q` is (..., n, d), `k` is (..., m, d), `v` is (..., m, e), `w` is (d, r), one matrix for all
  texts; the result is (..., n, e), in the dtype of `v`.
- What is compared has r features: that is the width to scale by. Values are not projected.
- The scores of a text with itself, q = k, are symmetric: what *it* is to *trophy*, *trophy* is to
  *it*. The weights are not.
- Your `attention` may do the rest.
"""

import math

import torch

from attncourse.exercises import Borrow
from attncourse.exercises.scores_and_scaling import attention
from attncourse.mechanisms.sharing.shared import shared_attention as solution
from attncourse.testing import assert_same, attention_inputs, gaussian, gradients

difficulty, minutes = 2, 10
hints = (
    "How wide is a query after the projection? Write the shapes of q @ w and k @ w down before "
    "you divide by a root.",
    "Three lines: project both sides by w, attend with what came out, return. The values go in as "
    "they are.",
)
forbidden = attention.forbidden

SIZES = (5, 9, 8, 3, 6)  # n, m, d, r, e
OTHER_SIZES = (4, 6, 3, 7, 5)


def check_matches_the_definition(student):
    """equals the formula, for a matrix that narrows and one that widens"""
    for sizes in (SIZES, OTHER_SIZES):
        inputs = _inputs(sizes=sizes)
        assert_same(student(*inputs), _by_definition(*inputs))


def check_projects_both_sides_alike(student):
    """a square matrix is applied from the same side to queries and keys, and once to each"""
    inputs = _inputs(sizes=(5, 9, 8, 8, 8), seed=10)
    assert_same(student(*inputs), _by_definition(*inputs))
    q, k, v, w = inputs
    eye = torch.eye(8, dtype=w.dtype)
    assert_same(
        student(q, k, v, eye), attention.solution(q, k, v), "with w the identity the result"
    )


def check_minds_no_turn_of_the_features(student):
    """the projected features may be turned together: w and w times a rotation give the same"""
    q, k, v, w = _inputs(seed=20)
    turn = torch.linalg.qr(gaussian(3, 3, seed=25)).Q
    assert_same(student(q, k, v, w), _by_definition(q, k, v, w))
    assert_same(student(q, k, v, w @ turn), _by_definition(q, k, v, w), "with w turned the result")


def check_takes_leading_axes(student):
    """works for any batch and head axes, those of length one too, and for one query"""
    for lead, sizes in (((2, 3), SIZES), ((1,), OTHER_SIZES), ((4, 1), (1, 6, 5, 2, 3))):
        inputs = _inputs(*lead, sizes=sizes, seed=30)
        assert_same(student(*inputs), _by_definition(*inputs))


def check_survives_large_scores(student):
    """scores in the thousands do not overflow"""
    inputs = _inputs(std=60.0, seed=40)
    assert_same(student(*inputs), solution(*inputs))


def check_has_the_right_gradient(student):
    """the gradient of w is the sum of what comes from the queries and from the keys"""
    for sizes in (SIZES, OTHER_SIZES):
        inputs = _inputs(sizes=sizes, seed=50)
        ours, theirs = gradients(student, *inputs), gradients(_by_definition, *inputs)
        for name, a, b in zip(("q", "k", "v", "w"), ours, theirs, strict=True):
            assert_same(a, b, f"the gradient of {name}")


def check_keeps_the_dtype(student):
    """float32 values give float32 outputs"""
    inputs = [x.float() for x in _inputs(std=1.0, seed=60)]
    assert_same(student(*inputs), solution(*(x.double() for x in inputs)).float())


def _inputs(*lead, sizes=SIZES, std=2.0, seed=0):
    """Queries (..., n, d), keys (..., m, d), values (..., m, e) and one matrix (d, r)."""
    n, m, d, r, e = sizes
    q, k, v = attention_inputs(*lead, sizes=(n, m, d, e), std=std, seed=seed)
    return q, k, v, gaussian(d, r, std=1.0 / math.sqrt(d), seed=seed + 3)


def _by_definition(q, k, v, w):
    scores = torch.einsum("...nd,dr,er,...me->...nm", q, w, w, k) / math.sqrt(w.shape[-1])
    return torch.softmax(scores, dim=-1) @ v


def _attend(q, k, v, *, width):
    """Attention with the scale of another width."""
    return torch.softmax(q @ k.mT / math.sqrt(width), dim=-1) @ v


def wrong_scaled_by_the_width_before(q, k, v, w):
    """You divided by the root of d, the width before the projection. The dot product is over the r
    features that come out of it: divide by the root of r.
    """
    return _attend(q @ w, k @ w, v, width=w.shape[0])


def wrong_queries_alone_projected(q, k, v, w):
    """You projected the queries and not the keys, which runs for a square matrix only. Shared means
    both sides: k @ w, too.
    """
    return _attend(q @ w, k, v, width=w.shape[-1])


def wrong_keys_alone_projected(q, k, v, w):
    """You projected the keys and not the queries, which runs for a square matrix only. Shared means
    both sides: q @ w, too.
    """
    return _attend(q, k @ w, v, width=w.shape[-1])


def wrong_keys_by_the_transpose(q, k, v, w):
    """You turned the matrix round for the keys. Both sides go through the same `w` in the same way:
    then what one is to the other, the other is to the one.
    """
    return _attend(q @ w, k @ w.mT, v, width=w.shape[-1])


def wrong_matrix_twice(q, k, v, w):
    """You put the matrix w w^T on both sides, so that each is projected and taken back before they
    are compared. Compare q @ w with k @ w: the product brings w w^T between them by itself.
    """
    both = w @ w.mT
    return _attend(q @ both, k @ both, v, width=w.shape[-1])


def wrong_values_projected(q, k, v, w):
    """You projected the values as well, which runs where they are as wide as the keys. What is
    shared is the matching: values are averaged as they are.
    """
    out = _attend(q @ w, k @ w, v @ w if v.shape[-1] == w.shape[0] else v, width=w.shape[-1])
    return out if v.shape[-1] != w.shape[0] else out @ torch.linalg.pinv(w) @ w @ w.mT


def wrong_values_from_the_keys(q, k, v, w):
    """You averaged the projected keys. The weights are right; what they average are the values,
    `v`.
    """
    return torch.softmax((q @ w) @ (k @ w).mT / math.sqrt(w.shape[-1]), dim=-1) @ (k @ w)


def wrong_weights_by_the_matrix_alone(q, k, v, w):
    """Your weights come from q @ w alone: the keys never enter, and the width of `w` would have to
    be the number of keys. Compare the projected queries with the projected keys.
    """
    weights = torch.softmax(q @ w, dim=-1)
    if w.shape[-1] == v.shape[-2]:
        return weights @ v
    places = torch.arange(v.shape[-2]) % w.shape[-1]
    weights = weights[..., places]
    return weights / weights.sum(dim=-1, keepdim=True) @ v


def _projected(attention):
    """The learner's attention of what one matrix made of both sides."""

    def shared_attention(q, k, v, w):
        return attention(q @ w, k @ w, v)

    return shared_attention


def _left_out(attention):
    """An attention of queries and keys as they come."""

    def shared_attention(q, k, v, w):
        return attention(q, k, v)

    return shared_attention


def wrong_matrix_ignored(q, k, v, w):
    """You compared queries and keys as they came: your result does not change with `w`. Project
    both by it first.
    """
    return attention.solution(q, k, v)


borrowed = (
    Borrow(
        attention,
        _projected,
        (
            "wrong_no_scale",
            "wrong_scale_by_d",
            "wrong_scaled_after_softmax",
            "wrong_softmax_over_the_matrix",
            "wrong_uniform_average",
            "wrong_transpose_of_all_axes",
            "wrong_float64_returned",
        ),
    ),
)


def right_by_two_projections(q, k, v, w):
    """each side projected, then the scores of what came out"""
    projected_q, projected_k = q @ w, k @ w
    scores = projected_q @ projected_k.transpose(-2, -1) / math.sqrt(w.shape[-1])
    return scores.softmax(dim=-1) @ v


def right_by_the_matrix_between(q, k, v, w):
    """one symmetric matrix w w^T between queries and keys"""
    scores = q @ (w @ w.mT / math.sqrt(w.shape[-1])) @ k.mT
    return torch.softmax(scores, dim=-1) @ v


def right_by_projecting_all_at_once(q, k, v, w):
    """queries and keys one below the other, projected together"""
    both = torch.cat([q, k], dim=-2) @ (w * w.shape[-1] ** -0.25)
    n = q.shape[-2]
    return torch.softmax(both[..., :n, :] @ both[..., n:, :].mT, dim=-1) @ v


shown = right_by_two_projections
