r"""# Additive scores

Score every query against every key by a small network, as Bahdanau et al. did:

$$s_{ij} = u \cdot \tanh\!\left(q_i W_q + k_j W_k\right) .$$

- `q` is (..., n, d_q), `k` is (..., m, d_k); `w_q` is (d_q, r), `w_k` is (d_k, r) and `u` is (r,).
  The result is (..., n, m). The widths of queries and keys may differ; the leading axes are shared
  by `q` and `k`.
- These are scores: no scale and no softmax. They have the dtype of the inputs, and they and their
  gradients are right for inputs of any size.
- Project every query and every key once, not once for each pair.
"""

import math

import torch

from attncourse.measure.cost import flops
from attncourse.mechanisms.dense.additive import additive_scores as solution
from attncourse.mechanisms.dense.additive import additive_scores_by_definition
from attncourse.testing import OTHER_SIZES, SIZES, assert_same, assert_that, gaussian, gradients

difficulty, minutes = 2, 20
hints = (
    "Project first: queries to (..., n, r), keys to (..., m, r). Every pair then needs the sum of "
    "two vectors of length r; broadcasting makes all of them at once.",
    "`[..., :, None, :]` gives the projected queries an axis for the keys, `[..., None, :, :]` the "
    "projected keys one for the queries. A matrix times the vector `u` removes the last axis.",
)


def check_matches_the_definition(student):
    """equals the loop over pairs, for widths that differ"""
    for sizes in (SIZES, OTHER_SIZES):
        inputs = _inputs(sizes=sizes)
        assert_same(student(*inputs), additive_scores_by_definition(*inputs))


def check_takes_leading_axes(student):
    """works for any batch and head axes, those of length one too, with one network for all"""
    one_query, one_key = (1, 9, 3, 7), (11, 1, 3, 7)
    for lead, sizes in (((2, 3), SIZES), ((1,), SIZES), ((4, 1), one_query), ((2,), one_key)):
        inputs = _inputs(*lead, sizes=sizes, seed=10)
        assert_same(student(*inputs), solution(*inputs))


def check_uses_a_projection_for_each_side(student):
    """queries and keys of one width still have a matrix each"""
    inputs = _inputs(sizes=(5, 37, 8, 8), seed=20)
    assert_same(student(*inputs), solution(*inputs))


def check_saturates(student):
    """inputs in the thousands: tanh bounds every score by the sum of |u|"""
    inputs = _inputs(std=5000.0, seed=30)
    scores = student(*inputs)
    bound = inputs[-1].abs().sum()
    assert_that(
        not (scores.abs() > bound * (1 + 1e-9)).any(),
        "tanh lies between -1 and 1, so no score can exceed the sum of |u|; one of yours does.",
    )
    assert_same(scores, solution(*inputs))


def check_has_the_right_gradient(student):
    """the gradients of q, k, w_q, w_k and u are right, those of large inputs too"""
    for sizes, std in ((SIZES, 2.0), (OTHER_SIZES, 2.0), (OTHER_SIZES, 5000.0)):
        inputs = _inputs(sizes=sizes, std=std, seed=40)
        ours, theirs = gradients(student, *inputs), gradients(solution, *inputs)
        for name, a, b in zip(("q", "k", "w_q", "w_k", "u"), ours, theirs, strict=True):
            assert_same(a, b, f"the gradient of {name}")


def check_keeps_the_dtype(student):
    """float32 inputs give float32 scores"""
    inputs = [x.float() for x in _inputs(sizes=OTHER_SIZES, std=1.0, seed=60)]
    assert_same(student(*inputs), solution(*(x.double() for x in inputs)).float())


def check_projects_once(student):
    """every query and key is projected once: FLOPs counted at two lengths"""
    for n, m in ((20, 30), (40, 60)):
        q, k, w_q, w_k, u = _inputs(sizes=(n, m, 8, 6), seed=50)
        # a wrong answer may well be cheap
        assert_same(student(q, k, w_q, w_k, u), solution(q, k, w_q, w_k, u))
        counted = flops(student, q, k, w_q, w_k, u)
        enough = 2 * (n * w_q.numel() + m * w_k.numel() + n * m * len(u))
        assert_that(
            counted <= enough,
            f"for {n} queries and {m} keys your matrix products take {counted} FLOPs; {enough} "
            "suffice when each query and each key is projected once.",
        )


