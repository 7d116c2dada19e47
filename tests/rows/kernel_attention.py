"""Kernel attention on given features, in full and causal."""

from functools import partial

import torch
from torch.nn.functional import normalize

from attncourse.mechanisms.linear import kernel_attention
from attncourse.testing import attention_inputs, gaussian
from rows import Mechanism


def plain(phi_q, phi_k, v):
    weights = torch.einsum("...nr,...mr->...nm", phi_q, phi_k)
    return normalize(weights, p=1, dim=-1) @ v


def plain_causal(phi_q, phi_k, v):
    weights = torch.einsum("...nr,...mr->...nm", phi_q, phi_k)
    return normalize(weights.tril(), p=1, dim=-1) @ v


def features(*lead, std=2.0, seed=0):
    q, k, v = attention_inputs(*lead, std=std, seed=seed)
    return q.abs(), k.abs(), v


def causal_features(*lead, std=2.0, seed=0):
    phi_q, phi_k = (gaussian(*lead, 19, 8, std=std, seed=seed + i).abs() for i in range(2))
    return phi_q, phi_k, gaussian(*lead, 19, 6, std=std, seed=seed + 2)


MECHANISMS = {
    "kernel_attention": Mechanism(kernel_attention.kernel_attention, plain, features),
    "causal_kernel_attention": Mechanism(
        partial(kernel_attention.causal_kernel_attention, chunk=4),
        plain_causal,
        causal_features,
    ),
}
