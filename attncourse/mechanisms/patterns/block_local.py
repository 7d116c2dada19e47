"""Block-local attention: the sequence is cut into blocks that see themselves alone."""

import torch
from jaxtyping import Float
from torch import Tensor

from attncourse.core.patterns import block_mask
from attncourse.core.shapes import checked
from attncourse.core.sizes import check_block
from attncourse.core.transforms import composable
from attncourse.mechanisms.dense.softmax import attention
from attncourse.mechanisms.patterns._tiles import fused, in_blocks, like, of_one_width, one_tile


@checked
def block_attention_by_definition(
    q: Float[Tensor, "... n d"],
    k: Float[Tensor, "... n d"],
    v: Float[Tensor, "... n e"],
    *,
    block: int,
) -> Float[Tensor, "... n e"]:
    """Dense attention under `block_mask`. Time O(n^2 (d + e)), memory O(n^2)."""
    return attention(q, k, v, mask=block_mask(q.shape[-2], block).to(q.device))


@checked
@composable
def block_attention(
    q: Float[Tensor, "... n d"],
    k: Float[Tensor, "... n d"],
    v: Float[Tensor, "... n e"],
    *,
    block: int,
) -> Float[Tensor, "... n e"]:
    """Attention of each query over the keys of its own block of `block` positions.

    The blocks are one more axis: n becomes (n / block, block), a view, and each block attends to
    itself. The last one is short where block does not divide n. No block knows of another: what
    crosses a border is lost, however near. Half-precision input is accumulated in float32. Time
    O(n block (d + e)), memory O(n (d + e)).

    Raises ValueError unless block is at least 1 and q, k and v have one length n.
    Source: Qiu et al. 2019, section 3.1 (the identity permutation).

    >>> q, v = torch.zeros(5, 1), torch.arange(5.0)[:, None]  # equal scores: the mean of those seen
    >>> block_attention(q, q, v, block=2).mT.round(decimals=2).tolist()
    [[0.5, 0.5, 2.5, 2.5, 4.0]]
    """
    check_block(block)
    n = q.shape[-2]
    size = min(block, n)
    whole = n - n % size
    wide = of_one_width(q, k, v)
    queries, keys, values = (in_blocks(x[:, :whole], size) for x in wide)  # (L, n / b, b, d)
    out = fused(queries, keys, values).flatten(1, 2)
    if whole < n:
        queries, keys, values = (x[:, whole:] for x in wide)
        out = torch.cat([out, one_tile(queries, keys, values)], dim=1)
    return like(v, out)
