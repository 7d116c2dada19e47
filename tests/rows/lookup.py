"""Soft lookup, weighted means and the entropy of weights."""

import torch

from attncourse.measure.weights import entropy
from attncourse.mechanisms.dense import lookup
from attncourse.testing import attention_inputs, gaussian
from rows import Mechanism

M, E = 37, 6


def plain_lookup(query, keys, values):
    weights = torch.softmax(torch.einsum("...md,...d->...m", keys, query), dim=-1)
    return torch.einsum("...m,...me->...e", weights, values)


def plain_weighted_mean(weights, values):
    return (weights.unsqueeze(-1) * values).sum(dim=-2) / weights.sum(dim=-1, keepdim=True)


def plain_entropy(weights):
    return -(weights * weights.log()).sum(dim=-1)


def table(*lead, std=2.0, seed=0):
    q, k, v = attention_inputs(*lead, std=std, seed=seed)
    return q[..., 0, :], k, v


def weights_and_values(*lead, std=2.0, seed=0):
    return gaussian(*lead, M, std=std, seed=seed).abs(), gaussian(*lead, M, E, seed=seed + 1)


def weights_alone(*lead, std=2.0, seed=0):
    return (torch.softmax(gaussian(*lead, M, std=min(std, 2.0), seed=seed), dim=-1),)


MECHANISMS = {
    "soft_lookup": Mechanism(lookup.soft_lookup, plain_lookup, table),
    "weighted_mean": Mechanism(lookup.weighted_mean, plain_weighted_mean, weights_and_values),
    "entropy": Mechanism(entropy, plain_entropy, weights_alone, rounded_once=False),
}
