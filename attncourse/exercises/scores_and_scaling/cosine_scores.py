r"""# Cosine scores

Score every query against every key by the cosine of the angle between them,

$$s_{ij} = \frac{q_i \cdot k_j}{\lVert q_i \rVert \, \lVert k_j \rVert} .$$

- `q` is (..., n, d), `k` is (..., m, d); the result is (..., n, m), between -1 and 1, in the
  dtype of the inputs. The leading axes are shared.
- Only directions count: a vector may be a million times longer or shorter, and its scores stay.
- A zero vector has no direction. It scores 0 with everything, and its gradient is finite.
"""

import math

import torch

from attncourse.mechanisms.dense.cosine import cosine_scores as solution
from attncourse.mechanisms.dense.cosine import cosine_scores_by_definition
from attncourse.testing import (
    OTHER_SIZES,
    SIZES,
    assert_same,
    assert_that,
    attention_inputs,
    gradients,
    levels,
)

difficulty, minutes = 2, 15
hints = (
    "Give every query and every key length one, each by itself. What is left of the formula then?",
    "Divide by the norm along the last axis (`keepdim=True`), and by 1 where the norm is 0. Put "
    "that 1 in *before* you divide: a NaN hidden by `torch.where` comes back in the gradient.",
)
forbidden = ("cosine_similarity",)


def check_matches_the_definition(student):
    """equals the loop over pairs of a query and a key"""
    for sizes in (SIZES, OTHER_SIZES):
        q, k = _inputs(sizes=sizes)
        assert_same(student(q, k), cosine_scores_by_definition(q, k))


def check_takes_leading_axes(student):
    """works for any batch and head axes, those of length one too"""
    one_query, one_key = (1, 9, 3, 7), (11, 1, 3, 7)
    for lead, sizes in (((2, 3), SIZES), ((1,), SIZES), ((4, 1), one_query), ((2,), one_key)):
        q, k = _inputs(*lead, sizes=sizes, std=100.0, seed=10)
        assert_same(student(q, k), solution(q, k))


def check_counts_directions_only(student):
    """very short and very long vectors score like any others"""
    q, k = _inputs(std=1.0, seed=20)
    expected = solution(q, k)
    for factor in (1e-6, 1e6):
        assert_same(student(factor * q, k), expected, f"the score of queries x {factor}")
        assert_same(student(factor * q, factor * k), expected, f"the score of both x {factor}")
    lengths = levels(37, 1e-6, 1.0, 1e6)[:, None]
    assert_same(student(q, lengths * k), expected, "the score of keys of very unequal lengths")


def check_runs_from_minus_one_to_one(student):
    """a vector scores 1 with itself and -1 with its opposite, and nothing lies beyond"""
    q, _ = _inputs(seed=30)
    scores = student(q, torch.cat([q, -2 * q]))
    ones = torch.ones(5, dtype=q.dtype)
    assert_same(scores.diagonal(), ones, "the score of a vector with itself")
    assert_same(scores[:, 5:].diagonal(), -ones, "the score of a vector with its opposite")
    assert_that(scores.abs().max() < 1 + 1e-9, "a cosine lies between -1 and 1; yours does not.")


def check_gives_zero_for_a_zero_vector(student):
    """a zero vector scores 0 with everything, with a finite gradient"""
    q, k = _inputs(seed=40)
    q[2], k[[0, 36]] = 0.0, 0.0
    assert_same(student(q, k), solution(q, k))
    ours, theirs = gradients(student, q, k), gradients(solution, q, k)
    for name, x, a, b in zip("qk", (q, k), ours, theirs, strict=True):
        assert_that(a.isfinite().all(), f"the gradient of {name} is not finite.")
        others = x.any(dim=-1)
        assert_same(a[others], b[others], f"the gradient of the other rows of {name}")


