"""Entropy tells even weights from peaked ones."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from attncourse.measure.weights import entropy
from attncourse.mechanisms.dense.softmax import softmax
from attncourse.testing import assert_same, gaussian, gradients


@pytest.mark.parametrize("m", [1, 2, 3, 37])
def test_even_weights_have_entropy_log_m(m):
    weights = torch.full((m,), 1 / m, dtype=torch.float64)
    assert float(entropy(weights)) == pytest.approx(math.log(m))


@pytest.mark.parametrize("m", [1, 2, 37])
def test_a_single_weight_has_entropy_zero(m):
    assert torch.equal(entropy(torch.eye(m)), torch.zeros(m))


def test_unequal_weights_by_hand():
    expected = 0.5 * math.log(2) + 2 * 0.25 * math.log(4)
    assert float(entropy(torch.tensor([0.5, 0.25, 0.0, 0.25]))) == pytest.approx(expected)


@given(m=st.integers(1, 9), std=st.sampled_from([0.1, 1.0, 10.0]), seed=st.integers(0, 1000))
@settings(derandomize=True, max_examples=25, deadline=None)
def test_entropy_lies_between_zero_and_log_m_and_order_does_not_matter(m, std, seed):
    weights = softmax(gaussian(3, m, std=std, seed=seed))
    found = entropy(weights)
    assert (found >= 0).all()
    assert (found <= math.log(m) + 1e-12).all()
    assert_same(entropy(weights.flip(-1)), found)


def test_the_entropy_of_a_softmax_has_the_gradient_of_its_formula():
    def formula(x):
        return -(softmax(x) * torch.log_softmax(x, dim=-1)).sum(dim=-1)

    x = gaussian(5, 7)
    (ours,), (theirs,) = gradients(lambda x: entropy(softmax(x)), x), gradients(formula, x)
    assert_same(ours, theirs)
