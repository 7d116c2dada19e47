"""The Performer: unbiased features, and a quotient that survives vectors of any length."""

import math

import pytest
import torch

from attncourse.measure.cost import flops, largest_tensor, scaling_exponent
from attncourse.mechanisms.dense.softmax import attention
from attncourse.mechanisms.linear._recurrence import WORK
from attncourse.mechanisms.linear.kernel_attention import causal_kernel_attention, kernel_attention
from attncourse.mechanisms.linear.performer import (
    causal_performer_attention,
    causal_performer_attention_by_definition,
    gaussian_features,
    orthogonal_features,
    performer_attention,
    performer_attention_by_definition,
    positive_features,
    trigonometric_features,
)
from attncourse.testing import assert_same, attention_inputs, gaussian, gradients
from rows.linear_transformer import tokens

D = 8
DIRECTIONS = [gaussian_features, orthogonal_features]
FEATURES = [positive_features, trigonometric_features]
every_directions = pytest.mark.parametrize("directions", DIRECTIONS)
every_features = pytest.mark.parametrize("features", FEATURES)


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def kernel_estimates(features, directions, r, repeats, q, k):
    """phi(q) . phi(k) for `repeats` independent draws of r directions: (repeats, n, m)."""
    draws = (directions(r, D, generator=seeded(seed)).double() for seed in range(repeats))
    return torch.stack([features(q, w) @ features(k, w).mT for w in draws])


def pairs():
    """Queries, keys, and the exact kernel; short vectors: long ones have heavy-tailed estimates."""
    q, k = gaussian(3, D, std=0.3, seed=1), gaussian(4, D, std=0.3, seed=2)
    return q, k, (q @ k.mT / math.sqrt(D)).exp()


@every_directions
@every_features
def test_the_kernel_is_estimated_without_bias(features, directions):
    """The mean of 400 draws lies within 4.5 standard errors for each of 12 pairs."""
    q, k, exact = pairs()
    found = kernel_estimates(features, directions, 16, 400, q, k)
    standard_error = found.std(dim=0) / math.sqrt(len(found))
    assert ((found.mean(dim=0) - exact).abs() < 4.5 * standard_error).all()
    assert (standard_error / exact).max() < 0.02  # a bias of a few such would have been seen


@every_directions
@every_features
def test_the_error_falls_as_one_over_the_root_of_the_number_of_features(features, directions):
    q, k, exact = pairs()

    def error(r):
        return (kernel_estimates(features, directions, r, 150, q, k) - exact).square().mean().sqrt()

    slope = math.log2(error(16 * D) / error(2 * D)) / 3
    assert -0.62 < slope < -0.38


@every_features
def test_orthogonal_directions_vary_less(features):
    """By a tenth for positive features, by two thirds for sines and cosines."""
    q, k, exact = pairs()
    independent, orthogonal = (
        (kernel_estimates(features, directions, D, 600, q, k) - exact).square().mean()
        for directions in DIRECTIONS
    )
    assert orthogonal < (0.9 if features is positive_features else 0.35) * independent


def test_the_softmaxs_weights_come_out_as_features_grow():
    q, k, v = (x / 4 for x in attention_inputs())
    exact = attention(q, k, v)

    def error(r):
        draws = (orthogonal_features(r, D, generator=seeded(seed)).double() for seed in range(20))
        found = torch.stack([performer_attention(q, k, v, w) for w in draws])
        return ((found - exact).square().mean() / exact.square().mean()).sqrt()

    few, many = error(32), error(2048)
    assert many < 0.05
    assert 6 < few / many < 11  # 8, the root of 64 times as many


def test_blocks_are_orthogonal_and_lengths_are_those_of_normal_vectors():
    w = orthogonal_features(20, D, generator=seeded(0)).double()
    lengths = w.norm(dim=-1)
    products = w @ w.mT / lengths[:, None] / lengths
    for block in (slice(0, 8), slice(8, 16), slice(16, 20)):
        size = block.stop - block.start
        torch.testing.assert_close(
            products[block, block], torch.eye(size).double(), atol=1e-6, rtol=0
        )
    many = orthogonal_features(4000, D, generator=seeded(1)).square().sum(dim=-1)
    assert abs(many.mean() - D) < 4.5 * math.sqrt(2 * D / 4000)  # chi-squared: mean d, variance 2 d
    assert abs(many.var() / (2 * D) - 1) < 0.15


@every_directions
def test_every_direction_alone_is_standard_normal(directions):
    """The first row, the last of a block, and a row of a block cut short, over 3000 draws.

    Without the signs of R's diagonal the first entry of the first row is never positive.
    """
    draws = torch.stack([directions(11, D, generator=seeded(seed)) for seed in range(3000)])
    for row in (0, 7, 8, 10):
        x = draws[:, row]
        assert (x.mean(dim=0).abs() < 4.5 / math.sqrt(3000)).all()
        assert (x.square().mean(dim=0) - 1).abs().max() < 0.15
        assert abs((x > 0).double().mean() - 0.5) < 0.02
        assert ((x.mT @ x / 3000).fill_diagonal_(0).abs() < 0.1).all()


@every_directions
def test_directions_follow_the_generator_alone(directions):
    first, again = (directions(11, D, generator=seeded(3)) for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, directions(11, D, generator=seeded(4)))
    assert first.shape == (11, D)


@every_directions
@pytest.mark.parametrize(("r", "d"), [(0, 8), (8, 0), (-1, 8)])
def test_there_must_be_a_direction_and_a_dimension(directions, r, d):
    with pytest.raises(ValueError, match=f"^r and d must be at least 1: got r={r} and d={d}$"):
        directions(r, d, generator=seeded(0))


