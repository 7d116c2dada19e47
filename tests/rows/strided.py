"""Strided and dilated attention."""

from functools import partial

from attncourse.core.patterns import dilated_mask, strided_mask
from attncourse.mechanisms.patterns import strided
from rows import Mechanism
from rows.sliding_window import one_length, under

MECHANISMS = {
    "strided_attention": Mechanism(
        partial(strided.strided_attention, stride=12),
        under(strided_mask(151, 12)),
        one_length,
    ),
    "dilated_attention": Mechanism(
        partial(strided.dilated_attention, stride=12),
        under(dilated_mask(151, 12)),
        one_length,
    ),
}
