"""Additive scores are a network of two linear layers, a tanh and one unit on top."""

import torch
from torch import nn

from attncourse.mechanisms.dense.additive import additive_scores
from attncourse.testing import assert_same, gaussian

D_Q, D_K, R = 8, 7, 3


def inputs(*lead):
    q, k = gaussian(*lead, 5, D_Q, seed=1), gaussian(*lead, 11, D_K, seed=2)
    w_q, w_k = gaussian(D_Q, R, std=0.3, seed=3), gaussian(D_K, R, std=0.3, seed=4)
    return q, k, w_q, w_k, gaussian(R, seed=5)


def test_they_equal_the_network_built_of_pytorch_layers():
    q, k, w_q, w_k, u = inputs(2)
    layers = [nn.Linear(*w.shape, bias=False, dtype=torch.float64) for w in (w_q, w_k, u[:, None])]
    with torch.no_grad():
        for layer, w in zip(layers, (w_q, w_k, u[:, None]), strict=True):
            layer.weight.copy_(w.mT)
        for_q, for_k, top = layers
        hidden = torch.tanh(for_q(q)[:, :, None] + for_k(k)[:, None])
        assert_same(additive_scores(q, k, w_q, w_k, u), top(hidden).squeeze(-1))


def test_one_score_by_hand():
    q, k = torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0]])
    w_q, w_k, u = torch.tensor([[0.5], [0.0]]), torch.tensor([[-0.5]]), torch.tensor([2.0])
    expected = 2 * torch.tanh(torch.tensor(0.5 - 1.5)).reshape(1, 1)
    assert_same(additive_scores(q, k, w_q, w_k, u), expected)


def test_no_score_exceeds_the_sum_of_the_absolute_output_weights():
    q, k, w_q, w_k, u = inputs()
    scores = additive_scores(100 * q, 100 * k, w_q, w_k, u)
    assert (scores.abs() <= u.abs().sum() + 1e-12).all()


def test_they_are_linear_in_the_output_weights():
    q, k, w_q, w_k, u = inputs()
    assert_same(additive_scores(q, k, w_q, w_k, -3 * u), -3 * additive_scores(q, k, w_q, w_k, u))


def test_swapping_queries_and_keys_transposes_the_scores():
    q, k, w_q, w_k, u = inputs(2)
    assert_same(additive_scores(k, q, w_k, w_q, u), additive_scores(q, k, w_q, w_k, u).mT)


def test_they_pass_gradcheck():
    shapes = ((2, 3, 2), (2, 4, 3), (2, 2), (3, 2), (2,))
    inputs = [gaussian(*shape, std=1.0).requires_grad_() for shape in shapes]
    assert torch.autograd.gradcheck(additive_scores, inputs)
