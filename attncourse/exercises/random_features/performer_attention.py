r"""# Attention from random features

Weigh by random features of the exponential, and compute it without any (n, m) matrix:

$$o_i = \frac{\sum_j \left(\phi(q_i) \cdot \phi(k_j)\right) v_j}{\sum_j \phi(q_i) \cdot \phi(k_j)},
\qquad \phi(x)_l = \exp\left(w_l \cdot y - \frac{|y|^2}{2}\right), \quad y = \frac{x}{d^{1/4}} .$$

- `q` is (..., n, d), `k` is (..., m, d), `v` is (..., m, e), `w` is (r, d), the directions, shared
  by all; the result is (..., n, e) in the dtype of `v`, and its gradient is right.
- Long vectors, whose features leave the dtype, are weighed right as well. Take a common factor out
  of the features where it cancels in the quotient: one for each query, and one *for all keys
  together*.
- Nothing is added to the sum of the weights.
- At twice the length it takes twice the FLOPs, and its largest tensor is twice as large.
"""

import math

import torch

from attncourse.exercises.random_features._inputs import of_length
from attncourse.measure.cost import flops, largest_tensor
from attncourse.mechanisms.linear.performer import performer_attention as solution
from attncourse.mechanisms.linear.performer import (
    performer_attention_by_definition as by_definition,
)
from attncourse.testing import (
    OTHER_SIZES,
    SIZES,
    assert_same,
    assert_that,
    attention_inputs,
    gaussian,
    gradients,
)

difficulty, minutes = 3, 25
hints = (
    "With your features it is linear attention: phi(k).mT @ v and the sum of phi(k) over the keys "
    "are the same for all queries. Get this right for short vectors first.",
    "Before the exponential, subtract from a query's r exponents their largest, and from the "
    "exponents of all keys the largest of them all: `amax` over both axes, m and r. A largest of "
    "each key would weigh the keys anew.",
)
forbidden = ("performer_attention", "scaled_dot_product_attention")

FEATURES = {8: 11, 3: 6}  # r by d


def check_equals_the_weighted_mean(student):
    """equals the mean of the values with the weights phi(q) . phi(k), written out"""
    for sizes in (SIZES, OTHER_SIZES):
        args = _inputs(sizes=sizes, seed=10)
        assert_same(student(*args), by_definition(*args))


def check_takes_leading_axes(student):
    """works for any batch and head axes, those of length one too, for one query and one key"""
    one_query, one_key = (1, 9, 3, 7), (11, 1, 3, 7)
    for lead, sizes in (((2, 3), SIZES), ((1,), SIZES), ((4, 1), one_query), ((2,), one_key)):
        args = _inputs(*lead, sizes=sizes, seed=20)
        assert_same(student(*args), by_definition(*args))


def check_long_queries_are_weighed_right(student):
    """queries whose features leave the dtype are weighed right; equal values come back"""
    for lengths in ((100.0, 110.0), (1.0, 105.0, 5.0)):
        q, k, v, w = _inputs(sizes=SIZES, seed=30)
        q, k = of_length(q, lengths), of_length(k, (1.0, 3.0))
        fives = torch.full_like(v, 5.0)
        assert_same(student(q, k, fives, w), fives[:5])
        assert_same(student(q, k, v, w), by_definition(q, k, v, w))


def check_long_keys_are_weighed_right(student):
    """keys whose features leave the dtype are weighed right; equal values come back"""
    for lengths in ((100.0, 102.0, 104.0), (90.0, 1.0, 90.0, 90.0)):
        q, k, v, w = _inputs(sizes=SIZES, seed=35)
        q, k = of_length(q, (1.0, 3.0)), of_length(k, lengths)
        fives = torch.full_like(v, 5.0)
        assert_same(student(q, k, fives, w), fives[:5])
        assert_same(student(q, k, v, w), by_definition(q, k, v, w))


def check_keys_of_different_lengths_are_weighed_right(student):
    """short keys beside long ones, features far apart within a row"""
    for lengths in ((0.5, 4.0, 8.0), (0.0, 6.0), (3.0, 3.0)):
        q, k, v, w = _inputs(sizes=SIZES, seed=40)
        k = of_length(k, lengths)
        assert_same(student(q, k, v, w), by_definition(q, k, v, w))


