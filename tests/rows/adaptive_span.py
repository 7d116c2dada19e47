"""Attention with a learned span."""

import math
from functools import partial

import torch

from attncourse.mechanisms.content import adaptive_span
from attncourse.testing import attention_inputs, gaussian
from rows import Mechanism

RAMP = 5.5


def plain_span(q, k, v, span):
    """The soft mask as its logarithm, added to the scores."""
    n, m = q.shape[-2], k.shape[-2]
    distance = torch.arange(m - n, m)[:, None] - torch.arange(m)
    soft = ((RAMP + span[..., None, None] - distance) / RAMP).clamp(max=1)
    hidden = (soft <= 0) | (distance < 0)
    scores = q @ k.mT / math.sqrt(q.shape[-1]) + soft.masked_fill(hidden, 1.0).log()
    return torch.softmax(scores.masked_fill(hidden, -math.inf), dim=-1) @ v


def inputs(*lead, std=2.0, seed=0):
    """Spans of every size from a few tokens to the whole length, one for each leading index."""
    spans = 0.3 + 30 * torch.sigmoid(gaussian(*lead, std=2.0, seed=seed + 3))
    return *attention_inputs(*lead, std=std, seed=seed), spans


MECHANISMS = {
    "adaptive_span_attention": Mechanism(
        partial(adaptive_span.adaptive_span_attention, ramp=RAMP),
        plain_span,
        inputs,
    ),
}
