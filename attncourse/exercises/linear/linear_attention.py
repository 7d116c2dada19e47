r"""# Attention without its square

Weigh by features instead of exponentials of scores, and compute it without any (n, m) matrix:

$$o_i = \frac{\sum_j \left(\phi(q_i) \cdot \phi(k_j)\right) v_j}{\sum_j \phi(q_i) \cdot \phi(k_j)},
\qquad \phi(x) = \mathrm{elu}(x) + 1 .$$

- `q` is (..., n, d), `k` is (..., m, d), `v` is (..., m, e); the result is (..., n, e) in the dtype
  of `v`, and its gradient is right. Every query sees every key, and there is no scale.
- The weights of a query sum to one, however small its features are: nothing is added to the sum.
- At twice the length it takes twice the FLOPs, and its largest tensor is twice as large.

Your `elu_feature_map` is of use.
"""

import math

import torch

from attncourse.measure.cost import flops, largest_tensor
from attncourse.mechanisms.linear.linear_transformer import elu_feature_map
from attncourse.mechanisms.linear.linear_transformer import linear_attention as solution
from attncourse.mechanisms.linear.linear_transformer import (
    linear_attention_by_definition as by_definition,
)
from attncourse.testing import (
    OTHER_SIZES,
    SIZES,
    assert_same,
    assert_that,
    attention_inputs,
    gradients,
)

difficulty, minutes = 2, 15
hints = (
    "First write it with all weights, phi(q) @ phi(k).mT, times the values, divided by the sum of "
    "each row. Then look at the product of three matrices: which two can be multiplied first?",
    "The sum of a row is a product too: phi(q_i) with the sum of phi(k_j) over the keys. Both that "
    "sum, (d,), and phi(k).mT @ v, (d, e), are the same for all queries.",
)
forbidden = ("linear_attention", "kernel_attention", "scaled_dot_product_attention")


def check_equals_the_weighted_mean(student):
    """equals the mean of the values with the weights phi(q) . phi(k), written out"""
    for sizes in (SIZES, OTHER_SIZES):
        q, k, v = attention_inputs(sizes=sizes, seed=10)
        assert_same(student(q, k, v), by_definition(q, k, v))


def check_takes_leading_axes(student):
    """works for any batch and head axes, those of length one too, for one query and one key"""
    one_query, one_key = (1, 9, 3, 7), (11, 1, 3, 7)
    for lead, sizes in (((2, 3), SIZES), ((1,), SIZES), ((4, 1), one_query), ((2,), one_key)):
        q, k, v = attention_inputs(*lead, sizes=sizes, seed=20)
        assert_same(student(q, k, v), by_definition(q, k, v))


def check_weighs_small_features(student):
    """queries and keys far below zero are weighed right, and equal values come out as they are"""
    for shift in (-12.0, -30.0):
        q, k, v = attention_inputs(seed=30)
        expected = by_definition(q + shift, k + shift, v)
        assert_same(student(q + shift, k + shift, v), expected)
        fives = torch.full((37, 6), 5.0, dtype=torch.float64)
        assert_same(student(q + shift, k + shift, fives), fives[:5])


def check_survives_a_large_spread(student):
    """features of very different sizes within a row are weighed right"""
    for std, seed in ((100.0, 40), (10.0, 41)):
        q, k, v = attention_inputs(std=std, seed=seed)
        assert_same(student(q, k, v), by_definition(q, k, v))


def check_has_the_right_gradient(student):
    """the gradients of q, k and v are right"""
    for sizes in (SIZES, OTHER_SIZES):
        q, k, v = attention_inputs(sizes=sizes, seed=50)
        expected = gradients(by_definition, q, k, v)
        for name, a, b in zip("qkv", gradients(student, q, k, v), expected, strict=True):
            assert_same(a, b, f"the gradient of {name}")


def check_keeps_the_dtype(student):
    """float32 values give float32 outputs"""
    q, k, v = (x.float() for x in attention_inputs(std=1.0, seed=60))
    assert_same(student(q, k, v), by_definition(q.double(), k.double(), v.double()).float())


