r"""# Bilinear scores

Score every query against every key through a learned matrix, the "general" score of Luong et al.:

$$s_{ij} = q_i^\top W \, k_j .$$

- `q` is (..., n, d_q), `k` is (..., m, d_k) and `w` is (d_q, d_k); the result is (..., n, m). The
  widths of queries and keys may differ; the leading axes are shared by `q` and `k`.
- These are scores: no scale and no softmax. They have the dtype of the inputs.
- No intermediate result may be larger than the scores need: no tensor with an entry for each
  query, key *and* feature.
"""

import math

import torch

from attncourse.measure.cost import largest_tensor
from attncourse.mechanisms.dense.bilinear import bilinear_scores as solution
from attncourse.mechanisms.dense.bilinear import bilinear_scores_by_definition
from attncourse.testing import OTHER_SIZES, SIZES, assert_same, assert_that, gaussian, gradients

difficulty, minutes = 2, 10
hints = (
    "Write the formula with all queries as rows of a matrix Q and all keys as rows of K. Which of "
    "the two has to be transposed?",
    "Two matrix products: bring the queries to the width of the keys first, then compare. "
    "`k.mT` swaps the last two axes whatever stands in front of them.",
)


def check_matches_the_definition(student):
    """equals the double sum over the features, for widths that differ"""
    for sizes in (SIZES, OTHER_SIZES):
        q, k, w = _inputs(sizes=sizes)
        assert_same(student(q, k, w), bilinear_scores_by_definition(q, k, w))


def check_takes_leading_axes(student):
    """works for any batch and head axes, those of length one too, with one matrix for all"""
    one_query, one_key = (1, 9, 3, 7), (11, 1, 3, 7)
    for lead, sizes in (((2, 3), SIZES), ((1,), SIZES), ((4, 1), one_query), ((2,), one_key)):
        inputs = _inputs(*lead, sizes=sizes, seed=10)
        assert_same(student(*inputs), solution(*inputs))


def check_keeps_the_order_of_a_square_matrix(student):
    """a square matrix: its rows belong to the queries, its columns to the keys"""
    q, k, w = _inputs(sizes=(5, 37, 8, 8), seed=20)
    assert_same(student(q, k, w), solution(q, k, w))


def check_gives_dot_products_for_the_identity(student):
    """with w the identity the scores are dot products, large ones too"""
    q, k, _ = _inputs(sizes=(5, 37, 8, 8), std=100.0, seed=30)
    assert_same(student(q, k, torch.eye(8, dtype=q.dtype)), q @ k.mT)


def check_has_the_right_gradient(student):
    """the gradients of q, k and w are right"""
    for sizes in (SIZES, OTHER_SIZES):
        inputs = _inputs(sizes=sizes, seed=40)
        ours, theirs = gradients(student, *inputs), gradients(solution, *inputs)
        for name, a, b in zip(("q", "k", "w"), ours, theirs, strict=True):
            assert_same(a, b, f"the gradient of {name}")


def check_keeps_the_dtype(student):
    """float32 inputs give float32 scores"""
    inputs = [x.float() for x in _inputs(sizes=OTHER_SIZES, std=0.5, seed=60)]
    assert_same(student(*inputs), solution(*(x.double() for x in inputs)).float())


def check_needs_no_large_tensor(student):
    """the largest tensor holds one number for each pair, whatever the widths"""
    for n, m in ((20, 30), (40, 60)):
        q, k, w = _inputs(sizes=(n, m, 8, 6), seed=50)
        assert_same(student(q, k, w), solution(q, k, w))  # a wrong answer may well be cheap
        largest = largest_tensor(student, q, k, w)
        assert_that(
            largest <= 2 * n * m,
            f"for {n} queries and {m} keys your largest tensor holds {largest} numbers; the "
            f"scores are {n * m}, and nothing needs to be larger.",
        )


