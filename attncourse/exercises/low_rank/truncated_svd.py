r"""# The best two thin matrices

Write a matrix as nearly as possible as the product of two thin ones:

$$a \approx \mathrm{left} \cdot \mathrm{right}, \qquad
\mathrm{left} = a \, \mathrm{right}^\top, \qquad
\mathrm{right} = \text{the first } r \text{ rows of } V^\top,$$

where $a = U S V^\top$ is the singular value decomposition, the largest singular values first.

- `a` is (..., n, m), with n and m in any order, and `r` a number from 1 to the smaller of them; the
  results are `left` (..., n, r) and `right` (..., r, m), in the dtype of `a`.
- No product of such sizes is nearer to `a`, measured by the sum of the squares of all entries.
- The rows of `right` are orthonormal; the columns of `left` have the r largest singular values as
  their lengths, in falling order. The sign of each pair of a column and a row is free.
- Gradients flow through both results.

`torch.linalg.svd` may be used.
"""

import torch

from attncourse.mechanisms.low_rank.factors import truncated_svd as solution
from attncourse.testing import assert_same, assert_that, gaussian, gradients, levels

difficulty, minutes = 2, 15
hints = (
    "torch.linalg.svd(a, full_matrices=False) gives three things, of which the last is V^T "
    "already. Which axis of each counts the singular values?",
    "Keep the first r of that axis: columns of U, numbers of S, rows of V^T. S belongs to one of "
    "the two factors, and it multiplies columns: which axis does it need in front of it?",
)
forbidden = ("truncated_svd", "svd_lowrank", "pca_lowrank")

SHAPES = ((12, 7), (5, 9))


def check_is_the_best_of_its_rank(student):
    """the product is the best approximation of rank r, of tall and of wide matrices"""
    for shape in SHAPES:
        a = gaussian(*shape, seed=10)
        for r in (1, 3, 4):
            assert_same(_product(student(a, r)), _product(solution(a, r)), "left @ right")


def check_divides_the_work_between_the_factors(student):
    """`right` has orthonormal rows, the columns of `left` the singular values as lengths"""
    for shape in SHAPES:
        a = gaussian(*shape, seed=20)
        left, right = _factors(student(a, 3))
        eye = torch.eye(3, dtype=torch.float64)
        assert_same(right @ right.mT, eye, "right @ right.mT")
        assert_same(left.norm(dim=-2), torch.linalg.svdvals(a)[:3], "the lengths of left's columns")
        assert_same(left, a @ right.mT, "left")


def check_gives_all_back_at_full_rank(student):
    """with r as large as the smaller side, the product is the matrix itself"""
    for shape in (*SHAPES, (6, 1), (1, 4)):
        a = gaussian(*shape, seed=30)
        assert_same(_product(student(a, min(shape))), a, "left @ right")


def check_takes_leading_axes(student):
    """works for any leading axes, those of length one too, for each matrix by itself"""
    for lead in ((2, 3), (1,), (4, 1)):
        a = gaussian(*lead, 6, 8, seed=40)
        left, right = _factors(student(a, 2))
        theirs = solution(a, 2)
        for name, ours, other in zip(("left", "right"), (left, right), theirs, strict=True):
            assert_that(
                ours.shape == other.shape,
                f"{name} must have the shape {tuple(other.shape)}, and has {tuple(ours.shape)}.",
            )
        assert_same(left @ right, _product(theirs), "left @ right")


def check_survives_a_large_spread(student):
    """columns of very different sizes come out right"""
    for heights in ((1.0, 1e4, 30.0), (1e-3, 5.0)):
        a = gaussian(9, 7, seed=50) * levels(7, *heights)
        for r in (1, 2):
            assert_same(_product(student(a, r)), _product(solution(a, r)), "left @ right")


def check_has_the_right_gradient(student):
    """the gradient of `a` is right, through both factors"""
    for shape in ((12, 7), (9, 4)):
        a = gaussian(*shape, seed=60)
        found, expected = gradients(student, a, 1)[0], gradients(solution, a, 1)[0]
        sign = 1.0 if (found * expected).sum() >= 0 else -1.0  # of the one pair, which is free
        assert_same(sign * found, expected, "the gradient of a")


def check_keeps_the_dtype(student):
    """float32 matrices give float32 factors"""
    a = gaussian(8, 5, std=1.0, seed=70).float()
    left, right = _factors(student(a, 2))
    assert_that(
        left.dtype == right.dtype == torch.float32,
        f"left and right must be float32, as a is: they are {left.dtype} and {right.dtype}.",
    )
    assert_same(left @ right, _product(solution(a.double(), 2)).float(), "left @ right")


def _factors(found):
    pair = isinstance(found, tuple | list) and len(found) == 2
    assert_that(
        pair and all(isinstance(x, torch.Tensor) for x in found),
        "the function must return two tensors, left and right.",
    )
    left, right = found
    fits = left.ndim >= 2 and right.ndim >= 2 and left.shape[-1] == right.shape[-2]
    assert_that(
        fits and left.shape[:-2] == right.shape[:-2],
        "left (..., n, r) and right (..., r, m) must share r and their leading axes: their shapes "
        f"are {tuple(left.shape)} and {tuple(right.shape)}.",
    )
    return left, right


