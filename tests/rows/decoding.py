"""One step of decoding, as a function of tensors: the cache is its first two arguments."""

import torch
from torch.nn.functional import scaled_dot_product_attention

from attncourse.core.masks import causal_mask
from attncourse.mechanisms import forms_of
from attncourse.mechanisms.serving import decoding
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


def sequence(*lead, n=11, h=4, g=2, std=2.0):
    """Queries of h heads, keys and values of g heads, of n tokens."""
    return (
        gaussian(*lead, h, n, 8, std=std),
        gaussian(*lead, g, n, 8, std=std, seed=1),
        gaussian(*lead, g, n, 6, std=std, seed=2),
    )


def token(t, *tensors):
    return tuple(x[..., t : t + 1, :] for x in tensors)


def causal(q, k, v, window=None):
    """PyTorch's causal attention, perhaps of a window."""
    mask = causal_mask(q.shape[-2], q.shape[-2])
    if window is not None:
        mask = mask & ~mask.tril(-window - 1)
    return scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True)


MECHANISMS = {
    "decode_step": Mechanism(
        output(decoding.decode_step),
        plain_step,
        tokens,
        definition=output(decoding.decode_step_by_definition),
    ),
    "grouped_decode_step": Mechanism(
        output(decoding.grouped_decode_step), plain_grouped_step, grouped_tokens
    ),
}
ELSEWHERE = {
    *forms_of(decoding.decode_step),
    decoding.grouped_decode_step,
    decoding.cached_attention,
}