def _inputs(*lead, sizes=SIZES, std=2.0, seed=0):
    """Queries (..., n, d_q), keys (..., m, d_k), matrices to r units and u, of n, m, d_q, d_k."""
    n, m, d_q, d_k = sizes
    r = d_q + 2
    return (
        gaussian(*lead, n, d_q, std=std, seed=seed),
        gaussian(*lead, m, d_k, std=std, seed=seed + 1),
        gaussian(d_q, r, std=0.3, seed=seed + 2),
        gaussian(d_k, r, std=0.3, seed=seed + 3),
        gaussian(r, std=1.0, seed=seed + 4),
    )


def _hidden(q, k, w_q, w_k):
    """The sums of projected queries and keys, (..., n, m, r)."""
    return (q @ w_q)[..., :, None, :] + (k @ w_k)[..., None, :, :]


def wrong_no_tanh(q, k, w_q, w_k, u):
    """You left out the tanh. Without it a score is one number for the query plus one for the key,
    and the softmax over the keys cancels the query.
    """
    return _hidden(q, k, w_q, w_k) @ u


def wrong_tanh_outside(q, k, w_q, w_k, u):
    """You took tanh of the score. It belongs to the hidden units, before `u` sums them up."""
    return (_hidden(q, k, w_q, w_k) @ u).tanh()


def wrong_tanh_of_each_side(q, k, w_q, w_k, u):
    """You took tanh of the query's and of the key's projection separately. Add the two first: only
    then does the score depend on the pair.
    """
    return ((q @ w_q).tanh() @ u)[..., :, None] + ((k @ w_k).tanh() @ u)[..., None, :]


def wrong_tanh_by_exponentials(q, k, w_q, w_k, u):
    """You wrote tanh as a quotient of exponentials, which overflow for large inputs: inf/inf is
    NaN. Call `tanh`, which is exact there.
    """
    up, down = _hidden(q, k, w_q, w_k).exp(), (-_hidden(q, k, w_q, w_k)).exp()
    return (up - down) / (up + down) @ u


def wrong_relu(q, k, w_q, w_k, u):
    """You used relu for the hidden units. The additive score uses tanh."""
    return _hidden(q, k, w_q, w_k).relu() @ u


def wrong_sigmoid(q, k, w_q, w_k, u):
    """You used the sigmoid for the hidden units. The additive score uses tanh."""
    return _hidden(q, k, w_q, w_k).sigmoid() @ u


def wrong_query_matrix_for_both(q, k, w_q, w_k, u):
    """You projected the keys with the matrix of the queries. Each side has its own: `k @ w_k`."""
    return _hidden(q, k, w_q, w_q).tanh() @ u


def wrong_key_matrix_for_both(q, k, w_q, w_k, u):
    """You projected the queries with the matrix of the keys. Each side has its own: `q @ w_q`."""
    return _hidden(q, k, w_k, w_k).tanh() @ u


def wrong_matrices_exchanged(q, k, w_q, w_k, u):
    """You exchanged the two matrices. `w_q` is for the queries, `w_k` for the keys."""
    return _hidden(q, k, w_k, w_q).tanh() @ u


def wrong_matrices_transposed(q, k, w_q, w_k, u):
    """You multiplied by the transposed matrices. Here a matrix has the shape (d, r) and is applied
    as it stands: `q @ w_q`.
    """
    return _hidden(q, k, w_q.mT, w_k.mT).tanh() @ u


def wrong_u_forgotten(q, k, w_q, w_k, u):
    """You summed the hidden units without `u`. It weighs them: take the product with `u` along the
    last axis.
    """
    return _hidden(q, k, w_q, w_k).tanh().sum(dim=-1)


