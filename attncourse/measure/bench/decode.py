"""Cases of decoding: one new token, n cached ones."""

from typing import Any

from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from attncourse.measure.bench.case import Case, Inputs, Size
from attncourse.mechanisms.serving.cache import KVCache
from attncourse.mechanisms.serving.decoding import Cache, cached_attention, decode_step
from attncourse.mechanisms.serving.quantize import (
    quantize_channels,
    quantize_int8,
    quantized_attention,
)
from attncourse.mechanisms.sharing.grouped_query import grouped_query_attention_by_definition


def one_token(size: Size, heads: int | None = None) -> Inputs:
    """Keys and values of n tokens, and query, key and value of one more; `heads` for the keys."""
    g = heads or size.h
    keys, values = size.normal(2, size.batch, g, size.n, size.d).unbind()
    k, v = size.normal(2, size.batch, g, 1, size.d, seed=1).unbind()
    return keys, values, size.normal(size.batch, size.h, 1, size.d, seed=2), k, v


def one_token_of_groups(size: Size) -> Inputs:
    """The same with a quarter of the heads in the cache."""
    return one_token(size, heads=max(1, size.h // 4))


def one_token_of_one_head(size: Size) -> Inputs:
    """The same with a single head in the cache."""
    return one_token(size, heads=1)


def by_definition(keys: Tensor, values: Tensor, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attention of the token to the cached ones and itself."""
    from torch import cat

    return grouped_query_attention_by_definition(q, cat([keys, k], -2), cat([values, v], -2))


def grown(keys: Tensor, values: Tensor, q: Tensor, k: Tensor, v: Tensor) -> Inputs:
    """A query, and the tensors that hold all tokens, made before the clock starts."""
    from torch import cat

    return q, cat([keys, k], -2), cat([values, v], -2)


def in_pair(keys: Tensor, values: Tensor, q: Tensor, k: Tensor, v: Tensor) -> Inputs:
    """The cache as a pair, as `decode_step` takes it."""
    return (keys, values), q, k, v


def in_cache(keys: Tensor, values: Tensor, q: Tensor, k: Tensor, v: Tensor) -> Inputs:
    """A filled cache with room for what the clock's calls will append."""
    cache = KVCache(capacity=keys.shape[-2] + 1000)
    cache.append(keys, values)
    return cache, q, k, v


def in_eight_bits(keys: Tensor, values: Tensor, q: Tensor, k: Tensor, v: Tensor) -> Inputs:
    """A query, and all tokens quantised: keys by channel, values by token."""
    _, keys, values = grown(keys, values, q, k, v)
    return q, quantize_channels(keys), quantize_int8(values)


def first(out: tuple[Tensor, Cache]) -> Tensor:
    """The output of a step that returns a cache besides."""
    return out[0]


def sdpa_grouped(q: Tensor, k: Tensor, v: Tensor) -> Any:
    """PyTorch's attention with fewer heads of keys than of queries."""
    return scaled_dot_product_attention(q, k, v, enable_gqa=True)


SDPA = Case(
    "decode, tokens in one tensor",
    scaled_dot_product_attention,
    by_definition,
    inputs=one_token,
    implementation="PyTorch",
    differentiable=False,
    native=grown,
)
CASES = (
    SDPA,
    Case(
        "decode, copied cache",
        decode_step,
        by_definition,
        inputs=one_token,
        differentiable=False,
        native=in_pair,
        result=first,
    ),
    Case(
        "decode, cache written in place",
        cached_attention,
        by_definition,
        inputs=one_token,
        differentiable=False,
        native=in_cache,
        remark="a call appends a token",
    ),
    Case(
        "decode, h / 4 heads cached",
        sdpa_grouped,
        by_definition,
        inputs=one_token_of_groups,
        implementation="PyTorch",
        differentiable=False,
        native=grown,
    ),
    Case(
        "decode, h / 4 heads cached",
        cached_attention,
        by_definition,
        inputs=one_token_of_groups,
        differentiable=False,
        native=in_cache,
        remark="a call appends a token",
    ),
    Case(
        "decode, one head cached",
        sdpa_grouped,
        by_definition,
        inputs=one_token_of_one_head,
        implementation="PyTorch",
        differentiable=False,
        native=grown,
    ),
    Case(
        "decode, one head cached",
        cached_attention,
        by_definition,
        inputs=one_token_of_one_head,
        differentiable=False,
        native=in_cache,
        remark="a call appends a token",
    ),
    Case(
        "decode, cache in 8 bits",
        quantized_attention,
        by_definition,
        inputs=one_token,
        tolerance=0.05,
        differentiable=False,
        native=in_eight_bits,
        remark="error: that of rounding to 8 bits",
    ),
)