def check_has_the_right_gradient(student):
    """the gradients of q, k, v and of the directions are right"""
    for sizes in (SIZES, OTHER_SIZES):
        args = _inputs(sizes=sizes, std=1.0, seed=50)
        expected = gradients(by_definition, *args)
        for name, a, b in zip("qkvw", gradients(student, *args), expected, strict=True):
            assert_same(a, b, f"the gradient of {name}")


def check_keeps_the_dtype(student):
    """float32 values give float32 outputs"""
    args = [x.float() for x in _inputs(sizes=SIZES, std=1.0, seed=60)]
    assert_same(student(*args), by_definition(*(x.double() for x in args)).float())


def check_costs_grow_with_the_length(student):
    """at twice the length twice the FLOPs, and a largest tensor twice as large"""
    found = []
    for n in (32, 64):
        args = _inputs(sizes=(n, n + 6, 8, 6), seed=70)
        assert_same(student(*args), by_definition(*args))
        found.append((flops(student, *args), largest_tensor(student, *args)))
    (work, most), (more_work, more) = found
    assert_that(
        more_work <= 2.5 * work,
        f"at 32 queries it takes {work:,} FLOPs, at 64 it takes {more_work:,}: some product grows "
        "with the square of the length.",
    )
    assert_that(
        more <= 2.5 * most and more < 64 * 70 // 2,
        f"at 32 queries your largest tensor holds {most:,} numbers, at 64 it holds {more:,}: "
        "something is as large as n times m.",
    )


def _inputs(*lead, sizes, std=2.0, seed):
    d = sizes[2]
    qkv = attention_inputs(*lead, sizes=sizes, std=std, seed=seed)
    return (*qkv, gaussian(FEATURES[d], d, std=1.0, seed=seed + 3))


def _logs(x, w):
    y = x / x.shape[-1] ** 0.25
    return y @ w.mT - y.square().sum(dim=-1, keepdim=True) / 2


def _raised(logs, dim):
    """Features without the factor of the largest over some axes."""
    return (logs - logs.amax(dim=dim, keepdim=True)).exp()


def _of_queries(q, w):
    return _raised(_logs(q, w), -1)


def _of_keys(k, w):
    return _raised(_logs(k, w), (-2, -1))


def _mean(a, b, v):
    """The weighted mean for any features, bracket moved."""
    return (a @ (b.mT @ v)) / (a @ b.sum(dim=-2, keepdim=True).mT)


def wrong_all_weights(q, k, v, w):
    """Your values are right, but above or below the line you compute all n times m weights. Move
    the bracket: phi(k).mT @ v, (r, e), and the sum of phi(k) are the same for every query.
    """
    weights = _of_queries(q, w) @ _of_keys(k, w).mT
    return weights / weights.sum(dim=-1, keepdim=True) @ v


def wrong_exact_attention(q, k, v, w):
    """You computed softmax attention, which the Performer estimates, at its full cost. The weights
    here are phi(q) . phi(k) with the directions that are given.
    """
    return torch.softmax(q @ k.mT / math.sqrt(q.shape[-1]), dim=-1) @ v


def wrong_each_key_by_its_own_largest(q, k, v, w):
    """You took each key's own largest exponent out of it. That factor does not cancel: every key is
    weighed anew. What you subtract must be the same number for all keys.
    """
    return _mean(_of_queries(q, w), _raised(_logs(k, w), -1), v)


def wrong_each_feature_by_its_own_largest(q, k, v, w):
    """You took a factor out of each feature, the largest over the keys, and did not give it back to
    the queries. Take one number for all keys and all features.
    """
    return _mean(_of_queries(q, w), _raised(_logs(k, w), -2), v)


def wrong_nothing_taken_out(q, k, v, w):
    """You took the exponentials as they are. The features of long vectors are all 0 then, and 0/0
    is NaN: subtract a largest exponent first, where it cancels.
    """
    return _mean(_logs(q, w).exp(), _logs(k, w).exp(), v)


def wrong_only_the_queries_made_safe(q, k, v, w):
    """You took the largest out of the queries and not out of the keys, whose features are all 0
    where they are long. Subtract one number from the exponents of all keys.
    """
    return _mean(_of_queries(q, w), _logs(k, w).exp(), v)