def check_has_the_right_gradient(student):
    """the gradients of q and k are right, those of short vectors too"""
    for sizes, std in ((SIZES, 2.0), (OTHER_SIZES, 2.0), (SIZES, 1e-5)):
        inputs = _inputs(sizes=sizes, std=std, seed=50)
        ours, theirs = gradients(student, *inputs), gradients(solution, *inputs)
        for name, a, b in zip("qk", ours, theirs, strict=True):
            assert_same(a, b, f"the gradient of {name}")


def check_keeps_the_dtype(student):
    """float32 inputs give float32 scores"""
    q, k = (x.float() for x in _inputs(sizes=OTHER_SIZES, seed=60))
    assert_same(student(q, k), solution(q.double(), k.double()).float())


def _inputs(*lead, sizes=SIZES, std=2.0, seed=0):
    """Queries (..., n, d) and keys (..., m, d)."""
    return attention_inputs(*lead, sizes=sizes, std=std, seed=seed)[:2]


def _norm(x):
    """The length of each vector, 1 where it is zero, with its axis kept."""
    norm = x.norm(dim=-1, keepdim=True)
    return norm.masked_fill(norm == 0, 1.0)


def _cosine(q, k):
    return (q / _norm(q)) @ (k / _norm(k)).mT


def wrong_not_normalised(q, k):
    """You returned plain dot products. Divide each by the lengths of its two vectors."""
    return q @ k.mT


def wrong_only_queries_normalised(q, k):
    """You gave the queries length one, but not the keys, so a long key still scores more. Divide by
    both lengths.
    """
    return (q / _norm(q)) @ k.mT


def wrong_only_keys_normalised(q, k):
    """You gave the keys length one, but not the queries, so a long query still scores more. Divide
    by both lengths.
    """
    return q @ (k / _norm(k)).mT


def wrong_squared_lengths(q, k):
    """You divided by the squared lengths. Take the root of the sum of squares."""
    return (q / _norm(q).square()) @ (k / _norm(k).square()).mT


def wrong_sum_of_absolute_entries(q, k):
    """You divided by the sum of absolute entries. The length of a vector is the root of its sum of
    squares.
    """
    one_norms = [x.abs().sum(dim=-1, keepdim=True) for x in (q, k)]
    q_unit, k_unit = (
        x / norm.masked_fill(norm == 0, 1.0) for x, norm in zip((q, k), one_norms, strict=True)
    )
    return q_unit @ k_unit.mT


def wrong_length_of_the_whole_matrix(q, k):
    """You divided by one norm for all vectors together. Every vector has its own length: take the
    norm along the last axis.
    """
    return (q / q.norm()) @ (k / k.norm()).mT


def wrong_norm_over_the_positions(q, k):
    """You took the norm over the positions, so that each feature is normalised. The length of a
    vector is taken along its features, the last axis.
    """
    return (q / q.norm(dim=-2, keepdim=True)) @ (k / k.norm(dim=-2, keepdim=True)).mT


def wrong_norm_without_keepdim(q, k):
    """Your norm lost its axis, so it does not line up with the vectors. Pass `keepdim=True`."""
    return (q / q.norm(dim=-1)) @ (k / k.norm(dim=-1)).mT


def wrong_nan_for_zero_vectors(q, k):
    """You divided by the length even where it is zero, and 0/0 is NaN. Divide by one there: a zero
    vector then scores 0.
    """
    return (q / q.norm(dim=-1, keepdim=True)) @ (k / k.norm(dim=-1, keepdim=True)).mT


def wrong_nan_in_the_gradient(q, k):
    """Your scores are right, but you replaced the NaN of a zero vector after the division, and its
    gradient is still NaN. Replace the zero length before you divide.
    """
    return _nan_replaced(q) @ _nan_replaced(k).mT


def _nan_replaced(x):
    norm = x.norm(dim=-1, keepdim=True)
    return torch.where(norm == 0, 0.0, x / norm)


