"""Attention whose mask and scores are given by rules, computed by PyTorch's FlexAttention."""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.attention.flex_attention import create_block_mask, flex_attention

from attncourse.core.by_hand import under_torch_func
from attncourse.core.dtypes import accumulation_dtype
from attncourse.core.flex import MaskMod, ScoreMod
from attncourse.core.shapes import checked
from attncourse.mechanisms.dense.softmax import masked_softmax


@checked
def flexible_attention_by_definition(
    q: Float[Tensor, "... n d"],
    k: Float[Tensor, "... m d"],
    v: Float[Tensor, "... m e"],
    *,
    mask_mod: MaskMod | None = None,
    score_mod: ScoreMod | None = None,
) -> Float[Tensor, "... n e"]:
    """Dense: every score through the rules, masked softmax, and the weighted sum of the values."""
    wide = accumulation_dtype(q.dtype)
    queries, keys, values = (_batch_and_heads(x).to(wide) for x in (q, k, v))
    scores = queries @ keys.mT / math.sqrt(q.shape[-1])
    axes = (torch.arange(size, device=q.device) for size in scores.shape)
    indices = torch.meshgrid(*axes, indexing="ij")
    if score_mod is not None:
        scores = score_mod(scores, *indices)
    seen = torch.ones_like(scores, dtype=torch.bool) if mask_mod is None else mask_mod(*indices)
    out = masked_softmax(scores, seen) @ values
    return out.reshape(*q.shape[:-1], v.shape[-1]).to(v.dtype)


@checked
def flexible_attention(
    q: Float[Tensor, "... n d"],
    k: Float[Tensor, "... m d"],
    v: Float[Tensor, "... m e"],
    *,
    mask_mod: MaskMod | None = None,
    score_mod: ScoreMod | None = None,
) -> Float[Tensor, "... n e"]:
    """softmax(score_mod(q k^T / sqrt(d))) v over the keys that mask_mod lets a query attend to.

    mask_mod(b, h, i, j) and score_mod(score, b, h, i, j) are rules of indices, as in `core.flex`: h
    counts the last leading axis and b all before it. The mask is the same for all heads. A query
    that may attend to nothing gets zeros. The mask is cut into blocks of 128 by 128: those without
    a True are left out, those without a False computed without a look at the rule.

    Meant for ``torch.compile``, which makes one kernel of it, rules included: time O(b h s n m d)
    for a share s of blocks, memory O(n (d + e)), beside O(b n m) once for finding the blocks; a
    loop calls ``create_block_mask`` once itself. Uncompiled, PyTorch warns, and computes and holds
    all n m scores. On the CPU it has no backward pass, and compiling needs a C++ compiler. Under
    torch.func, which FlexAttention does not know, it is the dense definition.

    Raises ValueError where shapes do not fit, NotImplementedError for gradients on the CPU.
    Source: Dong et al. 2024 (arXiv 2412.05496), sections 3 and 4.

    >>> q, v = torch.zeros(4, 1), torch.arange(4.0)[:, None]  # equal scores: the mean of those seen
    >>> import warnings
    >>> with warnings.catch_warnings(action="ignore"):  # PyTorch's, where it is not compiled
    ...     even = lambda b, h, i, j: (j % 2 == 0) & (i > 0)
    ...     flexible_attention(q, q, v, mask_mod=even).mT.round(decimals=2).tolist()
    [[0.0, 1.0, 1.0, 1.0]]
    """
    if under_torch_func():
        return flexible_attention_by_definition(q, k, v, mask_mod=mask_mod, score_mod=score_mod)
    if q.numel() == 0:  # which FlexAttention cannot divide into blocks
        return v.new_zeros(*q.shape[:-1], v.shape[-1])
    queries, keys, values = (_batch_and_heads(x) for x in (q, k, v))
    blocks = None
    if mask_mod is not None:
        batch, n, m = len(queries), q.shape[-2], k.shape[-2]
        blocks = create_block_mask(mask_mod, batch, None, n, m, device=q.device)
    out = flex_attention(queries, keys, values, score_mod, blocks)
    return out.reshape(*q.shape[:-1], v.shape[-1])


def _batch_and_heads(x: Tensor) -> Tensor:
    """(..., h, n, d) as (b, h, n, d)."""
    *lead, h = x.shape[:-2] if x.ndim > 2 else (1,)
    return x.reshape(math.prod(lead), h, *x.shape[-2:])