def _product(found):
    left, right = _factors(found)
    return left @ right


def _svd(a):
    return torch.linalg.svd(a, full_matrices=False)


def wrong_singular_values_left_out(a, r):
    """You left the singular values out: u times v^T has stripes that are all equally strong.
    Multiply the columns of u by s.
    """
    u, _, vh = _svd(a)
    return u[..., :r], vh[..., :r, :]


def wrong_singular_values_twice(a, r):
    """You multiplied both factors by the singular values, so that the product holds their squares.
    They belong into left alone.
    """
    u, s, vh = _svd(a)
    return u[..., :r] * s[..., None, :r], s[..., :r, None] * vh[..., :r, :]


def wrong_roots_on_both_sides(a, r):
    """You gave each factor the root of the singular values. The product is right, and the rows of
    right are not orthonormal any more: put all of s into left.
    """
    u, s, vh = _svd(a)
    root = s.sqrt()
    return u[..., :r] * root[..., None, :r], root[..., :r, None] * vh[..., :r, :]


def wrong_singular_values_in_right(a, r):
    """You multiplied the rows of right by the singular values. The product is right, but it is left
    whose columns have those lengths: right stays orthonormal.
    """
    u, s, vh = _svd(a)
    return u[..., :r], s[..., :r, None] * vh[..., :r, :]


def wrong_smallest_kept(a, r):
    """You kept the last r singular values, the smallest. They come in falling order: keep the
    first.
    """
    u, s, vh = _svd(a)
    return u[..., -r:] * s[..., None, -r:], vh[..., -r:, :]


def wrong_eigenvalues_ascend(a, r):
    """You took the first eigenvectors of a^T a. `eigh` sorts upwards, so that these belong to the
    smallest: take the last r, and turn their order round.
    """
    vectors = torch.linalg.eigh(a.mT @ a).eigenvectors[..., :r]
    return a @ vectors, vectors.mT


def wrong_rising_order(a, r):
    """You have the right r pairs in rising order. The strongest comes first: flip the columns of
    left and the rows of right.
    """
    u, s, vh = _svd(a)
    return (u * s[..., None, :])[..., :r].flip(-1), vh[..., :r, :].flip(-2)


def wrong_columns_of_vh(a, r):
    """You took columns of V^T for its rows. The third result of `torch.linalg.svd` is transposed
    already, in contrast to `torch.svd`: take its first r rows.
    """
    u, s, vh = _svd(a)
    return u[..., :r] * s[..., None, :r], vh[..., :r].mT


def wrong_rows_scaled(a, r):
    """You multiplied u by s along its rows. Each column of u has a singular value: s needs an axis
    of length one in front of its last.
    """
    u, s, vh = _svd(a)
    tall = torch.zeros_like(u[..., :, :r])
    size = min(u.shape[-2], s.shape[-1])
    tall[..., :size, :] = s[..., :size, None] * u[..., :size, :r]
    return tall, vh[..., :r, :]


def wrong_squared_singular_values(a, r):
    """You multiplied by the eigenvalues of a^T a, which are the singular values squared. Take their
    roots.
    """
    u, s, vh = _svd(a)
    return u[..., :r] * s[..., None, :r] ** 2, vh[..., :r, :]


def wrong_mean_subtracted(a, r):
    """You subtracted the mean of each column first, as principal components do. Here the matrix is
    decomposed as it is: leave the mean in.
    """
    u, s, vh = _svd(a - a.mean(dim=-2, keepdim=True))
    return u[..., :r] * s[..., None, :r], vh[..., :r, :]


def wrong_vectors_without_gradient(a, r):
    """You decomposed without gradient, so that right counts as a constant: only left = a right^T
    has one. Leave `detach` and `no_grad` away.
    """
    right = _svd(a.detach())[2][..., :r, :]
    return a @ right.mT, right


def wrong_float64_returned(a, r):
    """You return float64 whatever comes in. The factors have the dtype of `a`: convert them back
    at the end.
    """
    u, s, vh = _svd(a.double())
    return u[..., :r] * s[..., None, :r], vh[..., :r, :]


def right_by_the_svd(a, r):
    """the first r of each"""
    u, s, vh = torch.linalg.svd(a, full_matrices=False)
    left = u[..., :, :r] * s[..., None, :r]
    right = vh[..., :r, :]
    return left, right


def right_by_projection(a, r):
    """the rows first, then the matrix seen through them"""
    right = _svd(a)[2][..., :r, :]
    return a @ right.mT, right


def right_by_a_diagonal_matrix(a, r):
    """the singular values as a matrix"""
    u, s, vh = _svd(a)
    return (u @ torch.diag_embed(s))[..., :r], vh[..., :r, :]


shown = right_by_the_svd
