"""Quantised values are whole numbers: their own file holds most of the tests."""

from attncourse.mechanisms import forms_of
from attncourse.mechanisms.serving import quantize

MECHANISMS = {}
ELSEWHERE = {
    *forms_of(quantize.quantized_attention),
    quantize.quantize_int8,
    quantize.dequantize,
    quantize.quantize_channels,
    quantize.quantized_linear,
}