def wrong_nan_in_every_gradient(q, k):
    """Your scores are right, but you replaced the NaN of zero vectors after dividing by the product
    of the lengths, and in the gradient it reaches every vector. Replace the zero lengths before you
    divide.
    """
    lengths = q.norm(dim=-1, keepdim=True) * k.norm(dim=-1)[..., None, :]
    return torch.where(lengths == 0, 0.0, q @ k.mT / lengths)


def wrong_small_number_added(q, k):
    """You added a small number to the lengths, and it spoils the scores of short vectors. Treat the
    length that is exactly zero as a case of its own.
    """
    norms = [x.norm(dim=-1, keepdim=True) + 1e-8 for x in (q, k)]
    return (q / norms[0]) @ (k / norms[1]).mT


def wrong_small_number_added_to_the_product(q, k):
    """You added a small number to the product of the lengths, and short vectors lose their score.
    Treat the length that is exactly zero as a case of its own.
    """
    return q @ k.mT / (q.norm(dim=-1, keepdim=True) * k.norm(dim=-1)[..., None, :] + 1e-8)


def wrong_product_of_lengths_clamped(q, k):
    """You put a lower bound under the product of the lengths, and short vectors fall below it.
    Divide each vector by its own length, with the zero vector as the only exception.
    """
    lengths = q.norm(dim=-1, keepdim=True) * k.norm(dim=-1)[..., None, :]
    return q @ k.mT / lengths.clamp(min=1e-8)


def wrong_scaled(q, k):
    """You also divided by the square root of d. A cosine is between -1 and 1 already: it needs no
    scale.
    """
    return _cosine(q, k) / math.sqrt(q.shape[-1])


def wrong_scaled_instead(q, k):
    """You divided by the square root of d instead of the lengths. That is the scaled dot product:
    it still depends on how long the vectors are.
    """
    return q @ k.mT / math.sqrt(q.shape[-1])


def wrong_absolute(q, k):
    """You dropped the sign. Opposite vectors score -1, not 1."""
    return _cosine(q, k).abs()


def wrong_softmax_taken(q, k):
    """You returned weights. A score is what goes into the softmax: return the cosine as it is."""
    return torch.softmax(_cosine(q, k), dim=-1)


def wrong_distance(q, k):
    """You returned one minus the cosine, which is a distance. A score is high where vectors agree:
    return the cosine.
    """
    return 1 - _cosine(q, k)


def wrong_angle(q, k):
    """You returned the angle. The score is its cosine: leave out the arccosine."""
    return _cosine(q, k).clamp(-1.0, 1.0).acos()


def wrong_correlation(q, k):
    """You subtracted the mean of each vector first, which gives the correlation. A cosine uses the
    vectors as they are.
    """
    return _cosine(q - q.mean(dim=-1, keepdim=True), k - k.mean(dim=-1, keepdim=True))


def wrong_scores_transposed(q, k):
    """Your result has a row for each key. Rows belong to queries, columns to keys: (..., n, m)."""
    return _cosine(k, q)


def right_by_normalize(q, k):
    """the library's function for vectors of length one"""
    normalize = torch.nn.functional.normalize
    return normalize(q, dim=-1) @ normalize(k, dim=-1).mT


def right_by_dividing_the_scores(q, k):
    """divides the dot products by the outer product of the lengths"""
    return torch.einsum("...nd,...md->...nm", q, k) / _norm(q) / _norm(k).mT


def right_by_one_key_at_a_time(q, k):
    """a loop over the keys, with roots of sums of squares"""
    columns = []
    for key in k.unbind(dim=-2):
        squares = key.square().sum(dim=-1, keepdim=True)[..., None]
        safe = torch.where(squares == 0, 1.0, squares)
        columns.append((q / _norm(q) * key[..., None, :]).sum(dim=-1, keepdim=True) * safe.rsqrt())
    return torch.cat(columns, dim=-1)
