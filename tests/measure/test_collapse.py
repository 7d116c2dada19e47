"""How far tokens are from being all the same."""

import math

import pytest
import torch

from attncourse.measure.collapse import distance_from_mean
from attncourse.testing import assert_same, gaussian


def test_by_hand():
    x = torch.tensor([[3.0, 0.0], [1.0, 0.0]], dtype=torch.float64)  # the mean is 2
    assert distance_from_mean(x).item() == pytest.approx(math.sqrt(2 / 10))


def test_no_matrix_of_equal_rows_is_nearer():
    x = gaussian(5, 7)
    away = distance_from_mean(x) * x.norm()
    for seed in range(20):
        row = x.mean(dim=-2, keepdim=True) + gaussian(1, 7, std=0.1, seed=seed)
        assert (x - row).norm() > away


def test_scale_order_and_leading_axes_do_not_matter():
    x = gaussian(3, 5, 7)
    assert_same(distance_from_mean(x), torch.stack([distance_from_mean(one) for one in x]))
    assert_same(distance_from_mean(x), distance_from_mean(4 * x.flip(-2)))


def test_independent_tokens_have_the_root_of_one_minus_one_over_n():
    x = gaussian(400, 4, 64)
    expected = math.sqrt(1 - 1 / 4)
    assert distance_from_mean(x).mean().item() == pytest.approx(expected, abs=0.005)
