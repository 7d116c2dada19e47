"""Backward passes give gradients, several at once: their own file compares them with autograd's."""

from attncourse.mechanisms import forms_of
from attncourse.mechanisms.exact import backward

MECHANISMS: dict = {}
ELSEWHERE = {
    *forms_of(backward.attention_backward),
    backward.softmax_backward,
    backward.with_backward,
}
