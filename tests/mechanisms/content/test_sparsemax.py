"""Sparsemax is the projection to the simplex: against entmax, an optimiser, and its laws."""

import math

import entmax
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from attncourse.measure.cost import flops, largest_tensor, scaling_exponent
from attncourse.mechanisms import forms_of
from attncourse.mechanisms.content.sparsemax import (
    sparsemax,
    sparsemax_attention,
    sparsemax_attention_by_definition,
    sparsemax_by_definition,
)
from attncourse.testing import assert_same, attention_inputs, gaussian, gradients, random_mask

every_form = pytest.mark.parametrize("form", [sparsemax_by_definition, sparsemax])
every_attention = pytest.mark.parametrize("form", forms_of(sparsemax_attention))
LENGTHS = [1, 2, 7, 63, 64, 65, 1000]


@every_form
@pytest.mark.parametrize("std", [0.001, 0.1, 1.0, 100.0, 1e8])
@pytest.mark.parametrize("n", LENGTHS)
def test_it_equals_the_entmax_package_in_value_and_gradient(form, n, std):
    x = gaussian(3, n, std=std)
    assert_same(form(x), entmax.sparsemax(x, dim=-1))
    assert_same(gradients(form, x), gradients(lambda y: entmax.sparsemax(y, dim=-1), x))


@every_form
def test_it_equals_bisection(form):
    x = gaussian(4, 200, std=0.5)
    assert_same(form(x), entmax.sparsemax_bisect(x, dim=-1, n_iter=60))


@every_form
def test_no_point_of_the_simplex_is_nearer(form):
    """The projection p of x satisfies (x - p) . (y - p) <= 0 for every y of the simplex."""
    x = gaussian(5, 40, std=0.3)
    p = form(x)
    corners = torch.eye(40, dtype=x.dtype)
    products = torch.einsum("rn,rcn->rc", x - p, corners - p[:, None])
    assert products.max() <= 1e-12
    assert_same(p.sum(dim=-1), torch.ones(5, dtype=x.dtype))
    assert p.min() >= 0


@settings(derandomize=True, max_examples=60, deadline=None)
@given(
    row=st.lists(
        st.one_of(st.floats(-1e6, 1e6), st.just(-math.inf), st.integers(-3, 3)), min_size=1
    )
)
def test_any_row_agrees_with_the_sorted_form(row):
    x = torch.tensor([[float(y) for y in row]], dtype=torch.float64)
    p = sparsemax(x)
    assert_same(p, sparsemax_by_definition(x))
    assert_same(p.sum(), torch.tensor(float(x.max() > -math.inf), dtype=torch.float64))


@pytest.mark.parametrize("ratio", [0.5, 0.9, 0.999])
def test_rows_that_shed_one_entry_at_a_time_still_end(ratio):
    """Geometric gaps make Newton's method take many steps."""
    x = -(torch.tensor(ratio, dtype=torch.float64) ** torch.arange(500).flip(0))
    assert_same(sparsemax(x), sparsemax_by_definition(x))


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
def test_laws_of_sparsemax(form):
    x = gaussian(6, 70, std=1.0)
    p, order = form(x), torch.randperm(70, generator=torch.Generator().manual_seed(0))
    assert_same(form(x[:, order]), p[:, order])
    assert_same(form(x + 1000.0), p)
    assert torch.equal(form(torch.zeros(4, dtype=x.dtype)), torch.full((4,), 0.25, dtype=x.dtype))
    supports = torch.stack([(form(scale * x) > 0).sum(dim=-1) for scale in (0.001, 0.1, 1.0, 10.0)])
    assert (supports.diff(dim=0) <= 0).all()  # larger scores, fewer keys
    assert supports[0].max() == 70
    assert supports[-1].max() < 5


@every_form
def test_two_scores_have_a_closed_form(form):
    """sparsemax([t, 0]) = ((t + 1) / 2 clamped to [0, 1], the rest): Martins 2016, section 2.3."""
    t = torch.linspace(-2, 2, 41, dtype=torch.float64)
    expected = ((t + 1) / 2).clamp(0, 1)
    found = form(torch.stack([t, torch.zeros_like(t)], dim=-1))
    assert_same(found, torch.stack([expected, 1 - expected], dim=-1))


def test_gradients_by_finite_differences():
    x = gaussian(3, 12, std=0.3).requires_grad_()
    assert torch.autograd.gradcheck(sparsemax, x)
    inputs = [y.requires_grad_() for y in (gaussian(3, 4), gaussian(7, 4), gaussian(7, 2))]
    assert torch.autograd.gradcheck(sparsemax_attention, inputs)


@every_form
def test_the_gradient_stays_on_the_support_and_sums_to_zero(form):
    x = gaussian(6, 50, std=1.0)
    found = gradients(form, x)[0]
    assert (found[form(x) == 0] == 0).all()
    assert_same(found.sum(dim=-1), torch.zeros(6, dtype=x.dtype))


def plain(q, k, v, *, mask):
    scores = (q @ k.mT / math.sqrt(q.shape[-1])).masked_fill(~mask, -1e300)
    return entmax.sparsemax(scores, dim=-1) @ v


@every_attention
def test_a_mask_of_any_shape_that_broadcasts(form):
    inputs = attention_inputs(2, 3, std=0.7)
    of_each = torch.stack([random_mask(5, 37, seed=s) for s in range(6)]).view(2, 3, 5, 37)
    for mask in (of_each, of_each[:, :1], of_each[:1], of_each[0, 0], of_each[..., :1, :]):
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


@every_attention
def test_more_rows_than_a_block_holds(form):
    q, k, v = gaussian(3, 300, 8), gaussian(3, 150, 8, seed=1), gaussian(3, 150, 6, seed=2)
    mask = random_mask(300, 150)
    assert_same(form(q, k, v, mask=mask), plain(q, k, v, mask=mask))
    assert_same(gradients(form, q, k, v), gradients(sparsemax_attention_by_definition, q, k, v))


@every_attention
def test_the_order_of_the_keys_does_not_matter(form):
    q, k, v = attention_inputs(2)
    order = torch.from_numpy(np.random.default_rng(0).permutation(37))
    assert_same(form(q, k[:, order], v[:, order]), form(q, k, v))


def inputs_of_length(n):
    return gaussian(n, 8), gaussian(n, 8, seed=1), gaussian(n, 6, seed=2)


def backward(q, k, v):
    return gradients(sparsemax_attention, q, k, v)


@pytest.mark.parametrize("form", [sparsemax_attention, backward])
def test_the_largest_tensor_grows_with_the_length_and_the_work_with_its_square(form):
    assert scaling_exponent(largest_tensor, form, inputs_of_length, 256) == 1
    assert scaling_exponent(flops, form, inputs_of_length, 256) == 2
