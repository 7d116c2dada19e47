"""Ring attention, as a function of whole tensors that are cut over three workers."""

import math

import torch

from attncourse.mechanisms import forms_of
from attncourse.mechanisms.serving import distributed_ring, ring
from attncourse.testing import attention_inputs, gaussian
from rows import Mechanism
from rows.softmax import plain_attention

QUERIES, KEYS = (1, 2, 2), (20, 6, 11)


def of_shards(function):
    """A function of three lists of shards as one of three tensors."""

    def run(q, k, v):
        shards = q.split(QUERIES, dim=-2), k.split(KEYS, dim=-2), v.split(KEYS, dim=-2)
        return torch.cat(function(*shards), dim=-2)

    return run


def plain_causal(q, k, v):
    n, m = q.shape[-2], k.shape[-2]
    future = torch.ones(n, m, dtype=torch.bool, device=q.device).triu(1 + m - n)
    scores = (q @ k.mT / math.sqrt(q.shape[-1])).masked_fill(future, -math.inf)
    return scores.softmax(-1) @ v


def shards(queries, keys, *lead, std=2.0):
    """Lists of shards of the given lengths."""
    return (
        [gaussian(*lead, n, 8, std=std, seed=3 * i) for i, n in enumerate(queries)],
        [gaussian(*lead, m, 8, std=std, seed=3 * i + 1) for i, m in enumerate(keys)],
        [gaussian(*lead, m, 6, std=std, seed=3 * i + 2) for i, m in enumerate(keys)],
    )


MECHANISMS = {
    "ring_attention": Mechanism(
        of_shards(ring.ring_attention),
        plain_attention,
        attention_inputs,
        definition=of_shards(ring.ring_attention_by_definition),
    ),
    "causal_ring_attention": Mechanism(
        of_shards(ring.causal_ring_attention),
        plain_causal,
        attention_inputs,
        definition=of_shards(ring.causal_ring_attention_by_definition),
    ),
}
ELSEWHERE = {
    *forms_of(ring.ring_attention),
    *forms_of(ring.causal_ring_attention),
    distributed_ring.ring_attention_distributed,
}
