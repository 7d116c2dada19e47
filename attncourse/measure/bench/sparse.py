"""Cases in which a query sees some keys: by rule (chapter 11), by content (chapter 12)."""

from functools import partial, wraps
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from attncourse.core.patterns import sliding_window_mask
from attncourse.measure.bench.case import Case, Function, Inputs, Size, self_attention
from attncourse.mechanisms.content import (
    adaptive_span,
    block_selection,
    entmax,
    lsh,
    routing,
    sparsemax,
    threshold,
    top_k,
)
from attncourse.mechanisms.patterns import bigbird, block_local, longformer, sliding_window, strided

WINDOW = BLOCK = CLUSTER = 256
GLOBAL = tuple(range(16))
BIGBIRD_BLOCK, BIGBIRD_RANDOM = 64, 3
LSH_CHUNK, LSH_ROUNDS = 64, 4


def sdpa_under_window_mask(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """PyTorch's attention under a Boolean mask, which is made anew each time."""
    mask = sliding_window_mask(q.shape[-2], WINDOW).to(q.device)
    return scaled_dot_product_attention(q, k, v, attn_mask=mask)


def with_random_blocks(size: Size) -> Inputs:
    """Queries, keys, values, and the random blocks of each block."""
    blocks = -(-size.n // BIGBIRD_BLOCK)
    generator = torch.Generator().manual_seed(4)
    chosen = torch.randint(blocks, (blocks, BIGBIRD_RANDOM), generator=generator)
    return *self_attention(size), chosen.to(size.device)


def bigbird_of(function: Function) -> Function:
    """A form of BigBird's attention as a function of the four inputs above."""

    @wraps(function)
    def run(q: Tensor, k: Tensor, v: Tensor, random: Tensor) -> Any:
        return function(q, k, v, block=BIGBIRD_BLOCK, random=random)

    return run


def with_rotations(size: Size) -> Inputs:
    """Shared queries and keys, values, and rotations for buckets of about one chunk."""
    q, _, v = self_attention(size)
    half = max(1, size.n // LSH_CHUNK // 2)
    return q, v, size.normal(LSH_ROUNDS, size.d, half, seed=5)


def with_centroids(size: Size) -> Inputs:
    """Queries, keys, values, and a centroid for every `CLUSTER` tokens, for each head."""
    clusters = max(1, size.n // CLUSTER)
    return *self_attention(size), size.normal(size.batch, size.h, clusters, size.d, seed=6)


def with_spans(size: Size) -> Inputs:
    """Queries, keys, values, and a span for each head, from 64 tokens up and never at a kink."""
    spans = 64.5 + 32 * torch.arange(size.h, device=size.device)
    return *self_attention(size), spans.to(size.dtype)


def stride_of(q: Tensor) -> int:
    """The stride that costs least: the root of half the length."""
    return max(1, round((q.shape[-2] / 2) ** 0.5))


def at_best_stride(function: Function) -> Function:
    """A form of strided attention, at the stride that costs least."""

    @wraps(function)
    def run(q: Tensor, k: Tensor, v: Tensor) -> Any:
        return function(q, k, v, stride=stride_of(q))

    return run


BY_RULE = (
    Case(
        "window 256",
        partial(sliding_window.sliding_window_attention, window=WINDOW),
        check_length=777,
    ),
    Case(
        "window 256",
        sdpa_under_window_mask,
        partial(sliding_window.sliding_window_attention_by_definition, window=WINDOW),
        growth=2.0,
        check_length=777,
        implementation="PyTorch, masked",
    ),
    Case(
        "window 256, causal",
        partial(sliding_window.sliding_window_attention, window=WINDOW, causal=True),
        check_length=777,
    ),
    Case(
        "blocks of 256",
        partial(block_local.block_attention, block=BLOCK),
        check_length=777,
    ),
    Case(
        "window 256 + 16 global",
        partial(longformer.longformer_attention, window=WINDOW, global_tokens=GLOBAL),
        check_length=777,
    ),
    Case(
        "BigBird, blocks of 64",
        bigbird_of(bigbird.bigbird_attention),
        bigbird_of(bigbird.bigbird_attention_by_definition),
        inputs=with_random_blocks,
        check_length=777,
    ),
    Case(
        "strided, root of n / 2",
        at_best_stride(strided.strided_attention),
        at_best_stride(strided.strided_attention_by_definition),
        growth=1.5,
    ),
    Case(
        "dilated by 8",
        partial(strided.dilated_attention, stride=8),
        growth=2.0,
    ),
)

BY_CONTENT = (
    Case(
        "top-k 32",
        partial(top_k.topk_attention, top=32),
        growth=2.0,
        longest=4096,
    ),
    Case(
        "threshold 0.001",
        partial(threshold.threshold_attention, threshold=0.001),
        growth=2.0,
        longest=4096,
    ),
    Case(
        "sparsemax",
        sparsemax.sparsemax_attention,
        growth=2.0,
        longest=4096,
    ),
    Case(
        "entmax 1.5",
        entmax.entmax15_attention,
        growth=2.0,
        longest=4096,
    ),
    Case(
        "LSH, 4 rounds, chunks of 64",
        partial(lsh.lsh_attention, chunk=LSH_CHUNK),
        inputs=with_rotations,
    ),
    Case(
        "routing, clusters of 256",
        partial(routing.routing_attention, top=CLUSTER),
        inputs=with_centroids,
        check_length=777,
    ),
    Case(
        "adaptive span, 64 to 288 back",
        partial(adaptive_span.adaptive_span_attention, ramp=32.0),
        inputs=with_spans,
    ),
    Case(
        "block selection, 4 of 64",
        partial(block_selection.block_selection_attention, block=64, top=4),
    ),
)
CASES = BY_RULE + BY_CONTENT
