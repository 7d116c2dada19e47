"""Nyström attention, of five queries and 37 keys with three landmarks: neither is divided by 3."""

import math
from functools import partial

import torch

from attncourse.mechanisms.low_rank import nystrom
from attncourse.testing import attention_inputs
from rows import Mechanism


def plain_nystrom(q, k, v, *, landmarks):
    few_q, few_k = (
        torch.stack([part.mean(dim=-2) for part in x.tensor_split(landmarks, dim=-2)], dim=-2)
        for x in (q, k)
    )
    pairs = (q, few_k), (few_q, few_k), (few_q, k)
    left, a, right = (torch.softmax(x @ y.mT / math.sqrt(q.shape[-1]), dim=-1) for x, y in pairs)
    z = a.mT / (a.sum(dim=-2).amax(dim=-1) * a.sum(dim=-1).amax(dim=-1))[..., None, None]
    eye = torch.eye(landmarks, dtype=a.dtype)
    for _ in range(6):
        az = a @ z
        z = 0.25 * z @ (13 * eye - az @ (15 * eye - az @ (7 * eye - az)))
    return left @ z @ (right @ v)


MECHANISMS = {
    "nystrom_attention": Mechanism(
        partial(nystrom.nystrom_attention, landmarks=3),
        partial(plain_nystrom, landmarks=3),
        attention_inputs,
    ),
}
OPTIONS = {
    nystrom.iterative_inverse: {"steps": 6},
    nystrom.nystrom_attention_exact_inverse: {"landmarks": 3},
    nystrom.segment_means: {"r": 3},
}
