"""Backward passes give gradients, several at once: their own file compares them with autograd's."""

from attncourse.mechanisms.exact import backward, blockwise

MECHANISMS: dict = {}
ELSEWHERE = {*backward.FORMS, backward.softmax_backward, blockwise.merge_attention}
