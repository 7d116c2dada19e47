"""Entmax-1.5, alone and in attention."""

import math

import entmax as package

from attncourse.mechanisms.content import entmax
from attncourse.testing import attention_inputs
from rows import Mechanism
from rows.sparsemax import scores


def plain_entmax15(x):
    return package.entmax15(x, dim=-1)


def plain_attention(q, k, v):
    return package.entmax15(q @ k.mT / math.sqrt(q.shape[-1]), dim=-1) @ v


MECHANISMS = {
    "entmax15": Mechanism(entmax.entmax15, plain_entmax15, scores),
    "entmax15_attention": Mechanism(entmax.entmax15_attention, plain_attention, attention_inputs),
}