def wrong_only_the_keys_made_safe(q, k, v, w):
    """You took the largest out of the keys and not out of the queries, so that a long query has no
    features left. Subtract each query's largest exponent: its factor cancels.
    """
    return _mean(_logs(q, w).exp(), _of_keys(k, w), v)


def wrong_a_little_added(q, k, v, w):
    """You added a small number to the features, as some implementations do. It draws all weights
    towards the plain mean: add nothing.
    """
    return _mean(_of_queries(q, w) + 1e-4, _of_keys(k, w) + 1e-4, v)


def wrong_length_of_keys_forgotten(q, k, v, w):
    """You left the squared length out of the keys' features, so that long keys count too much. A
    query's cancels, a key's does not.
    """
    y = k / k.shape[-1] ** 0.25
    return _mean(_of_queries(q, w), _raised(y @ w.mT, (-2, -1)), v)


def wrong_not_scaled(q, k, v, w):
    """You did not divide queries and keys by d to the power 1/4, so that you estimate scores that
    are not scaled. Divide both.
    """
    scale = q.shape[-1] ** 0.25
    return _mean(_of_queries(q * scale, w), _of_keys(k * scale, w), v)


def wrong_scaled_twice(q, k, v, w):
    """You divided queries and keys by the root of d, both. Their product is divided by d then: take
    d to the power 1/4.
    """
    scale = q.shape[-1] ** 0.25
    return _mean(_of_queries(q / scale, w), _of_keys(k / scale, w), v)


def wrong_not_divided(q, k, v, w):
    """You did not divide by the sum of the weights. Divide each query's row by phi(q_i) times the
    sum of phi(k_j) over the keys.
    """
    return _of_queries(q, w) @ (_of_keys(k, w).mT @ v)


def wrong_float64_returned(q, k, v, w):
    """You return float64 whatever comes in. The result has the dtype of the values: convert it back
    at the end.
    """
    q, k, v, w = q.double(), k.double(), v.double(), w.double()
    return _mean(_of_queries(q, w), _of_keys(k, w), v)


def wrong_axes_of_length_one_dropped(q, k, v, w):
    """You squeezed the result and lost axes of length one. Keep the shape (..., n, e): squeeze no
    more than you unsqueezed.
    """
    return _mean(_of_queries(q, w), _of_keys(k, w), v).squeeze()


def wrong_number_of_features_written_down(q, k, v, w):
    """You used six directions, whatever their number, or so: a size is written into the code. Take
    all rows of w.
    """
    return _mean(_of_queries(q, w[:6]), _of_keys(k, w[:6]), v)


def right_by_a_common_largest(q, k, v, w):
    """one number for all keys, one for each query, and the bracket moved"""

    def exponents(x):
        y = x / x.shape[-1] ** 0.25
        return y @ w.mT - y.square().sum(dim=-1, keepdim=True) / 2

    a, b = exponents(q), exponents(k)
    phi_q = (a - a.amax(dim=-1, keepdim=True)).exp()
    phi_k = (b - b.amax(dim=(-2, -1), keepdim=True)).exp()
    table = phi_k.mT @ v
    total = phi_k.sum(dim=-2, keepdim=True)
    return (phi_q @ table) / (phi_q @ total.mT)


def right_by_a_largest_of_each_feature(q, k, v, w):
    """a unit for each feature, the largest over the keys, given back to the queries"""
    b = _logs(k, w)
    units = b.amax(dim=-2, keepdim=True)
    return _mean(_raised(_logs(q, w) + units, -1), (b - units).exp(), v)


def right_by_a_column_of_ones(q, k, v, w):
    """a column of ones behind the values sums the weights in the same product"""
    ones = torch.cat([v, torch.ones_like(v[..., :1])], dim=-1)
    sums = _of_queries(q, w) @ (_of_keys(k, w).mT @ ones)
    return sums[..., :-1] / sums[..., -1:]


def right_by_halves(q, k, v, w):
    """the keys in two parts, whose sums are added in one unit"""
    logs = _logs(k, w)
    largest = logs.amax(dim=(-2, -1), keepdim=True)
    cut, a, above, below = k.shape[-2] // 2, _of_queries(q, w), 0, 0
    for part in (slice(cut), slice(cut, None)):
        b = (logs[..., part, :] - largest).exp()
        above = above + a @ (b.mT @ v[..., part, :])
        below = below + a @ b.sum(dim=-2)[..., None]
    return above / below


shown = right_by_a_common_largest
