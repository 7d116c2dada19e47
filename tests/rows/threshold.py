"""Threshold attention."""

import math
from functools import partial

import torch

from attncourse.mechanisms.content import threshold
from attncourse.testing import attention_inputs
from rows import Mechanism


def plain_threshold(q, k, v):
    """The scores whose weights are under 0.04 at -inf, and softmax anew."""
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    weights = torch.softmax(scores, dim=-1)
    small = (weights < 0.04) & (scores < scores.amax(dim=-1, keepdim=True))
    return torch.softmax(scores.masked_fill(small, -math.inf), dim=-1) @ v


MECHANISMS = {
    "threshold_attention": Mechanism(
        partial(threshold.threshold_attention, threshold=0.04),
        plain_threshold,
        attention_inputs,
    ),
}
