"""Segment recurrence."""

import math
from functools import partial

import torch

from attncourse.mechanisms.sharing import segments
from attncourse.testing import gaussian
from rows import Mechanism

SIZES = {"segment": 4, "memory": 6}


def projections(std, seed):
    shapes = (9, 8), (9, 8), (9, 6)
    return [gaussian(*shape, std=std, seed=seed + i) for i, shape in enumerate(shapes)]


def with_memory(*lead, std=2.0, seed=0):
    x, memory = gaussian(*lead, 5, 9, std=std, seed=seed), gaussian(*lead, 7, 9, seed=seed + 1)
    return x, memory, *projections(0.3, seed + 2)


def whole(*lead, std=2.0, seed=0):
    return gaussian(*lead, 13, 9, std=std, seed=seed), *projections(0.3, seed + 1)


def plain_segment(x, memory, w_q, w_k, w_v):
    past = torch.cat([memory.detach(), x], dim=-2)
    n, m = x.shape[-2], past.shape[-2]
    future = torch.ones(n, m, dtype=torch.bool, device=x.device).triu(1 + m - n)
    scores = ((x @ w_q) @ (past @ w_k).mT / math.sqrt(w_q.shape[-1])).masked_fill(future, -math.inf)
    return scores.softmax(-1) @ (past @ w_v)


def plain_recurrence(x, w_q, w_k, w_v):
    pieces = x.split(SIZES["segment"], dim=-2)
    outputs, past = [], x[..., :0, :]
    for piece in pieces:
        outputs.append(plain_segment(piece, past, w_q, w_k, w_v))
        past = torch.cat([past, piece], dim=-2)[..., -SIZES["memory"] :, :]
    return torch.cat(outputs, dim=-2)


MECHANISMS = {
    "segment_attention": Mechanism(segments.segment_attention, plain_segment, with_memory),
    "segment_recurrence": Mechanism(
        partial(segments.segment_recurrence, **SIZES),
        plain_recurrence,
        whole,
    ),
}
