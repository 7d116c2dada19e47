r"""# Positive features

Turn every number of a query or key into a positive one:

$$\phi(x) = \mathrm{elu}(x) + 1 = \begin{cases} x + 1 & x > 0 \\ e^{x} & x \le 0 \end{cases}$$

- `x` has any shape; the result has the same shape and dtype, entry by entry. There is no scale.
- Value and gradient are finite at any distance from zero, 1,000 on either side included.
"""

import torch

from attncourse.mechanisms.linear.linear_transformer import elu_feature_map as solution
from attncourse.testing import assert_same, assert_that, gaussian, gradients

difficulty, minutes = 1, 10
hints = (
    "Two formulas, one for each side of zero. Where do they meet, and with which slope?",
    "`torch.where` computes both sides everywhere, and an infinity that it drops comes back as NaN "
    "in the gradient. Clamp x before you take the exponential.",
)
forbidden = ("elu_feature_map",)


def check_equals_the_formula(student):
    """x + 1 above zero, the exponential of x below, 1 at zero"""
    for shape in ((5, 8), (11, 3)):
        x = gaussian(*shape, seed=1)
        x[0, 0] = 0.0
        assert_same(student(x), _by_cases(x))


def check_takes_any_shape(student):
    """a single number, a vector, axes of length one"""
    for shape in ((), (7,), (1, 5, 3), (2, 1, 4, 6)):
        x = gaussian(*shape, seed=2)
        assert_same(student(x), _by_cases(x))


def check_far_from_zero(student):
    """a thousand on either side of zero: value and gradient are finite and right"""
    x = torch.tensor([-1000.0, -3.0, 2.0, 1000.0], dtype=torch.float64)
    assert_same(student(x), _by_cases(x))
    (slope,) = gradients(student, x)
    assert_that(slope.isfinite().all(), "the gradient is not finite at -1,000, -3, 2 or 1,000.")
    assert_same(slope, gradients(_by_cases, x)[0], "the gradient")


def check_has_the_right_gradient(student):
    """the gradient is 1 above zero, the exponential of x below"""
    for shape in ((5, 8), (11, 3)):
        x = gaussian(*shape, seed=3)
        assert_same(gradients(student, x), gradients(_by_cases, x), "the gradient")


def check_keeps_the_dtype(student):
    """float32 numbers give float32 features"""
    x = gaussian(5, 8, seed=4).float()
    assert_same(student(x), _by_cases(x.double()).float())


def _by_cases(x):
    return x.clamp(max=0).exp() + x.clamp(min=0)


def wrong_without_the_one(x):
    """You left out the + 1, so that features are negative below zero and weights may be, too. Add
    it: elu(x) + 1.
    """
    return torch.nn.functional.elu(x)


def wrong_both_sides_everywhere(x):
    """Your values are right, but you take the exponential of large numbers too and drop it
    afterwards: an infinity times 0 is NaN in the gradient. Clamp x at 0 before the exponential.
    """
    return torch.where(x > 0, x + 1, x.exp())


def wrong_exponential_everywhere(x):
    """You took the exponential on both sides of zero. Above zero the feature is x + 1, so that it
    does not overflow: use two cases.
    """
    return x.exp()


def wrong_relu(x):
    """You gave 0 to what is below zero, and a query of negative numbers has no weights then. Below
    zero the feature is exp(x): small, and positive.
    """
    return torch.relu(x)


def wrong_relu_plus_one(x):
    """You gave 1 to everything below zero, and there the gradient is 0. Below zero the feature is
    exp(x).
    """
    return torch.relu(x) + 1


def wrong_softplus(x):
    """You took the softplus, ln(1 + exp(x)), which has nearly the same shape and other values: 0.69
    at zero. Use x + 1 above zero and exp(x) below.
    """
    return torch.nn.functional.softplus(x)


def wrong_scaled(x):
    """You divided by the root of the width first. There is no scale here: the features are of x
    itself.
    """
    width = x.shape[-1] if x.ndim else 1
    return _by_cases(x / width**0.5)


def wrong_softmax_over_the_features(x):
    """You normalised the features of a token, over the last axis. Each number is mapped by itself:
    leave the others out of it.
    """
    return torch.softmax(x, dim=-1)


def wrong_sides_exchanged(x):
    """You exchanged the sides: exp(x) is for what is below zero, x + 1 for what is above."""
    return torch.where(x > 0, x.exp(), x + 1)


def right_by_clamping(x):
    """one side each by clamping, and their sum"""
    return x.clamp(max=0).exp() + torch.relu(x)


def right_by_where_after_clamping(x):
    """`torch.where`, with the exponential of a clamped x"""
    return torch.where(x > 0, x + 1, x.clamp(max=0).exp())


def right_by_a_minimum(x):
    """exp of the smaller of x and 0, plus the larger"""
    zero = torch.zeros_like(x)
    return torch.minimum(x, zero).exp() + torch.maximum(x, zero)


def right_by_elu(x):
    """PyTorch's elu, plus 1"""
    return torch.nn.functional.elu(x) + 1
