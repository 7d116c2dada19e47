"""Cosine scores depend on direction alone, for tiny vectors and for huge ones."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from attncourse.mechanisms import forms_of
from attncourse.mechanisms.dense.cosine import cosine_scores
from attncourse.testing import assert_same, gaussian, gradients

every_form = pytest.mark.parametrize("form", forms_of(cosine_scores))


def inputs(*lead):
    return gaussian(*lead, 5, 8, seed=1), gaussian(*lead, 11, 8, seed=2)


@given(
    q_power=st.integers(-300, 300),
    k_power=st.integers(-300, 300),
    seed=st.integers(0, 1000),
)
@settings(derandomize=True, max_examples=25, deadline=None)
def test_the_lengths_of_the_vectors_do_not_matter_however_tiny_or_huge(q_power, k_power, seed):
    q, k = gaussian(5, 8, seed=seed), gaussian(11, 8, seed=seed + 1)
    scaled = cosine_scores(q * 10.0**q_power, k * 10.0**k_power)
    assert_same(scaled, cosine_scores(q, k))


@pytest.mark.parametrize(
    ("dtype", "power"), [(torch.float32, 30), (torch.bfloat16, 30), (torch.float16, 3)], ids=str
)
def test_that_holds_in_narrow_dtypes_too(dtype, power):
    q, k = (x.to(dtype) for x in inputs())
    expected = cosine_scores(q.double(), k.double())
    shrunk, grown = (q.double() * 2.0**-power).to(dtype), (k.double() * 2.0**power).to(dtype)
    scores = cosine_scores(shrunk, grown)
    assert (scores - expected).abs().max() <= torch.finfo(dtype).eps


@pytest.mark.parametrize("scale", [1e-150, 1e-20, 1e20, 1e150])
def test_the_gradient_scales_with_the_inverse_length(scale):
    q, k = inputs()
    expected = gradients(cosine_scores, q, k)
    found = gradients(cosine_scores, q * scale, k * scale)
    for a, b in zip(found, expected, strict=True):
        assert_same(a * scale, b)


def test_the_gradient_stands_at_a_right_angle_to_the_vector():
    q, k = inputs()
    for x, gradient in zip((q, k), gradients(cosine_scores, q, k), strict=True):
        assert_same((x * gradient).sum(dim=-1), torch.zeros(len(x), dtype=torch.float64))


def test_scores_lie_between_minus_one_and_one_and_reach_both():
    q, _ = inputs()
    scores = cosine_scores(q, torch.cat([q, -q]))
    assert (scores.abs() <= 1 + 1e-15).all()
    assert_same(scores[:, :5].diagonal(), torch.ones(5, dtype=torch.float64))
    assert_same(scores[:, 5:].diagonal(), -torch.ones(5, dtype=torch.float64))


def test_turning_queries_and_keys_together_changes_nothing():
    q, k = inputs()
    rotation, _ = torch.linalg.qr(gaussian(8, 8, seed=3))
    assert_same(cosine_scores(q @ rotation, k @ rotation), cosine_scores(q, k))


@every_form
def test_a_zero_vector_has_score_zero_and_finite_gradients(form):
    q, k = inputs(2)
    q[0, 1], k[1, 4] = 0.0, 0.0
    scores = form(q, k)
    assert scores.isfinite().all()
    assert not scores[0, 1].any()
    assert not scores[1, :, 4].any()
    assert all(gradient.isfinite().all() for gradient in gradients(form, q, k))


def test_everything_zero_is_zero():
    nothing = torch.zeros(3, 4)
    assert not cosine_scores(nothing, nothing).any()
    for gradient in gradients(cosine_scores, nothing, nothing):
        assert not gradient.any()


def test_a_nan_reaches_its_own_query_or_key_alone():
    q, k = inputs()
    q[1, 0], k[7, 2] = math.nan, math.nan
    nan = cosine_scores(q, k).isnan()
    expected = torch.zeros(5, 11, dtype=torch.bool)
    expected[1], expected[:, 7] = True, True
    assert torch.equal(nan, expected)


def test_they_pass_gradcheck():
    q, k = gaussian(2, 3, 3).requires_grad_(), gaussian(2, 4, 3, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(cosine_scores, (q, k))
