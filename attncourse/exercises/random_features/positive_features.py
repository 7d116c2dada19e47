r"""# Features of the exponential

Turn queries and keys into features whose products are, on average over the directions, the
exponentials of their scores. With $y = x / d^{1/4}$ and r directions $w_l$:

$$\phi(x)_l = \frac{1}{\sqrt r} \exp\left(w_l \cdot y - \frac{|y|^2}{2}\right).$$

- `x` is (..., n, d), queries or keys, not scaled yet; `w` is (r, d), one direction a row. The
  result is (..., n, r) in the dtype of `x`, and its gradient is right.
- Nothing is added, and nothing is divided by a sum: all features are above 0, or 0 where they are
  too small for the dtype.
- Long vectors are safe: their features may be 0, and are never NaN.
"""

import math

import torch

from attncourse.exercises.random_features._inputs import of_length
from attncourse.mechanisms.linear.performer import positive_features as solution
from attncourse.testing import assert_same, gaussian, gradients

difficulty, minutes = 2, 15
hints = (
    "One token and one direction first: divide the token by d to the power 1/4, take its product "
    "with the direction, subtract half of its own squared length, and only then the exponential.",
    "All products at once are a product of matrices, (n, d) with (d, r). Half of the squared "
    "length is one number a token: keep its axis, so that it is subtracted from all r.",
)
forbidden = ("positive_features",)

SIZES = ((5, 8, 11), (9, 3, 6))  # n, d, r


def check_equals_the_formula(student):
    """equals the formula, entry by entry, for vectors along a direction, too: large features"""
    for sizes in SIZES:
        x, w = _inputs(sizes=sizes, seed=10)
        assert_same(student(x, w), _by_entries(x, w))
        w = 3 * w
        along = 1.5 * w * sizes[1] ** 0.25
        assert_same(student(along, w), _by_entries(along, w))


def check_takes_leading_axes(student):
    """works for any batch and head axes, those of length one too; one token, one direction"""
    for lead, sizes in (
        ((2, 3), SIZES[0]),
        ((1,), SIZES[1]),
        ((4, 1), (1, 3, 6)),
        ((2,), (9, 3, 1)),
    ):
        x, w = _inputs(*lead, sizes=sizes, seed=20)
        assert_same(student(x, w), _by_entries(x, w))


def check_long_vectors_are_safe(student):
    """vectors of lengths far apart within a row; very long ones have features of 0, not NaN"""
    x, w = _inputs(sizes=SIZES[0], seed=30)
    for lengths in ((0.0, 1.0, 5.0, 20.0, 30.0), (2.0, 1e3, 1e4, 2e3, 1.0)):
        spread = of_length(x, lengths)
        assert_same(student(spread, w), _by_entries(spread, w))


def check_has_the_right_gradient(student):
    """the gradients of x and of the directions are right"""
    for sizes in SIZES:
        x, w = _inputs(sizes=sizes, std=1.0, seed=40)
        expected = gradients(_by_entries, x, w)
        for name, a, b in zip("xw", gradients(student, x, w), expected, strict=True):
            assert_same(a, b, f"the gradient of {name}")


def check_keeps_the_dtype(student):
    """float32 vectors give float32 features"""
    x, w = (y.float() for y in _inputs(sizes=SIZES[0], std=1.0, seed=50))
    assert_same(student(x, w), _by_entries(x.double(), w.double()).float())


def _inputs(*lead, sizes, std=2.0, seed):
    n, d, r = sizes
    return gaussian(*lead, n, d, std=std, seed=seed), gaussian(r, d, std=1.0, seed=seed + 1)


def _by_entries(x, w):
    """|w|^2 / 2 - |y - w|^2 / 2 is w . y - |y|^2 / 2; exact for any length."""
    y = x / x.shape[-1] ** 0.25
    exponents = (y[..., None, :] * w).sum(dim=-1) - (y * y).sum(dim=-1)[..., None] / 2
    return exponents.exp() / w.shape[0] ** 0.5


def _features(y, w, norm=0.5):
    """The features of vectors that are scaled already."""
    return (y @ w.mT - norm * y.square().sum(dim=-1, keepdim=True)).exp() / math.sqrt(len(w))


def _y(x):
    return x / x.shape[-1] ** 0.25


def wrong_not_scaled(x, w):
    """You did not divide x by d to the power 1/4. A query and a key both are, so that their product
    is divided by the root of d, as in the softmax.
    """
    return _features(x, w)