def check_costs_grow_with_the_length(student):
    """at twice the length twice the FLOPs, and a largest tensor twice as large"""
    found = []
    for n in (64, 128):
        q, k, v = attention_inputs(sizes=(n, n + 6, 8, 6), seed=70)
        assert_same(student(q, k, v), by_definition(q, k, v))
        found.append((flops(student, q, k, v), largest_tensor(student, q, k, v)))
    (work, most), (more_work, more) = found
    assert_that(
        more_work <= 2.5 * work,
        f"at 64 queries it takes {work:,} FLOPs, at 128 it takes {more_work:,}: some product grows "
        "with the square of the length.",
    )
    assert_that(
        more <= 2.5 * most and more < 128 * 134 // 2,
        f"at 64 queries your largest tensor holds {most:,} numbers, at 128 it holds {more:,}: "
        "something is as large as n times m.",
    )


def _phi(x):
    return x.clamp(max=0).exp() + x.clamp(min=0)


def _of_features(phi_q, phi_k, v):
    """The weighted mean for any features, bracket moved."""
    return (phi_q @ (phi_k.mT @ v)) / (phi_q @ phi_k.sum(dim=-2, keepdim=True).mT)


def wrong_all_weights(q, k, v):
    """Your values are right, but above or below the line you compute all n times m weights. Move
    the bracket: phi(k).mT @ v, (d, e), and the sum of phi(k) are the same for every query.
    """
    weights = _phi(q) @ _phi(k).mT
    return weights / weights.sum(dim=-1, keepdim=True) @ v


def wrong_softmax(q, k, v):
    """You computed softmax(q k^T) v: that is ordinary attention, and not even scaled. Nothing is
    linear in it but the values. The weights here are phi(q) . phi(k).
    """
    return torch.softmax(q @ k.mT, dim=-1) @ v


def wrong_no_features(q, k, v):
    """You multiplied q (k^T v) without any features, so that weights may be negative and their sum
    near 0. Put phi, elu + 1, around queries and keys first.
    """
    return _of_features(q, k, v)


def wrong_not_divided(q, k, v):
    """You did not divide by the sum of the weights. Divide each query's row by phi(q_i) times the
    sum of phi(k_j) over the keys.
    """
    return _phi(q) @ (_phi(k).mT @ v)


def wrong_divided_by_the_number_of_keys(q, k, v):
    """You divided by the number of keys. The weights of a query sum to phi(q_i) times the sum of
    phi(k_j), another number for each query.
    """
    return _phi(q) @ (_phi(k).mT @ v) / k.shape[-2]


def wrong_divided_by_the_keys_alone(q, k, v):
    """You normalised the keys' features over the keys and left the query out of the sum. The sum of
    a query's weights depends on the query: phi(q_i) times the sum of phi(k_j).
    """
    phi_k = _phi(k) / _phi(k).sum(dim=-2, keepdim=True)
    return _phi(q) @ (phi_k.mT @ v)


def wrong_a_little_added(q, k, v):
    """You added a small number to the sum of the weights. Where features are small it is not small:
    the weights no longer sum to one. Leave it away, since the sum is positive.
    """
    total = _phi(q) @ _phi(k).sum(dim=-2, keepdim=True).mT
    return _phi(q) @ (_phi(k).mT @ v) / (total + 1e-6)


def wrong_features_of_the_keys_alone(q, k, v):
    """You put phi around the keys, and not around the queries. Both are features."""
    return _of_features(q, _phi(k), v)


def wrong_features_of_the_queries_alone(q, k, v):
    """You put phi around the queries and not around the keys, so that weights may be negative: both
    are features.
    """
    return _of_features(_phi(q), k, v)


def wrong_features_of_the_values_too(q, k, v):
    """You put phi around the values, too. They are what is averaged, and stay as they are: only
    what is compared is mapped.
    """
    return _of_features(_phi(q), _phi(k), _phi(v))


def wrong_scaled(q, k, v):
    """You divided the queries by the root of d before the features. There is no softmax here whose
    scores would need it: leave the scale away.
    """
    return _of_features(_phi(q / math.sqrt(q.shape[-1])), _phi(k), v)


