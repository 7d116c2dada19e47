"""Additive, bilinear and cosine scores."""

import torch
from torch.nn.functional import cosine_similarity, normalize

from attncourse.mechanisms.dense import additive, bilinear, cosine
from attncourse.testing import attention_inputs, gaussian
from rows import Mechanism

N, M, D, D_K, R = 5, 37, 8, 7, 3


def plain_additive(q, k, w_q, w_k, u):
    return torch.tanh((q @ w_q).unsqueeze(-2) + (k @ w_k).unsqueeze(-3)) @ u


def plain_bilinear(q, k, w):
    return torch.einsum("...na,ab,...mb->...nm", q, w, k)


def plain_cosine(q, k):
    return cosine_similarity(q.unsqueeze(-2), k.unsqueeze(-3), dim=-1)


def plain_direction(x):
    return x / x.norm(dim=-1, keepdim=True)


def normalize_last(x):
    return normalize(x, dim=-1)


def pairs(*lead, std=2.0, seed=0):
    return attention_inputs(*lead, std=std, seed=seed)[:2]


def ragged_pairs(*lead, std=2.0, seed=0):
    q = gaussian(*lead, N, D, std=std, seed=seed)
    return q, gaussian(*lead, M, D_K, std=std, seed=seed + 1)


def additive_inputs(*lead, std=2.0, seed=0):
    w_q, w_k = gaussian(D, R, std=0.3, seed=seed + 2), gaussian(D_K, R, std=0.3, seed=seed + 3)
    return (*ragged_pairs(*lead, std=std, seed=seed), w_q, w_k, gaussian(R, seed=seed + 4))


def bilinear_inputs(*lead, std=2.0, seed=0):
    return (*ragged_pairs(*lead, std=std, seed=seed), gaussian(D, D_K, seed=seed + 2))


def vectors(*lead, std=2.0, seed=0):
    return (gaussian(*lead, N, D, std=std, seed=seed),)


MECHANISMS = {
    "additive_scores": Mechanism(additive.additive_scores, plain_additive, additive_inputs),
    "bilinear_scores": Mechanism(bilinear.bilinear_scores, plain_bilinear, bilinear_inputs),
    "direction": Mechanism(cosine.direction, normalize_last, vectors, definition=plain_direction),
    "cosine_scores": Mechanism(cosine.cosine_scores, plain_cosine, pairs),
}
