"""Bilinear scores are PyTorch's Bilinear layer, asked for every pair."""

import torch
from torch import nn

from attncourse.mechanisms.dense.bilinear import bilinear_scores
from attncourse.testing import assert_same, gaussian


def inputs(*lead):
    return gaussian(*lead, 5, 8, seed=1), gaussian(*lead, 11, 7, seed=2), gaussian(8, 7, seed=3)


def test_they_equal_the_bilinear_layer_on_every_pair():
    q, k, w = inputs(2)
    layer = nn.Bilinear(8, 7, 1, bias=False, dtype=torch.float64)
    pairs_q = q[:, :, None].expand(2, 5, 11, 8).contiguous()
    pairs_k = k[:, None].expand(2, 5, 11, 7).contiguous()
    with torch.no_grad():
        layer.weight.copy_(w[None])
        assert_same(bilinear_scores(q, k, w), layer(pairs_q, pairs_k).squeeze(-1))


def test_the_identity_gives_the_dot_product():
    q, k = gaussian(3, 5, 8, seed=1), gaussian(3, 11, 8, seed=2)
    assert_same(bilinear_scores(q, k, torch.eye(8, dtype=torch.float64)), q @ k.mT)


def test_a_rectangular_matrix_projects_the_queries_to_the_width_of_the_keys():
    q, k, w = inputs()
    identity = torch.eye(7, dtype=torch.float64)
    assert_same(bilinear_scores(q, k, w), bilinear_scores(q @ w, k, identity))


def test_swapping_queries_and_keys_and_transposing_the_matrix_transposes_the_scores():
    q, k, w = inputs(2)
    assert_same(bilinear_scores(k, q, w.mT), bilinear_scores(q, k, w).mT)


def test_they_are_linear_in_every_argument():
    q, k, w = inputs()
    scores = bilinear_scores(q, k, w)
    for scaled in ((2 * q, k, w), (q, 2 * k, w), (q, k, 2 * w)):
        assert_same(bilinear_scores(*scaled), 2 * scores)


def test_they_pass_gradcheck():
    inputs = [gaussian(*shape).requires_grad_() for shape in ((2, 3, 2), (2, 4, 3), (2, 3))]
    assert torch.autograd.gradcheck(bilinear_scores, inputs)
