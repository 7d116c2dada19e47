"""Attention in tiles."""

from functools import partial

from attncourse.mechanisms.exact import blockwise
from attncourse.testing import attention_inputs
from rows import Mechanism
from rows.softmax import plain_attention

MECHANISMS = {
    "blockwise_attention": Mechanism(
        partial(blockwise.blockwise_attention, block=4),
        plain_attention,
        attention_inputs,
    ),
}
