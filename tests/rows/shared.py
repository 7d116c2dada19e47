"""Tied queries and keys."""

from attncourse.mechanisms.sharing import shared
from attncourse.testing import attention_inputs, gaussian
from rows import Mechanism
from rows.softmax import plain_attention


def tied(*lead, std=2.0, seed=0):
    return (*attention_inputs(*lead, std=std, seed=seed), gaussian(8, 3, std=0.3, seed=seed + 3))


def signed(*lead, std=2.0, seed=0):
    return (*tied(*lead, std=std, seed=seed), gaussian(3, std=1.0, seed=seed + 4))


def plain_tied(q, k, v, w):
    return plain_attention(q @ w, k @ w, v)


def plain_signed(q, k, v, w, signs):
    return plain_attention(q @ w @ signs.diag(), k @ w, v)


MECHANISMS = {
    "shared_attention": Mechanism(shared.shared_attention, plain_tied, tied),
    "signed_shared_attention": Mechanism(shared.signed_shared_attention, plain_signed, signed),
}
