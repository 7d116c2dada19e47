"""Tied queries and keys: what symmetry gives and what it takes."""

import math

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from attncourse.measure.analytic import attention_parameters
from attncourse.measure.cost import flops
from attncourse.mechanisms import forms_of
from attncourse.mechanisms.dense.bilinear import bilinear_scores
from attncourse.mechanisms.sharing.shared import shared_attention, signed_shared_attention
from attncourse.testing import assert_same, attention_inputs, gaussian, gradients

every_form = pytest.mark.parametrize("form", forms_of(shared_attention))


def inputs(*lead, std=2.0):
    return (*attention_inputs(*lead, std=std), gaussian(8, 3, std=0.3, seed=3))


def sdpa(q, k, v, w):
    return scaled_dot_product_attention(q @ w, k @ w, v)


def scores(form, x, w):
    """The scores of x with itself up to a constant a row, read off its weights."""
    return form(x, x, torch.eye(len(x), dtype=x.dtype), w).log()


@every_form
@pytest.mark.parametrize("std", [2.0, 100.0])
def test_it_equals_pytorch_in_value_and_gradient(form, std):
    arguments = inputs(2, std=std)
    assert_same(form(*arguments), sdpa(*arguments))
    assert_same(gradients(form, *arguments), gradients(sdpa, *arguments))


@every_form
def test_scores_are_symmetric_and_positive_semi_definite(form):
    """Weights tell scores up to a constant in each row: s_ij - s_ii + s_ji - s_jj <= 0."""
    log_weights = scores(form, gaussian(9, 8), gaussian(8, 3, std=0.3, seed=3))
    relative = log_weights - log_weights.diag()[:, None]
    distances = -(relative + relative.mT)  # s_ii + s_jj - 2 s_ij: squared distances
    assert distances.min() > -1e-9
    centre = torch.eye(9).double() - 1 / 9
    assert torch.linalg.eigvalsh(-centre @ distances @ centre).min() > -1e-9
    # differences around a triangle cancel only if s_ij = s_ji
    cycle = log_weights[0, 1] - log_weights[0, 2] + log_weights[1, 2] - log_weights[1, 0]
    cycle = cycle + log_weights[2, 0] - log_weights[2, 1]
    assert cycle.abs() < 1e-9


def test_signs_keep_symmetry_and_drop_definiteness():
    x, w = gaussian(9, 8), gaussian(8, 3, std=0.3, seed=3)
    signs = torch.tensor([1.0, -1.0, 1.0]).double()
    log_weights = scores(lambda *a: signed_shared_attention(*a, signs), x, w)
    cycle = log_weights[0, 1] - log_weights[0, 2] + log_weights[1, 2] - log_weights[1, 0]
    assert (cycle + log_weights[2, 0] - log_weights[2, 1]).abs() < 1e-9
    relative = log_weights - log_weights.diag()[:, None]
    assert (relative + relative.mT).max() > 0.1  # a token outscores its own diagonal


def test_signs_of_one_change_nothing_and_any_signs_are_a_bilinear_form():
    q, k, v, w = inputs(2)
    assert_same(signed_shared_attention(q, k, v, w, torch.ones(3).double()), sdpa(q, k, v, w))
    signs = gaussian(3, seed=4)
    between = bilinear_scores(q, k, w @ signs.diag() @ w.mT) / math.sqrt(3)
    assert_same(signed_shared_attention(q, k, v, w, signs), between.softmax(-1) @ v)


@every_form
def test_rotating_the_projection_changes_nothing(form):
    q, k, v, w = inputs()
    rotation, _ = torch.linalg.qr(gaussian(3, 3, seed=9))
    assert_same(form(q, k, v, w @ rotation), form(q, k, v, w))


@every_form
def test_permuting_keys_with_values_changes_nothing(form):
    q, k, v, w = inputs()
    order = torch.randperm(37, generator=torch.Generator().manual_seed(0))
    assert_same(form(q, k[order], v[order], w), form(q, k, v, w))


@every_form
def test_every_argument_has_a_gradient(form):
    assert all(gradient.abs().max() > 1e-3 for gradient in gradients(form, *inputs()))


def test_one_projection_fewer():
    arguments = inputs()
    untied = flops(sdpa, *arguments)
    assert flops(shared_attention, *arguments) == 2 * 8 * 3 * (5 + 37) + 2 * 5 * 37 * (3 + 6)
    assert untied >= flops(shared_attention, *arguments)
    d = 12
    assert attention_parameters(d, h=1, g=1) - d * d == 3 * d * d


@every_form
def test_a_matrix_that_does_not_fit_is_told(form):
    q, k, v, w = inputs()
    with pytest.raises(ValueError, match="^q and w must share d"):
        form(q, k, v, w[:5])
    with pytest.raises(ValueError, match=r"^w must have exactly 2 axes \(d, r\): got w \(8,\)$"):
        form(q, k, v, w[:, 0])
