"""What each mechanism and each mistake does to the perplexity on 768 tokens of prose."""

import math

import pytest
import torch

from attncourse.core.masks import causal_mask
from attncourse.core.patterns import sliding_window_mask
from attncourse.mechanisms.dense.softmax import attention, masked_softmax
from attncourse.mechanisms.linear.linear_transformer import elu_feature_map
from attncourse.mechanisms.serving.quantize import dequantize, quantize_int8
from attncourse.models.pretrained.prose import prose
from attncourse.models.pretrained.smollm import SmolLM


def window(n, m, *, first=0):
    """The last 129 tokens, and the `first` ones."""
    seen = sliding_window_mask(m, 128, causal=True) | (torch.arange(m) < first)
    return (seen & causal_mask(m, m))[m - n :]


def with_first(n, m):
    return window(n, m, first=4)


def top_8(q, k, v):
    """By one query at a time, since it takes no mask."""
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    best = scores.topk(min(8, scores.shape[-1]), dim=-1).indices
    seen = torch.zeros_like(scores, dtype=torch.bool).scatter(-1, best, True)
    return masked_softmax(scores, seen) @ v


def int8(x):
    return dequantize(*quantize_int8(x))


def without_a_mask(q, k, v, *, mask):
    return attention(q, k, v)


def not_scaled(q, k, v, *, mask):
    return masked_softmax(q @ k.mT, mask) @ v


def scaled_by_d(q, k, v, *, mask):
    return masked_softmax(q @ k.mT / q.shape[-1], mask) @ v


def linear(q, k, v, *, mask):
    weights = (elu_feature_map(q) @ elu_feature_map(k).mT) * mask
    return weights @ v / weights.sum(dim=-1, keepdim=True)


def in_tiled_order(q, k, v, *, mask):
    """Head i with group i mod 3 in place of i // 3."""
    return attention(q, k.repeat(3, 1, 1), v.repeat(3, 1, 1), mask=mask)


def perplexity(**sockets):
    return SmolLM.load(**sockets).perplexity(prose())


VARIANTS = {
    "full": ({}, 54.03, 0.01),
    "window": ({"mask": window}, 103.1, 0.05),
    "window and first tokens": ({"mask": with_first}, 59.95, 0.02),
    "top 8": ({"attention": top_8}, 76.2, 0.05),
    "int8": ({"storage": int8}, 53.93, 0.05),
    "no mask": ({"attention": without_a_mask}, 79.6, 0.05),
    "scaled by d": ({"attention": scaled_by_d}, 2837, 3),
    "linear": ({"attention": linear}, 2695, 3),
    "tiled": ({"grouped_attention": in_tiled_order}, 162_160, 50),
    # weights that are nearly one-hot flip with the rounding: 2,345 here, 2,550 by torch's SDPA
    "not scaled": ({"attention": not_scaled}, 2_400, 300),
}


def test_the_prose_is_768_tokens():
    assert len(SmolLM.load().encode(prose())) == 768


@pytest.mark.by_turns
@pytest.mark.parametrize("name", VARIANTS)
def test_the_perplexity_of_a_variant(name):
    sockets, expected, within = VARIANTS[name]
    assert perplexity(**sockets) == pytest.approx(expected, abs=within)


def test_the_first_tokens_alone():
    """A forward pass of a third of the length, in every run."""
    guessed = SmolLM.load().perplexity(prose(), tokens=256)
    assert guessed == pytest.approx(103.52, abs=0.02)
