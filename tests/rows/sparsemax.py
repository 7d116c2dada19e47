"""Sparsemax, alone and in attention."""

import math

import entmax

from attncourse.mechanisms.content import sparsemax
from attncourse.testing import attention_inputs, gaussian
from rows import Mechanism


def plain_sparsemax(x):
    return entmax.sparsemax(x, dim=-1)


def plain_attention(q, k, v):
    return entmax.sparsemax(q @ k.mT / math.sqrt(q.shape[-1]), dim=-1) @ v


def scores(*lead, std=2.0, seed=0):
    return (gaussian(*lead, 5, 137, std=std, seed=seed),)


MECHANISMS = {
    "sparsemax": Mechanism(sparsemax.sparsemax, plain_sparsemax, scores),
    "sparsemax_attention": Mechanism(
        sparsemax.sparsemax_attention, plain_attention, attention_inputs
    ),
}
