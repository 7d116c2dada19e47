"""Cases that compute attention itself over all pairs, or over all in the past."""

from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from attncourse.core.masks import causal_mask
from attncourse.measure.bench.case import Case, Inputs, Size, self_attention
from attncourse.mechanisms.dense import softmax
from attncourse.mechanisms.exact import blockwise
from attncourse.mechanisms.serving import ring
from attncourse.mechanisms.sharing import fusion, grouped_query, shared

CHUNKS = 4  # shards of a ring, memories of a fusion

sdpa_causal = partial(scaled_dot_product_attention, is_causal=True)


def causal_by_definition(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Dense attention under the causal mask."""
    mask = causal_mask(q.shape[-2], k.shape[-2]).to(q.device)
    return softmax.attention(q, k, v, mask=mask)


def grouped_heads(size: Size) -> Inputs:
    """Queries of h heads, keys and values of h / 4."""
    shared_heads = size.normal(2, size.batch, max(1, size.h // 4), size.n, size.d, seed=1)
    return size.normal(size.batch, size.h, size.n, size.d), *shared_heads.unbind()


def with_projection(size: Size) -> Inputs:
    """Queries, keys and values, and one projection for queries and keys."""
    return *self_attention(size), size.normal(size.d, size.d, seed=3) / size.d**0.5


def in_shards(q: Tensor, k: Tensor, v: Tensor) -> Inputs:
    """The three cut into shards of tokens, in lists."""
    return tuple(list(x.chunk(CHUNKS, dim=-2)) for x in (q, k, v))


def as_memories(q: Tensor, k: Tensor, v: Tensor) -> Inputs:
    """The query, and keys and values cut into several memories."""
    return q, list(zip(k.chunk(CHUNKS, dim=-2), v.chunk(CHUNKS, dim=-2), strict=True))


def joined(shards: list[Tensor]) -> Tensor:
    """One output from those of the shards."""
    return torch.cat(shards, dim=-2)


SDPA = Case(
    "full",
    scaled_dot_product_attention,
    softmax.attention,
    growth=2.0,
    implementation="PyTorch",
)
CASES = (
    SDPA,
    Case(
        "full",
        softmax.attention,
        growth=2.0,
        check_length=40,
    ),
    Case(
        "full, in tiles",
        partial(blockwise.blockwise_attention, block=256),
        growth=2.0,
    ),
    Case(
        "full, causal",
        sdpa_causal,
        causal_by_definition,
        growth=2.0,
        implementation="PyTorch",
    ),
    Case(
        "full, causal, in tiles",
        partial(blockwise.blockwise_attention, block=256, causal=True),
        growth=2.0,
    ),
    Case(
        "full, ring of 4 shards",
        ring.ring_attention,
        softmax.attention,
        growth=2.0,
        native=in_shards,
        result=joined,
    ),
    Case(
        "full, causal, ring of 4 shards",
        ring.causal_ring_attention,
        causal_by_definition,
        growth=2.0,
        native=in_shards,
        result=joined,
    ),
    Case(
        "full, 4 memories fused",
        fusion.fuse_memories,
        softmax.attention,
        growth=2.0,
        native=as_memories,
    ),
    Case(
        "full, grouped keys (h / 4 heads)",
        grouped_query.grouped_query_attention,
        inputs=grouped_heads,
        growth=2.0,
    ),
    Case(
        "full, one projection for q and k",
        shared.shared_attention,
        inputs=with_projection,
        growth=2.0,
    ),
)
