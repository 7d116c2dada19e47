"""One step of decoding, as a function of tensors: the cache is its first two arguments."""

import torch

from attncourse.mechanisms import forms_of
from attncourse.mechanisms.serving import cache
from attncourse.testing import gaussian
from rows import Mechanism
from rows.grouped_query import of_repeated_heads
from rows.softmax import plain_attention


def tokens(*lead, std=2.0, seed=0):
    """Cached keys and values of 36 tokens, then q, k and v of one token."""
    shapes = (36, 8), (36, 6), (1, 8), (1, 8), (1, 6)
    return tuple(gaussian(*lead, *s, std=std, seed=seed + i) for i, s in enumerate(shapes))


def grouped_tokens(*lead, std=2.0, seed=0):
    shapes = (2, 36, 8), (2, 36, 6), (4, 1, 8), (2, 1, 8), (2, 1, 6)
    return tuple(gaussian(*lead, *s, std=std, seed=seed + i) for i, s in enumerate(shapes))


def output(step):
    """A step as a function of tensors, of which the output is taken."""

    def run(keys, values, q, k, v):
        return step((keys, values), q, k, v)[0]

    return run


def plain_step(keys, values, q, k, v):
    return plain_attention(q, torch.cat([keys, k], dim=-2), torch.cat([values, v], dim=-2))


def plain_grouped_step(keys, values, q, k, v):
    return of_repeated_heads(q, torch.cat([keys, k], dim=-2), torch.cat([values, v], dim=-2))


MECHANISMS = {
    "decode_step": Mechanism(
        output(cache.decode_step),
        plain_step,
        tokens,
        definition=output(cache.decode_step_by_definition),
    ),
    "grouped_decode_step": Mechanism(
        output(cache.grouped_decode_step), plain_grouped_step, grouped_tokens
    ),
}
ELSEWHERE = {*forms_of(cache.decode_step), cache.grouped_decode_step, cache.cached_attention}