def wrong_scaled_by_the_root(x, w):
    """You divided x by the root of d. Queries and keys are both divided, so that their product is
    divided by d: take d to the power 1/4.
    """
    return _features(x / math.sqrt(x.shape[-1]), w)


def wrong_length_not_halved(x, w):
    """You subtracted the squared length whole. Halve it, or the products have another mean."""
    return _features(_y(x), w, norm=1.0)


def wrong_length_added(x, w):
    """You added half of the squared length. That belongs to sines and cosines: here subtract it."""
    return _features(_y(x), w, norm=-0.5)


def wrong_length_forgotten(x, w):
    """You took the exponential of the product alone. Its mean is exp(|y|^2 / 2), and not 1:
    subtract half of the squared length.
    """
    return _features(_y(x), w, norm=0.0)


def wrong_length_not_squared(x, w):
    """You subtracted half of the length and not of its square. Sum the squares, without a root."""
    y = _y(x)
    return (y @ w.mT - y.norm(dim=-1, keepdim=True) / 2).exp() / math.sqrt(len(w))


def wrong_length_before_the_scale(x, w):
    """You subtracted the squared length of x as it came in. Both terms are of y, the scaled one."""
    half = x.square().sum(dim=-1, keepdim=True) / 2
    return (_y(x) @ w.mT - half).exp() / math.sqrt(len(w))


def wrong_directions_measured(x, w):
    """You subtracted half of the squared lengths of the directions. It is the token's length that
    counts, one number for all its features.
    """
    return (_y(x) @ w.mT - w.square().sum(dim=-1) / 2).exp() / math.sqrt(len(w))


def wrong_no_mean(x, w):
    """You did not divide by the root of r, so that products are sums over the directions and not
    means: they grow with r.
    """
    return _features(_y(x), w) * math.sqrt(len(w))


def wrong_divided_by_r(x, w):
    """You divided by r. A query and a key both have the factor, so that the product is divided by r
    squared: take the root of r.
    """
    return _features(_y(x), w) / math.sqrt(len(w))


def wrong_largest_taken_away(x, w):
    """You subtracted each token's largest exponent, as a stable softmax does. There is no sum here
    to divide by, so that it changes the features: leave it for the attention.
    """
    y = _y(x)
    logs = y @ w.mT - y.square().sum(dim=-1, keepdim=True) / 2
    return (logs - logs.amax(dim=-1, keepdim=True)).exp() / math.sqrt(len(w))


def wrong_two_exponentials(x, w):
    """You took two exponentials and multiplied: for long vectors one is infinite, the other 0, and
    their product NaN. Subtract first, then take one exponential.
    """
    y = _y(x)
    half = y.square().sum(dim=-1, keepdim=True) / 2
    return (y @ w.mT).exp() * (-half).exp() / math.sqrt(len(w))


def wrong_float64_returned(x, w):
    """You return float64 whatever comes in. The features have the dtype of x: convert them back."""
    return _features(_y(x.double()), w.double())


def wrong_axes_of_length_one_dropped(x, w):
    """You squeezed the result and lost axes of length one. Keep the shape (..., n, r), whatever the
    sizes.
    """
    return _features(_y(x), w).squeeze()


def wrong_width_written_down(x, w):
    """You divided by the fourth root of 8, whatever the width is: a size is written into the code.
    Take it from the shape.
    """
    return _features(x / 8**0.25, w)


def right_by_distances(x, w):
    """half of the direction's squared length minus half of the squared distance to it"""
    y = _y(x)
    apart = y[..., None, :] - w
    exponents = (w.square().sum(dim=-1) - apart.square().sum(dim=-1)) / 2
    return exponents.exp() / math.sqrt(len(w))


def right_by_einsum(x, w):
    """the same in letters"""
    y = _y(x)
    exponents = torch.einsum("...nd,rd->...nr", y, w)
    exponents = exponents - torch.einsum("...nd,...nd->...n", y, y)[..., None] / 2
    return exponents.exp() * len(w) ** -0.5


def right_direction_by_direction(x, w):
    """a loop over the directions, stacked at the end"""
    y = _y(x)
    half = y.square().sum(dim=-1) / 2
    return torch.stack([((y * one).sum(-1) - half).exp() for one in w], dim=-1) / math.sqrt(len(w))


def right_by_a_matrix_product(x, w):
    """one product of matrices, one length a token"""
    r, d = w.shape
    y = x / d**0.25
    half_square = y.square().sum(dim=-1, keepdim=True) / 2
    return (y @ w.mT - half_square).exp() / math.sqrt(r)


shown = right_by_a_matrix_product
