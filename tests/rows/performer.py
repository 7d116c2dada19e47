"""Random features and the Performer."""

import math
from functools import partial

import torch

from attncourse.mechanisms.linear import performer
from attncourse.testing import attention_inputs, gaussian
from rows import Mechanism
from rows.linear_transformer import tokens


def log_features(x, w):
    """|w|^2 / 2 - |y - w|^2 / 2, which is w . y - |y|^2 / 2."""
    y = x / x.shape[-1] ** 0.25
    distances = (y.unsqueeze(-2) - w).square().sum(dim=-1)
    return (w.square().sum(dim=-1) - distances) / 2


def plain_positive(x, w):
    return log_features(x, w).exp() / math.sqrt(len(w))


def plain_trigonometric(x, w):
    y = x / x.shape[-1] ** 0.25
    angles = torch.einsum("...d,rd->...r", y, w)
    both = torch.cat([angles.cos(), angles.sin()], dim=-1)
    return both * (y.square().sum(dim=-1, keepdim=True) / 2).exp() / math.sqrt(len(w))


def log_weights(q, k, w):
    pairs = log_features(q, w).unsqueeze(-2) + log_features(k, w).unsqueeze(-3)
    return torch.logsumexp(pairs, dim=-1)


def plain(q, k, v, w):
    return torch.softmax(log_weights(q, k, w), dim=-1) @ v


def plain_causal(q, k, v, w):
    future = torch.ones(q.shape[-2], q.shape[-2], dtype=torch.bool).triu(1)
    weights = torch.softmax(log_weights(q, k, w).masked_fill(future, -math.inf), dim=-1)
    return weights @ v


def directions(seed):
    return gaussian(11, 8, std=1.0, seed=seed + 9)


def inputs(*lead, std=2.0, seed=0):
    return (*attention_inputs(*lead, std=std, seed=seed), directions(seed))


def causal_inputs(*lead, std=2.0, seed=0):
    return (*tokens(*lead, std=std, seed=seed), directions(seed))


def vectors(*lead, std=2.0, seed=0):
    return gaussian(*lead, 5, 8, std=min(std, 2.0), seed=seed), directions(seed)


MECHANISMS = {
    "positive_features": Mechanism(performer.positive_features, plain_positive, vectors),
    "trigonometric_features": Mechanism(
        performer.trigonometric_features, plain_trigonometric, vectors
    ),
    "performer_attention": Mechanism(performer.performer_attention, plain, inputs),
    "causal_performer_attention": Mechanism(
        partial(performer.causal_performer_attention, chunk=4),
        plain_causal,
        causal_inputs,
    ),
}
ELSEWHERE = {performer.gaussian_features, performer.orthogonal_features}
