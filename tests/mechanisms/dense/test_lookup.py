"""A soft lookup is attention for one query, with a temperature in place of sqrt(d)."""

import math

import pytest
import torch

from attncourse.mechanisms import forms_of
from attncourse.mechanisms.dense.lookup import soft_lookup, weighted_mean
from attncourse.mechanisms.dense.softmax import attention
from attncourse.testing import assert_same, attention_inputs, gaussian, gradients

every_form = pytest.mark.parametrize("form", forms_of(soft_lookup))


def table(*lead, std=1.0):
    q, k, v = attention_inputs(*lead, std=std)
    return q[..., 0, :], k, v


@every_form
@pytest.mark.parametrize("temperature", [0.1, 1, 2.5, 1e6])
def test_the_temperature_divides_the_scores(form, temperature):
    query, keys, values = table(3)
    weights = torch.softmax((keys @ query[..., None]).squeeze(-1) / temperature, dim=-1)
    expected = (weights[..., None] * values).sum(dim=-2)
    assert_same(form(query, keys, values, temperature=temperature), expected)
    assert_same(form(query / temperature, keys, values), expected)


@pytest.mark.parametrize("temperature", [0.1, 3.0])
def test_the_forms_agree_in_value_and_gradient_at_any_temperature(temperature):
    by_definition, fast = (
        gradients(f, *table(2), temperature=temperature) for f in forms_of(soft_lookup)
    )
    for a, b in zip(fast, by_definition, strict=True):
        assert_same(a, b)


def test_at_temperature_sqrt_d_it_is_attention_of_one_query():
    query, keys, values = table(2, 3)
    expected = attention(query[..., None, :], keys, values).squeeze(-2)
    assert_same(soft_lookup(query, keys, values, temperature=math.sqrt(8)), expected)


@every_form
@pytest.mark.parametrize("temperature", [1e-6, 1e-300])
def test_a_temperature_towards_zero_returns_the_best_entry(form, temperature):
    query, keys, values = table()
    best = (keys @ query).argmax()
    assert_same(form(query, keys, values, temperature=temperature), values[best])


@every_form
def test_a_large_temperature_returns_the_plain_mean(form):
    query, keys, values = table()
    assert_same(form(query, keys, values, temperature=1e12), values.mean(dim=0))
    assert_same(form(query, keys, values, temperature=math.inf), values.mean(dim=0))


@every_form
@pytest.mark.parametrize("temperature", [0, 0.0, -1.5, -math.inf, math.nan])
def test_a_temperature_must_be_positive(form, temperature):
    with pytest.raises(ValueError, match="temperature") as caught:
        form(*table(), temperature=temperature)
    assert str(caught.value) == f"temperature must be positive: got {temperature}"


@every_form
@pytest.mark.parametrize(
    ("temperature", "kind"),
    [("1", "a str"), (None, "None"), (True, "a bool"), (1j, "a complex"), ([1.0], "a list")],
)
def test_a_temperature_must_be_a_number(form, temperature, kind):
    with pytest.raises(TypeError) as caught:
        form(*table(), temperature=temperature)
    assert str(caught.value) == f"temperature must be a number: got {kind}"


@pytest.mark.parametrize("scale", [1e-300, 1000.0, 1e300])
def test_only_the_ratios_of_weights_count(scale):
    weights, values = gaussian(3, 37).abs(), gaussian(3, 37, 6, seed=1)
    assert_same(weighted_mean(scale * weights, values), weighted_mean(weights, values))


def test_even_weights_give_the_mean_and_a_single_one_its_value():
    values = gaussian(37, 6)
    assert_same(weighted_mean(torch.full((37,), 0.2, dtype=torch.float64), values), values.mean(0))
    single = torch.zeros(37, dtype=torch.float64)
    single[9] = 5.0
    assert_same(weighted_mean(single, values), values[9])


def test_weights_that_are_all_zero_give_zeros_and_finite_gradients():
    weights, values = gaussian(2, 37).abs(), gaussian(2, 37, 6)
    weights[0] = 0.0
    assert not weighted_mean(weights, values)[0].any()
    assert weighted_mean(weights, values)[1].any()
    assert all(gradient.isfinite().all() for gradient in gradients(weighted_mean, weights, values))


def test_they_pass_gradcheck():
    query, keys, values = (gaussian(*s, std=1.0).requires_grad_() for s in ((3,), (4, 3), (4, 2)))
    assert torch.autograd.gradcheck(soft_lookup, (query, keys, values))
    weights = gaussian(4).abs().requires_grad_()
    assert torch.autograd.gradcheck(weighted_mean, (weights, values))
