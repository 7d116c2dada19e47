"""# Weights

The softmax of the products of queries and keys: what the attacks are asked to compute.
"""

import torch

from attncourse.measure.cost import flops, largest_tensor
from attncourse.testing import assert_same, assert_that, gaussian, gradients

difficulty, minutes = 1, 5
hints = ("Products.", "Then exponentials.")
forbidden = ("softmax",)


def solution(q, k):
    """The weights of every query (n, m).

    Time O(n m d), memory O(n m).
    """
    exponentials = (q @ k.mT).exp()
    return exponentials / exponentials.sum(-1, keepdim=True)


def check_value(student):
    """the weights are right"""
    q, k = gaussian(5, 3, std=1.0, seed=1), gaussian(7, 3, std=1.0, seed=2)
    assert_same(student(q, k), solution(q, k))
    assert_same(student(k, q), solution(k, q))


def check_gradient(student):
    """the gradients are right"""
    q, k = gaussian(4, 3, std=1.0, seed=3), gaussian(6, 3, std=1.0, seed=4)
    for ours, theirs in zip(gradients(student, q, k), gradients(solution, q, k), strict=True):
        assert_same(ours, theirs, "the gradient")


def check_cost(student):
    """no more is computed than the products"""
    q, k = gaussian(20, 3, std=1.0, seed=5), gaussian(30, 3, std=1.0, seed=6)
    assert_same(student(q, k), solution(q, k))
    assert_that(flops(student, q, k) <= 2 * 20 * 30 * 3, "you compute more than the products.")
    assert_that(largest_tensor(student, q, k) <= 20 * 30, "a tensor is larger than the weights.")


def wrong_zeros(q, k):
    """You gave zeros."""
    return torch.zeros(q.shape[0], k.shape[0], dtype=q.dtype)
