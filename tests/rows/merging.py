"""Attention in parts gives two tensors: its own file compares them with those of the whole."""

from attncourse.mechanisms.exact import merging

MECHANISMS: dict = {}
ELSEWHERE = {merging.attention_and_lse, merging.merge_attention, merging.empty_part}