def wrong_elu_without_the_one(q, k, v):
    """Your features are elu(x), which is negative below zero, so that weights may be. Add 1 to
    them.
    """
    elu = torch.nn.functional.elu
    return _of_features(elu(q), elu(k), v)


def wrong_small_features_lose_digits(q, k, v):
    """You computed the features as elu(x) + 1, which is (exp(x) - 1) + 1 below zero. Far below, no
    digit of exp(x) is left after that: take exp(x) itself there.
    """
    elu = torch.nn.functional.elu
    return _of_features(elu(q) + 1, elu(k) + 1, v)


def wrong_relu(q, k, v):
    """Your features are relu(x): a query of negative numbers has none, and 0/0 is NaN. Take exp(x)
    below zero, as in elu + 1.
    """
    return _of_features(torch.relu(q), torch.relu(k), v)


def wrong_softmax_features(q, k, v):
    """You took a softmax of the features of each query and each key over its width. That is another
    kernel: each number is mapped by itself, elu + 1.
    """
    return _of_features(q.softmax(dim=-1), k.softmax(dim=-1), v)


def wrong_exponential_features(q, k, v):
    """You took exp(q) and exp(k) as features. exp(q) . exp(k) is not exp(q . k), and it overflows:
    above zero the feature is x + 1.
    """
    return _of_features(q.exp(), k.exp(), v)


def wrong_causal(q, k, v):
    """You let a query see the keys up to its own place alone. Here every query sees every key:
    causal comes next.
    """
    weights = (_phi(q) @ _phi(k).mT).tril(k.shape[-2] - q.shape[-2])
    total = weights.sum(dim=-1, keepdim=True)
    return weights @ v / total.masked_fill(total == 0, 1.0)


def wrong_float64_returned(q, k, v):
    """You return float64 whatever comes in. The result has the dtype of the values: convert it back
    at the end.
    """
    return _of_features(_phi(q.double()), _phi(k.double()), v.double())


def wrong_axes_of_length_one_dropped(q, k, v):
    """You squeezed the result and lost axes of length one. Keep the shape (..., n, e): squeeze no
    more than you unsqueezed.
    """
    return _of_features(_phi(q), _phi(k), v).squeeze()


def wrong_width_written_down(q, k, v):
    """You read the keys as eight wide, whatever they are, or so: a size is written into the code.
    Take it from the shapes.
    """
    return _of_features(_phi(q[..., :8]), _phi(k[..., :8]), v[..., :6])


def right_by_moving_the_bracket(q, k, v):
    """two products that all queries share"""
    phi_q = elu_feature_map(q)
    phi_k = elu_feature_map(k)
    table = phi_k.mT @ v
    total = phi_k.sum(dim=-2, keepdim=True)
    return (phi_q @ table) / (phi_q @ total.mT)


def right_by_a_column_of_ones(q, k, v):
    """a column of ones behind the values sums the weights in the same product"""
    ones = torch.cat([v, torch.ones_like(v[..., :1])], dim=-1)
    sums = _phi(q) @ (_phi(k).mT @ ones)
    return sums[..., :-1] / sums[..., -1:]


def right_by_einsum(q, k, v):
    """the same in letters"""
    phi_q, phi_k = _phi(q), _phi(k)
    state = torch.einsum("...md,...me->...de", phi_k, v)
    total = torch.einsum("...nd,...d->...n", phi_q, phi_k.sum(dim=-2))
    return torch.einsum("...nd,...de->...ne", phi_q, state) / total[..., None]


def right_by_halves(q, k, v):
    """the keys in two parts, whose sums are added"""
    cut = k.shape[-2] // 2
    phi_q, above, below = _phi(q), 0, 0
    for part in (slice(cut), slice(cut, None)):
        phi_k = _phi(k[..., part, :])
        above = above + phi_q @ (phi_k.mT @ v[..., part, :])
        below = below + phi_q @ phi_k.sum(dim=-2)[..., None]
    return above / below


shown = right_by_moving_the_bracket
