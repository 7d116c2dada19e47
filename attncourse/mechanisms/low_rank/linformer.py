"""Linformer: keys and values are projected along the length, from m rows to r."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from attncourse.core.dtypes import accumulation_dtype
from attncourse.core.fused import fused_attention
from attncourse.core.shapes import checked


@checked
def linformer_attention_by_definition(
    q: Float[Tensor, "... n d"],
    k: Float[Tensor, "... m d"],
    v: Float[Tensor, "... m e"],
    proj_k: Float[Tensor, "r m"],
    proj_v: Float[Tensor, "r m"],
) -> Float[Tensor, "... n e"]:
    """The sum over r mixed tokens: token s has key sum_j E_sj k_j and value sum_j F_sj v_j."""
    wide = accumulation_dtype(q.dtype)
    queries, keys, values, e, f = (x.to(wide) for x in (q, k, v, proj_k, proj_v))
    mixed = torch.einsum("sm,...md->...sd", e, keys)
    scores = torch.einsum("...nd,...sd->...ns", queries, mixed) / math.sqrt(q.shape[-1])
    weights = torch.softmax(scores, dim=-1)
    return torch.einsum("...ns,sm,...me->...ne", weights, f, values).to(v.dtype)


@checked
def linformer_attention(
    q: Float[Tensor, "... n d"],
    k: Float[Tensor, "... m d"],
    v: Float[Tensor, "... m e"],
    proj_k: Float[Tensor, "r m"],
    proj_v: Float[Tensor, "r m"],
) -> Float[Tensor, "... n e"]:
    """Linformer attention: softmax(q (E k)^T / sqrt(d)) (F v), with E = proj_k and F = proj_v.

    E and F are (r, m), learned, and shared by all leading axes. Every projected row mixes all m
    positions, so the length is fixed and no causal form exists: each output depends on every
    key and value. With E = F the identity this is full attention. Half-precision input is
    accumulated in float32. Time O(n r (d + e) + m r (d + e)), memory O(n e + r (d + e)): linear
    in the length, nothing is n by m.

    Raises ValueError where shapes do not fit.
    Source: Wang et al. 2020, section 4, equation 7.

    >>> q, v = torch.zeros(4, 1), torch.tensor([[1.0], [2.0], [3.0], [4.0]])  # equal scores
    >>> ends = torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]])
    >>> linformer_attention(q, q, v, ends, ends).mT.round(decimals=2).tolist()
    [[2.5, 2.5, 2.5, 2.5]]
    """
    wide = accumulation_dtype(q.dtype)
    keys, values = proj_k.to(wide) @ k.to(wide), proj_v.to(wide) @ v.to(wide)
    return fused_attention(q.to(wide), keys, values).to(v.dtype)