def wrong_hidden_returned(q, k, w_q, w_k, u):
    """You returned the r hidden units of each pair. The product with `u` makes one score of
    them.
    """
    return _hidden(q, k, w_q, w_k).tanh()


def wrong_weighted_hidden_returned(q, k, w_q, w_k, u):
    """You multiplied the hidden units by `u`, entry by entry, and kept them apart. Sum over the
    last axis.
    """
    return _hidden(q, k, w_q, w_k).tanh() * u


def wrong_product_instead_of_sum(q, k, w_q, w_k, u):
    """You multiplied the projections of query and key. Additive means that they are added."""
    return ((q @ w_q)[..., :, None, :] * (k @ w_k)[..., None, :, :]).tanh() @ u


def wrong_difference_instead_of_sum(q, k, w_q, w_k, u):
    """You subtracted the key's projection from the query's. The two are added."""
    return _hidden(q, -k, w_q, w_k).tanh() @ u


def wrong_scaled(q, k, w_q, w_k, u):
    """You divided by a square root. Additive scores are not scaled: tanh bounds them already."""
    return _hidden(q, k, w_q, w_k).tanh() @ u / math.sqrt(len(u))


def wrong_softmax_taken(q, k, w_q, w_k, u):
    """You returned weights. A score is what goes into the softmax: return it as it is."""
    return torch.softmax(_hidden(q, k, w_q, w_k).tanh() @ u, dim=-1)


def wrong_scores_transposed(q, k, w_q, w_k, u):
    """Your result has a row for each key. Rows belong to queries, columns to keys: (..., n, m)."""
    return _hidden(k, q, w_k, w_q).tanh() @ u


def wrong_position_by_position(q, k, w_q, w_k, u):
    """You added query i to key i only. Every query meets every key: give the queries an axis for
    the keys, and the keys one for the queries.
    """
    return (q @ w_q + k @ w_k).tanh() @ u


def wrong_axes_for_one_batch_less(q, k, w_q, w_k, u):
    """You put the new axes at fixed places from the left, which is right without leading axes only.
    Count from the right: `[..., :, None, :]`.
    """
    return ((q @ w_q)[:, None] + (k @ w_k)[None]).tanh() @ u


def wrong_projections_for_each_pair(q, k, w_q, w_k, u):
    """Your scores are right, but you project every key again for every query. A projection depends
    on one side only: project queries and keys once, then combine.
    """
    n, m = q.shape[-2], k.shape[-2]
    queries = q[..., :, None, :].expand(*q.shape[:-1], m, -1)
    keys = k[..., None, :, :].expand(*k.shape[:-2], n, m, -1)
    return (torch.cat([queries, keys], dim=-1) @ torch.cat([w_q, w_k])).tanh() @ u


def wrong_keys_projected_in_the_loop(q, k, w_q, w_k, u):
    """Your scores are right, but your loop over the queries projects the same keys each time. A
    projection depends on one side only: take `k @ w_k` out of the loop.
    """
    rows = [(query[..., None, :] @ w_q + k @ w_k).tanh() @ u for query in q.unbind(dim=-2)]
    return torch.stack(rows, dim=-2)


def right_by_one_query_at_a_time(q, k, w_q, w_k, u):
    """a loop over the queries; the keys are projected before it"""
    keys, queries = k @ w_k, q @ w_q
    rows = [((query[..., None, :] + keys).tanh() * u).sum(dim=-1) for query in queries.unbind(-2)]
    return torch.stack(rows, dim=-2)


def right_by_hidden_unit(q, k, w_q, w_k, u):
    """sums over the hidden units, one matrix of pairs at a time"""
    queries, keys = q @ w_q, k @ w_k
    return sum(
        weight * torch.tanh(queries[..., i, None] + keys[..., None, :, i])
        for i, weight in enumerate(u)
    )


def right_by_exponentials(q, k, w_q, w_k, u):
    """tanh written as a sigmoid, and einsum for the last sum"""
    hidden = 2 * torch.sigmoid(2 * _hidden(q, k, w_q, w_k)) - 1
    return torch.einsum("...r,r->...", hidden, u)