def _inputs(*lead, sizes=SIZES, std=2.0, seed=0):
    """Queries (..., n, d_q), keys (..., m, d_k) and a matrix (d_q, d_k) of sizes n, m, d_q, d_k."""
    n, m, d_q, d_k = sizes
    return (
        gaussian(*lead, n, d_q, std=std, seed=seed),
        gaussian(*lead, m, d_k, std=std, seed=seed + 1),
        gaussian(d_q, d_k, std=1.0, seed=seed + 2),
    )


def wrong_matrix_ignored(q, k, w):
    """You compared queries and keys directly, without the matrix. Multiply the queries by `w`
    first: that also brings them to the width of the keys.
    """
    return q @ k.mT


def wrong_matrix_transposed(q, k, w):
    """You used the matrix the wrong way round. The rows of `w` belong to the queries: `q @ w`, not
    `q @ w.mT`.
    """
    return q @ w.mT @ k.mT


def wrong_matrix_on_both_sides(q, k, w):
    """You multiplied both queries and keys by the matrix. One matrix stands between them, so apply
    it once.
    """
    return (q @ w) @ (k @ w).mT


def wrong_matrix_made_symmetric(q, k, w):
    """You made the matrix symmetric. A bilinear score may treat queries and keys differently: use
    `w` as it is.
    """
    return q @ ((w + w.mT) / 2) @ k.mT


def wrong_scaled(q, k, w):
    """You divided by the square root of the keys' width. These scores are not scaled: what scale
    they need, the matrix can learn.
    """
    return q @ w @ k.mT / math.sqrt(k.shape[-1])


def wrong_scaled_by_the_query_width(q, k, w):
    """You divided by the square root of the queries' width. These scores are not scaled: what scale
    they need, the matrix can learn.
    """
    return q @ w @ k.mT / math.sqrt(q.shape[-1])


def wrong_softmax_taken(q, k, w):
    """You returned weights. A score is what goes into the softmax: return it as it is."""
    return torch.softmax(q @ w @ k.mT, dim=-1)


def wrong_tanh(q, k, w):
    """You put the scores through tanh. That belongs to additive scores; a bilinear score has no
    nonlinearity.
    """
    return torch.tanh(q @ w @ k.mT)


def wrong_cosine(q, k, w):
    """You divided by the lengths of the vectors. A bilinear score keeps them."""
    normalize = torch.nn.functional.normalize
    return normalize(q @ w, dim=-1) @ normalize(k, dim=-1).mT


def wrong_keys_missing(q, k, w):
    """You stopped at the projected queries: your result does not depend on the keys. Multiply by
    the transposed keys.
    """
    return q @ w


def wrong_scores_transposed(q, k, w):
    """Your result has a row for each key. Rows belong to queries, columns to keys: (..., n, m)."""
    return k @ w.mT @ q.mT


def wrong_transpose_of_all_axes(q, k, w):
    """You transposed the keys with `.T`, which reverses all axes, the batch included. Use `.mT`,
    which swaps the last two.
    """
    return q @ w @ k.permute(*reversed(range(k.ndim)))


def wrong_product_of_all_pairs(q, k, w):
    """You paired every query with every key feature by feature before summing. The scores are
    right, but that tensor is d_k times as large as they are: let a matrix product do the sum.
    """
    return ((q @ w)[..., :, None, :] * k[..., None, :, :]).sum(dim=-1)


def wrong_double_sum_over_all_pairs(q, k, w):
    """You multiplied every pair of a query's and a key's features with the matrix before summing.
    The scores are right, but that tensor is d_q d_k times as large as they are: use two matrix
    products.
    """
    return (q[..., :, None, :, None] * k[..., None, :, None, :] * w).sum(dim=(-2, -1))


def right_by_projecting_the_keys(q, k, w):
    """brings the keys to the width of the queries instead"""
    return q @ (k @ w.mT).mT


def right_by_einsum(q, k, w):
    """einsum in two steps"""
    projected = torch.einsum("...na,ab->...nb", q, w)
    return torch.einsum("...nb,...mb->...nm", projected, k)


def right_by_one_query_at_a_time(q, k, w):
    """a loop over the queries"""
    rows = [(k @ (w.mT @ query[..., None])).squeeze(-1) for query in q.unbind(dim=-2)]
    return torch.stack(rows, dim=-2)
