"""# Twice a tensor

Compute $2 x + p$ for a tensor `x` and the number `plus`.
"""

from attncourse.testing import assert_same, gaussian, gradients

difficulty, minutes = 1, 5
hints = ("Twice is a sum.", "Write `x + x`, then add the number.")
forbidden = ("softmax",)


def solution(x, *, plus=0.0):
    """Twice x, and a number more.

    Time and memory O(n).
    """
    twice_the_tensor = x + x
    return twice_the_tensor + plus


def check_doubles_a_matrix(student):
    """doubles every entry of a matrix"""
    x = gaussian(3, 5)
    assert_same(student(x), 2 * x)


def check_adds_the_number(student):
    """adds the number after doubling"""
    x = gaussian(7, seed=1)
    assert_same(student(x, plus=1.5), 2 * x + 1.5)


def check_has_the_right_gradient(student):
    """the gradient is two"""
    x = gaussian(6, seed=2)
    assert_same(gradients(student, x), gradients(solution, x), "the gradient")


def wrong_squared(x, *, plus=0.0):
    """You squared x. Twice a number is
    a sum: add x to itself.
    """
    return x * x + plus


def wrong_number_forgotten(x, *, plus=0.0):
    """You left the number out. Add it at the end."""
    return 2 * x


def right_by_product(x, *, plus=0.0):
    """a product instead of a sum"""
    return 2 * x + plus
