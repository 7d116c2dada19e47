"""LSH attention: 37 tokens, three rounds of four buckets, chunks of five tokens."""

import math
from functools import partial

import torch

from attncourse.mechanisms.content import lsh
from attncourse.testing import gaussian
from rows import Mechanism


def visible(qk, rotations, *, chunk, causal):
    """The pairs that meet in any round, by sorting lists; a token alone sees itself."""
    n = len(qk)
    pairs = set()
    for rotation in rotations.detach().double():
        directions = torch.cat([rotation, -rotation], dim=1)
        buckets = (qk.detach().double() @ directions).argmax(dim=1).tolist()
        line = sorted(range(n), key=lambda i, buckets=buckets: (buckets[i], i))
        for place, i in enumerate(line):
            first = max(0, place // chunk - 1) * chunk
            window = line[first : (place // chunk + 1) * chunk]
            pairs |= {(i, j) for j in window if buckets[i] == buckets[j] and i != j}
    pairs = {(i, j) for i, j in pairs if not causal or j < i}
    return pairs | {(i, i) for i in set(range(n)) - {i for i, _ in pairs}}


def plain_lsh(qk, v, rotations, *, chunk, causal=False):
    if qk.ndim > 2:
        pairs = zip(qk, v, strict=True)
        rows = [plain_lsh(*pair, rotations, chunk=chunk, causal=causal) for pair in pairs]
        return torch.stack(rows) if rows else torch.zeros_like(v)
    mask = torch.zeros(len(qk), len(qk), dtype=torch.bool)
    for i, j in visible(qk, rotations, chunk=chunk, causal=causal):
        mask[i, j] = True
    keys = torch.nn.functional.normalize(qk, dim=-1)
    scores = (qk @ keys.mT / math.sqrt(qk.shape[-1])).masked_fill(~mask, -math.inf)
    return torch.softmax(scores, dim=-1) @ v


def hashed(*lead, std=2.0, seed=0):
    qk, v = gaussian(*lead, 37, 8, std=std, seed=seed), gaussian(*lead, 37, 6, seed=seed + 1)
    return qk, v, gaussian(3, 8, 2, std=1.0, seed=seed + 2)


def row(causal):
    options = {"chunk": 5, "causal": causal}
    return Mechanism(
        partial(lsh.lsh_attention, **options),
        partial(plain_lsh, **options),
        hashed,
    )


MECHANISMS = {"lsh_attention": row(causal=False), "causal_lsh_attention": row(causal=True)}
OPTIONS = {lsh.lsh_buckets: {}, lsh.lsh_mask: {"chunk": 5}}
