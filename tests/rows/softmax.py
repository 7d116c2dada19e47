"""Softmax, masked softmax and attention."""

import math

import torch

from attncourse.mechanisms.dense import softmax
from attncourse.testing import attention_inputs, gaussian, random_mask
from rows import Mechanism


def plain_attention(q, k, v):
    return torch.softmax(q @ k.mT / math.sqrt(q.shape[-1]), dim=-1) @ v


def plain_softmax(x):
    return torch.softmax(x, dim=-1)


def plain_masked_softmax(scores, mask):
    weights = torch.softmax(scores.masked_fill(~mask, -math.inf), dim=-1)
    return weights.masked_fill(~mask.any(dim=-1, keepdim=True), 0.0)


def scores(*lead, std=2.0, seed=0):
    return (gaussian(*lead, 5, 37, std=std, seed=seed),)


def masked_scores(*lead, std=2.0, seed=0):
    return (*scores(*lead, std=std, seed=seed), random_mask(5, 37, empty_row=2, seed=seed))


MECHANISMS = {
    "attention": Mechanism(softmax.attention, plain_attention, attention_inputs),
    "softmax": Mechanism(softmax.softmax, plain_softmax, scores),
    "masked_softmax": Mechanism(softmax.masked_softmax, plain_masked_softmax, masked_scores),
}
