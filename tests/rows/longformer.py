"""A window and global tokens."""

from functools import partial

from attncourse.core.patterns import longformer_mask
from attncourse.mechanisms.patterns import longformer
from rows import Mechanism
from rows.sliding_window import one_length, under

PATTERN = {"window": 9, "global_tokens": (4, 0)}

MECHANISMS = {
    "longformer_attention": Mechanism(
        partial(longformer.longformer_attention, **PATTERN),
        under(longformer_mask(151, **PATTERN)),
        one_length,
    ),
}
