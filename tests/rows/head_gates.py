"""Gates on heads, and the importance of heads."""

import math

import torch

from attncourse.mechanisms.content import head_gates
from attncourse.testing import gaussian
from rows import Mechanism

H, N, E = 4, 5, 6


def plain_gates(out, gates):
    return torch.einsum("...hne,...h->...hne", out, gates)


def plain_hard_concrete(log_alpha, noise):
    s = torch.sigmoid((noise.log() - (1 - noise).log() + log_alpha) * 1.5)
    return torch.nn.functional.hardtanh(1.2 * s - 0.1, 0.0, 1.0)


def plain_settled(log_alpha):
    return torch.nn.functional.hardtanh(1.2 / (1 + (-log_alpha).exp()) - 0.1, 0.0, 1.0)


def plain_expected_l0(log_alpha):
    """One minus the chance that the stretched variable, whose distribution is known, is below 0."""
    logit = math.log(0.1 / 1.2) - math.log(1 - 0.1 / 1.2)
    return (1 - torch.sigmoid(2 / 3 * logit - log_alpha)).sum(dim=-1)


def plain_importance(gates_grad):
    return torch.linalg.vector_norm(gates_grad, ord=1, dim=-2) / gates_grad.shape[-2]


def heads_and_gates(*lead, std=2.0, seed=0):
    return gaussian(*lead, H, N, E, std=std, seed=seed), gaussian(*lead, H, seed=seed + 1)


def parameters(*lead, std=2.0, seed=0):
    return (gaussian(*lead, H, std=std, seed=seed),)


def parameters_and_noise(*lead, std=2.0, seed=0):
    noise = torch.sigmoid(gaussian(*lead, H, std=1.0, seed=seed + 1))
    return gaussian(*lead, H, std=std, seed=seed), noise


def gradients_of_samples(*lead, std=2.0, seed=0):
    return (gaussian(*lead, 7, H, std=std, seed=seed),)


MECHANISMS = {
    "gate_heads": Mechanism(head_gates.gate_heads, plain_gates, heads_and_gates),
    "hard_concrete": Mechanism(head_gates.hard_concrete, plain_hard_concrete, parameters_and_noise),
    "settled_gates": Mechanism(head_gates.settled_gates, plain_settled, parameters),
    "expected_l0": Mechanism(head_gates.expected_l0, plain_expected_l0, parameters),
    "head_importance": Mechanism(
        head_gates.head_importance, plain_importance, gradients_of_samples
    ),
}
