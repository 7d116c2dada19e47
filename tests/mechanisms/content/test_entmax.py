"""Entmax-1.5 against the entmax package, against its optimality, and its laws."""

import math

import entmax as package
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from attncourse.measure.cost import largest_tensor, scaling_exponent
from attncourse.mechanisms import forms_of
from attncourse.mechanisms.content.entmax import (
    entmax15,
    entmax15_attention,
    entmax15_by_definition,
)
from attncourse.mechanisms.content.sparsemax import sparsemax
from attncourse.mechanisms.dense.softmax import softmax
from attncourse.testing import assert_same, attention_inputs, gaussian, gradients, random_mask

every_form = pytest.mark.parametrize("form", [entmax15_by_definition, entmax15])
every_attention = pytest.mark.parametrize("form", forms_of(entmax15_attention))


def theirs(x):
    return package.entmax15(x, dim=-1)


@every_form
@pytest.mark.parametrize("std", [0.001, 0.1, 1.0, 100.0, 1e5])
@pytest.mark.parametrize("n", [1, 2, 7, 63, 64, 65, 1000])
def test_it_equals_the_entmax_package_in_value_and_gradient(form, n, std):
    x = gaussian(3, n, std=std)
    assert_same(form(x), theirs(x))
    assert_same(gradients(form, x), gradients(theirs, x))


@every_form
def test_it_equals_bisection(form):
    x = gaussian(4, 200, std=0.5)
    assert_same(form(x), package.entmax_bisect(x, alpha=1.5, dim=-1, n_iter=60))


@every_form
def test_it_is_the_best_of_the_simplex(form):
    """Where p maximises p . x + 4/3 sum (p - p^1.5), the slope x - 2 sqrt(p) is level and highest
    on the support."""
    x = gaussian(5, 40, std=2.0)
    p = form(x)
    slope = x - 2 * p.sqrt()
    level = slope.masked_fill(p == 0, math.inf).amin(dim=-1, keepdim=True)
    assert_same(slope[p > 0], level.expand_as(p)[p > 0])
    assert (slope <= level + 1e-12).all()
    assert_same(p.sum(dim=-1), torch.ones(5, dtype=x.dtype))


@settings(derandomize=True, max_examples=60, deadline=None)
@given(
    row=st.lists(st.one_of(st.floats(-50, 50), st.just(-math.inf), st.integers(-3, 3)), min_size=1)
)
def test_any_row_sums_to_one_and_agrees_with_the_sorted_form(row):
    x = torch.tensor([[float(y) for y in row]], dtype=torch.float64)
    p = entmax15(x)
    assert_same(p, entmax15_by_definition(x))
    assert_same(p.sum(), torch.tensor(float(x.max() > -math.inf), dtype=torch.float64))


@every_form
def test_empty_rows_and_single_entries(form):
    x = gaussian(4, 9)
    x[1], x[2, 1:] = -math.inf, -math.inf
    p = form(x)
    assert torch.equal(p[1], torch.zeros(9, dtype=x.dtype))
    assert torch.equal(p[2], torch.eye(9, dtype=x.dtype)[0])
    found = gradients(form, x)[0]
    assert found.isfinite().all()
    assert torch.equal(found[1], torch.zeros(9, dtype=x.dtype))


@every_form
def test_laws_of_entmax(form):
    x = gaussian(6, 70, std=1.0)
    p, order = form(x), torch.randperm(70, generator=torch.Generator().manual_seed(0))
    assert_same(form(x[:, order]), p[:, order])
    assert_same(form(x + 1000.0), p)
    supports = torch.stack([(form(scale * x) > 0).sum(dim=-1) for scale in (0.01, 0.1, 1.0, 10.0)])
    assert (supports.diff(dim=0) <= 0).all()
    assert supports[0].max() == 70
    assert supports[-1].max() < 9


def test_it_stands_between_softmax_and_sparsemax():
    x = gaussian(6, 70, std=0.7)
    supports = [(f(x) > 0).sum(dim=-1) for f in (softmax, entmax15, sparsemax)]
    assert (supports[0] > supports[1]).all()
    assert (supports[1] > supports[2]).all()
    entropies = [
        -torch.special.xlogy(p, p).sum(-1) for p in (softmax(x), entmax15(x), sparsemax(x))
    ]
    assert (entropies[0] > entropies[1]).all()
    assert (entropies[1] > entropies[2]).all()


def test_gradients_by_finite_differences():
    x = gaussian(3, 12, std=1.0).requires_grad_()
    assert torch.autograd.gradcheck(entmax15, x)
    inputs = [y.requires_grad_() for y in (gaussian(3, 4), gaussian(7, 4), gaussian(7, 2))]
    assert torch.autograd.gradcheck(entmax15_attention, inputs)


@every_form
def test_the_gradient_stays_on_the_support_and_sums_to_zero(form):
    x = gaussian(6, 50, std=1.0)
    found = gradients(form, x)[0]
    assert (found[form(x) == 0] == 0).all()
    assert_same(found.sum(dim=-1), torch.zeros(6, dtype=x.dtype))


def plain(q, k, v, *, mask):
    scores = (q @ k.mT / math.sqrt(q.shape[-1])).masked_fill(~mask, -1e5)
    return theirs(scores) @ v


@every_attention
def test_a_mask_of_any_shape_that_broadcasts(form):
    inputs = attention_inputs(2, 3, std=0.7)
    of_each = torch.stack([random_mask(5, 37, seed=s) for s in range(6)]).view(2, 3, 5, 37)
    for mask in (of_each, of_each[:1], of_each[0, 0], of_each[..., :1, :]):
        assert_same(form(*inputs, mask=mask), plain(*inputs, mask=mask))
        found = gradients(form, *inputs, mask=mask)
        assert_same(found, gradients(plain, *inputs, mask=mask))


@every_attention
def test_a_query_that_may_attend_to_nothing_gets_zeros(form):
    inputs, mask = attention_inputs(2), random_mask(5, 37, empty_row=3)
    assert torch.equal(form(*inputs, mask=mask)[:, 3], torch.zeros(2, 6, dtype=torch.float64))
    found = gradients(form, *inputs, mask=mask)
    assert all(g.isfinite().all() for g in found)
    assert torch.equal(found[0][:, 3], torch.zeros(2, 8, dtype=torch.float64))


def inputs_of_length(n):
    return gaussian(n, 8), gaussian(n, 8, seed=1), gaussian(n, 6, seed=2)


def backward(q, k, v):
    return gradients(entmax15_attention, q, k, v)


@pytest.mark.parametrize("form", [entmax15_attention, backward])
def test_the_largest_tensor_grows_with_the_length(form):
    assert scaling_exponent(largest_tensor, form, inputs_of_length, 256) == 1
