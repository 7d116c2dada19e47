"""BigBird: blocks that see their neighbours, two global blocks and some drawn at random."""

import torch
from jaxtyping import Float, Integer
from torch import Tensor

from attncourse.core.patterns import bigbird_mask
from attncourse.core.shapes import checked
from attncourse.core.sizes import check_random
from attncourse.core.transforms import composable
from attncourse.mechanisms.dense.softmax import attention
from attncourse.mechanisms.patterns._tiles import fused, in_blocks, like, of_one_width, one_tile

PARTS = 8  # in which blocks are gathered and attended to: a part holds copies of its keys


@checked
def bigbird_attention_by_definition(
    q: Float[Tensor, "... n d"],
    k: Float[Tensor, "... n d"],
    v: Float[Tensor, "... n e"],
    *,
    block: int,
    random: Integer[Tensor, "c r"],
) -> Float[Tensor, "... n e"]:
    """Dense attention under `bigbird_mask`. Time O(n^2 (d + e)), memory O(n^2)."""
    return attention(q, k, v, mask=bigbird_mask(q.shape[-2], block, random))


@checked
@composable
def bigbird_attention(
    q: Float[Tensor, "... n d"],
    k: Float[Tensor, "... n d"],
    v: Float[Tensor, "... n e"],
    *,
    block: int,
    random: Integer[Tensor, "c r"],
) -> Float[Tensor, "... n e"]:
    """Attention of each block of queries over its neighbours, the two end blocks and r random ones.

    `random` (c, r) names the r random blocks of each of the c = ceil(n / block) blocks; draw it
    with `random_blocks`. One table lists the r + 5 blocks that each block sees; those rows are
    gathered, and a block that the table names twice is hidden the second time. The first and the
    last block see everyone. Half-precision input is accumulated in float32. Time
    O(n (r + 7) block (d + e)), memory O(n (r + 5) (d + e)), of which an eighth at a time if no
    gradient is asked for.

    Keys and values must be finite. Raises ValueError unless block is at least 1, `random` has a
    row for each block, of numbers of blocks, and q, k and v have one length n.
    Source: Zaheer et al. 2020, section 2 and appendix D.

    >>> q, random = torch.zeros(8, 1), torch.full((8, 1), 6)  # block 6 in every row
    >>> weights = bigbird_attention(q, q, torch.eye(8), block=1, random=random)
    >>> [row.nonzero().flatten().tolist() for row in weights[2:4]]
    [[0, 1, 2, 3, 6, 7], [0, 2, 3, 4, 6, 7]]
    """
    n = q.shape[-2]
    check_random(n, block, random)
    block = min(block, n)
    q_, k_, v_ = of_one_width(q, k, v)
    end = (len(random) - 1) * block  # where the last block starts
    parts = [one_tile(q_[:, :block], k_, v_)]
    if end > block:
        table = _table(random.long())  # (c - 2, r + 5)
        queries = in_blocks(q_[:, block:end], block)  # (L, c - 2, block, d)
        keys, values = in_blocks(k_, block), in_blocks(v_, block)  # (L, c, block, d)
        size = -(-len(table) // PARTS)
        for start in range(0, len(table), size):
            seen, some = table[start : start + size], queries[:, start : start + size]
            mask = _mask(seen, block, n)
            part = fused(some, _gather(keys, seen), _gather(values, seen), mask)
            parts.append(part.flatten(1, 2))  # (L, size block, d)
    if end > 0:
        parts.append(one_tile(q_[:, end:], k_, v_))
    return like(v, torch.cat(parts, dim=1))


def _table(random: Tensor) -> Tensor:
    """The blocks that each block but the first and the last sees, (c - 2, r + 5), with repeats."""
    last = len(random) - 1
    own = torch.arange(1, last, device=random.device)[:, None]
    ends = torch.tensor([0, last], device=random.device).expand(last - 1, 2)
    return torch.cat([own - 1, own, own + 1, ends, random[1:-1]], dim=1)


def _gather(x: Tensor, table: Tensor) -> Tensor:
    """The blocks of x (L, c, block, d) that each row of the table names, one after the other."""
    blocks = torch.unflatten(x.index_select(1, table.flatten()), 1, table.shape)
    return blocks.flatten(2, 3)  # (L, size, (r + 5) block, d)


def _mask(table: Tensor, block: int, n: int) -> Tensor:
    """Which of the gathered keys count, (size, 1, keys): each once, and none behind the end."""
    again = (table[:, :, None] == table[:, None, :]).tril(-1).any(dim=-1)  # (size, r + 5)
    key = table[:, :, None] * block + torch.arange(block, device=table.device)
    return ((key < n) & ~again[:, :, None]).flatten(1)[:, None]
