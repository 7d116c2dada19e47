"""The truncated SVD is the best approximation of its rank; factored products cost what they say."""

import pytest
import torch

from attncourse.measure.cost import flops
from attncourse.mechanisms.low_rank.factors import (
    factored_linear,
    factored_linear_by_definition,
    truncated_svd,
    truncated_svd_by_definition,
)
from attncourse.testing import assert_same, gaussian, gradients

both = pytest.mark.parametrize("form", [truncated_svd, truncated_svd_by_definition])
SHAPES = [(5, 9), (9, 5), (7, 7), (1, 4), (4, 1)]


def product(form, a, r):
    left, right = form(a, r)
    return left @ right


def cut(a, r):
    """PyTorch's SVD with the small singular values set to zero."""
    u, s, vh = torch.linalg.svd(a, full_matrices=False)
    return u @ torch.diag_embed(torch.where(torch.arange(s.shape[-1]) < r, s, 0.0)) @ vh


@both
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("lead", [(), (3,), (2, 3), (0,)], ids=str)
def test_the_product_is_the_matrix_without_its_small_singular_values(form, shape, lead):
    a = gaussian(*lead, *shape)
    for r in range(1, min(shape) + 1):
        left, right = form(a, r)
        assert left.shape == (*lead, shape[0], r)
        assert right.shape == (*lead, r, shape[1])
        assert_same(left @ right, cut(a, r))


@both
def test_the_gradient_of_the_product_is_pytorchs(form):
    a = gaussian(2, 5, 9)
    ours = gradients(lambda a: product(form, a, 3), a)
    assert_same(ours, gradients(lambda a: cut(a, 3), a))


@both
def test_the_error_is_what_the_singular_values_left_out_say(form):
    a = gaussian(12, 9)
    s = torch.linalg.svdvals(a)
    for r in range(1, 9):
        error = a - product(form, a, r)
        assert_same(torch.linalg.matrix_norm(error), s[r:].square().sum().sqrt())
        assert_same(torch.linalg.matrix_norm(error, ord=2), s[r])


def test_no_other_matrix_of_the_rank_is_nearer():
    a, r = gaussian(12, 9), 3
    left, right = truncated_svd(a, r)
    best = (a - left @ right).norm()
    for seed in range(50):
        other = (
            left + gaussian(12, r, std=0.1, seed=seed),
            right + gaussian(r, 9, std=0.1, seed=-seed),
        )
        assert (a - other[0] @ other[1]).norm() > best
        basis = torch.linalg.qr(gaussian(9, r, seed=seed)).Q
        assert (a - a @ basis @ basis.mT).norm() > best


@both
def test_right_has_orthonormal_rows_in_order_and_left_is_a_times_their_transpose(form):
    a = gaussian(2, 12, 9)
    left, right = form(a, 4)
    assert_same(right @ right.mT, torch.eye(4, dtype=a.dtype).expand(2, 4, 4))
    assert_same(left, a @ right.mT)
    assert_same(left.norm(dim=-2), torch.linalg.svdvals(a)[..., :4])


@both
def test_a_matrix_of_low_rank_is_found_exactly(form):
    a = gaussian(12, 3) @ gaussian(3, 9, seed=1)
    assert_same(product(form, a, 3), a)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@both
def test_half_precision_is_float32_rounded_once(form, dtype):
    a = gaussian(2, 6, 5).to(dtype)
    ours, wide = form(a, 2), form(a.float(), 2)
    assert all(torch.equal(x, y.to(dtype)) for x, y in zip(ours, wide, strict=True))


@both
def test_it_runs_on_meta_and_leaves_its_argument_alone(form):
    a = gaussian(2, 6, 5)
    before = a.clone()
    form(a, 2)
    assert torch.equal(a, before)
    left, right = form(a.to("meta"), 2)
    assert (left.shape, right.shape) == ((2, 6, 2), (2, 2, 5))


@both
@pytest.mark.parametrize("r", [0, -1, 6])
def test_the_rank_must_be_possible(form, r):
    rule = rf"^r must lie between 1 and min\(n, m\)=5: got r={r}$"
    with pytest.raises(ValueError, match=rule):
        form(gaussian(5, 9), r)


def test_a_factored_product_is_the_product_with_the_truncated_matrix():
    x, w = gaussian(2, 6, 12), gaussian(12, 9, seed=1)
    assert_same(factored_linear(x, *truncated_svd(w, 4)), x @ cut(w, 4))
    assert_same(factored_linear(x, *truncated_svd(w, 9)), x @ w)


def test_the_factored_product_saves_work_below_half_the_width():
    n, d = 10, 16
    x, w = gaussian(n, d), gaussian(d, d, seed=1)
    dense = flops(torch.matmul, x, w)
    for r in (2, 7, 8, 9):
        left, right = truncated_svd(w, r)
        assert flops(factored_linear, x, left, right) == 2 * n * r * (d + d)
        saves = left.numel() + right.numel() < w.numel()
        assert saves == (r < 8) == (flops(factored_linear, x, left, right) < dense)
        assert flops(factored_linear_by_definition, x, left, right) > dense
