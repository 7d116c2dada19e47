"""Block-local attention."""

from functools import partial

from attncourse.core.patterns import block_mask
from attncourse.mechanisms.patterns import block_local
from rows import Mechanism
from rows.sliding_window import one_length, under

MECHANISMS = {
    "block_attention": Mechanism(
        partial(block_local.block_attention, block=20),
        under(block_mask(151, 20)),
        one_length,
    ),
}
