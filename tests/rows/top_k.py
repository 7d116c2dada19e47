"""Top-k attention."""

import math
from functools import partial

import torch

from attncourse.mechanisms.content import top_k
from attncourse.testing import attention_inputs
from rows import Mechanism


def plain_topk(q, k, v):
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    last = torch.topk(scores, 4).values[..., -1:]
    return torch.softmax(scores.masked_fill(scores < last, -math.inf), dim=-1) @ v


MECHANISMS = {
    "topk_attention": Mechanism(
        partial(top_k.topk_attention, top=4),
        plain_topk,
        attention_inputs,
    ),
}
