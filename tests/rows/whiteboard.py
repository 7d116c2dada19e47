"""What interviews ask to be written: attention with its weights, and heads as slices."""

from functools import partial

from attncourse.mechanisms.dense import whiteboard
from attncourse.testing import attention_inputs
from rows import Mechanism
from rows.softmax import plain_attention


def inputs(*lead, std=2.0, seed=0):
    return attention_inputs(*lead, sizes=(5, 37, 8, 6), std=std, seed=seed)


def plain_heads(query, keys, values):
    """Two heads as an axis, there and back."""
    q, k, v = (x.unflatten(-1, (2, -1)).transpose(-3, -2) for x in (query, keys, values))
    return plain_attention(q, k, v).transpose(-3, -2).flatten(-2)


MECHANISMS = {
    "multi_head_from_slices": Mechanism(
        partial(whiteboard.multi_head_from_slices, num_heads=2), plain_heads, inputs
    ),
}
ELSEWHERE = {whiteboard.attention_with_weights}