def some_directions(r=11):
    return gaussian(r, D, std=1.0, seed=9)


def test_it_is_the_kernel_attention_of_its_features():
    w = some_directions()
    q, k, v = attention_inputs(2)
    expected = kernel_attention(positive_features(q, w), positive_features(k, w), v)
    assert_same(performer_attention(q, k, v, w), expected)
    q, k, v = tokens(2)
    phi_q, phi_k = positive_features(q, w), positive_features(k, w)
    expected = causal_kernel_attention(phi_q, phi_k, v, chunk=4)
    assert_same(causal_performer_attention(q, k, v, w, chunk=4), expected)


@pytest.mark.parametrize("chunk", [1, 7, 64, 300])
@pytest.mark.parametrize("std", [0.5, 2.0, 10.0, 100.0])
def test_no_chunk_and_no_length_of_vector_changes_value_or_gradient(std, chunk):
    """At 100 the logarithms of features lie tens of thousands apart; float64 holds e^709."""
    arguments = (*tokens(n=150, std=std), some_directions())

    def fast(*arguments):
        return causal_performer_attention(*arguments, chunk=chunk)

    def definition(*arguments):
        return causal_performer_attention_by_definition(*arguments, chunk=chunk)

    assert_same(fast(*arguments), definition(*arguments))
    assert_same(gradients(fast, *arguments), gradients(definition, *arguments))


@pytest.mark.parametrize("std", [1.0, 100.0])
def test_more_tokens_than_are_worked_on_at_once_change_nothing(std):
    """The largest key of a feature may come late: what was summed before is scaled down."""
    q, k, v = tokens(n=700, std=std)
    arguments = q[:300], k, v, some_directions()
    assert_same(performer_attention(*arguments), performer_attention_by_definition(*arguments))
    ours = gradients(performer_attention, *arguments)
    assert_same(ours, gradients(performer_attention_by_definition, *arguments))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("std", [10.0, 100.0, 1000.0])
def test_long_vectors_give_means_of_values_in_low_precision(std, dtype):
    """Weights are positive and sum to one, whatever underflows: outputs stay among the values."""
    q, k, v, w = (x.to(dtype) for x in (*tokens(2, n=150, std=std), some_directions()))
    v = v / v.abs().max()
    for found in (
        performer_attention(q, k, v, w),
        causal_performer_attention(q, k, v, w, chunk=64),
    ):
        assert found.isfinite().all()
        assert found.abs().max() <= 1.01
    assert_same(causal_performer_attention(q, k, v, w, chunk=64)[:, 0], v[:, 0])
    found = gradients(performer_attention, q, k, v, w)
    assert all(g.isfinite().all() for g in found)
    found = gradients(causal_performer_attention, q, k, v, w, chunk=64)
    assert all(g.isfinite().all() for g in found)


def test_constant_values_come_back_since_nothing_is_added_to_the_denominator():
    q, k, v = attention_inputs(2, std=5.0)
    out = performer_attention(q, k, torch.full_like(v, 7.0), some_directions())
    assert_same(out, torch.full_like(out, 7.0))


def test_the_future_leaves_the_past_bit_equal():
    q, k, v = tokens(2, n=300, std=1.0)
    w = some_directions()
    before = causal_performer_attention(q, k, v, w, chunk=64)
    for t in (0, 63, 64, 200):
        changed = [x.clone() for x in (q, k, v)]
        for x in changed:
            x[:, t + 1 :] = x[:, t + 1 :].flip(1)
        after = causal_performer_attention(*changed, w, chunk=64)
        assert torch.equal(after[:, : t + 1], before[:, : t + 1])
        assert not torch.equal(after[:, t + 1 :], before[:, t + 1 :])


def test_a_future_key_of_any_length_leaves_the_past_as_it_is():
    """A chunk that it does not fit is halved: the past may then be rounded otherwise, no more."""
    q, k, v = tokens(n=60, std=1.0)
    w = some_directions()
    before = causal_performer_attention(q, k, v, w, chunk=64)
    k[40] = 20 * w[0] * D**0.25
    after = causal_performer_attention(q, k, v, w, chunk=64)
    assert_same(after[:40], before[:40])
    assert not torch.equal(after[40:], before[40:])


@pytest.mark.parametrize("chunk", [0, -3])
def test_a_chunk_must_be_positive(chunk):
    with pytest.raises(ValueError, match=f"^chunk must be at least 1: got chunk={chunk}$"):
        causal_performer_attention(*tokens(), some_directions(), chunk=chunk)


def inputs_of_length(n):
    q, k, v = tokens(n=n, std=1.0)
    return q, k, v, some_directions()


def causal(*arguments):
    return causal_performer_attention(*arguments, chunk=16)


def backward(*arguments):
    return gradients(performer_attention, *arguments)


@pytest.mark.parametrize("form", [performer_attention, causal, backward])
def test_nothing_grows_faster_than_the_length(form):
    for n in (512, 1024):
        assert scaling_exponent(flops, form, inputs_of_length, n) == 1
        assert scaling_exponent(largest_tensor, form, inputs_of_length, n) <= 1


def test_features_are_never_held_for_all_tokens_at_once():
    n = 2**16
    q, k, v, _ = inputs_of_length(n)
    w = some_directions(64)
    for form in (performer_attention, causal):
        assert largest_tensor(form, q, k, v, w) <= WORK < n * 64
