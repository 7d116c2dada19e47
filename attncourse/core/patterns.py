"""Sparse patterns by rule, as Boolean masks: True means *may attend*.

All are square, (n, n), and leave every query itself, so no row is empty. Patterns join with ``|``
and meet with ``&``: a causal pattern is ``pattern & causal_mask(n, n)``.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Integer
from torch import Tensor

from attncourse.core.shapes import checked
from attncourse.core.sizes import (
    check_block,
    check_length,
    check_random,
    check_stride,
    check_summary,
    check_window,
    global_positions,
)


def band(n: int, m: int, before: int, after: int) -> Tensor:
    """The (n, m) mask of a band: M_ij = True iff -before <= j - i <= after."""
    return torch.ones(n, m, dtype=torch.bool).tril(after).triu(-before)


@checked
def sliding_window_mask(n: int, window: int, *, causal: bool = False) -> Bool[Tensor, "n n"]:
    """Each query sees the keys at most `window` positions away: M_ij = True iff |i - j| <= window.

    So a query sees 2 window + 1 keys, fewer at the ends; if causal, 0 <= i - j <= window, itself
    and the window keys before it. window counts one side: many libraries count both. Time and
    memory O(n^2).

    Raises ValueError unless n >= 1 and window >= 0.
    Source: Beltagy et al. 2020, section 3.1 (their w is both sides together).

    >>> sliding_window_mask(4, 1).long()
    tensor([[1, 1, 0, 0],
            [1, 1, 1, 0],
            [0, 1, 1, 1],
            [0, 0, 1, 1]])
    """
    check_length(n)
    check_window(window)
    reach = min(window, n)
    return band(n, n, reach, 0 if causal else reach)


@checked
def block_mask(n: int, block: int) -> Bool[Tensor, "n n"]:
    """Blocks of neighbours that see each other alone: M_ij = True iff i // block = j // block.

    The last block is short where block does not divide n. Time and memory O(n^2).

    Raises ValueError unless n >= 1 and block >= 1.
    Source: Qiu et al. 2019, section 3.1 (the identity permutation).

    >>> block_mask(3, 2).long()
    tensor([[1, 1, 0],
            [1, 1, 0],
            [0, 0, 1]])
    """
    check_length(n)
    check_block(block)
    number = torch.arange(n).div(min(block, n), rounding_mode="floor")
    return number == number[:, None]


@checked
def dilated_mask(n: int, stride: int) -> Bool[Tensor, "n n"]:
    """Every stride-th key, both ways: M_ij = True iff (i - j) mod stride = 0.

    The sequence falls into `stride` classes that never meet. Time and memory O(n^2).

    Raises ValueError unless n >= 1 and stride >= 1.

    >>> dilated_mask(4, 2).long()
    tensor([[1, 0, 1, 0],
            [0, 1, 0, 1],
            [1, 0, 1, 0],
            [0, 1, 0, 1]])
    """
    check_length(n)
    check_stride(stride)
    residue = torch.arange(n) % min(stride, n)
    return residue == residue[:, None]


@checked
def strided_mask(n: int, stride: int) -> Bool[Tensor, "n n"]:
    """The last `stride` keys and every stride-th before: the causal strided pattern.

    M_ij = True iff 0 <= i - j <= stride, or i >= j and (i - j) mod stride = 0. With stride near
    sqrt(n) a query sees about 2 sqrt(n) keys, and two layers connect any two positions. Time and
    memory O(n^2).

    Raises ValueError unless n >= 1 and stride >= 1.
    Source: Child et al. 2019, section 5.1, equation 7 (the union of A^(1) and A^(2)).

    >>> strided_mask(9, 3)[8].long()
    tensor([0, 0, 1, 0, 0, 1, 1, 1, 1])
    """
    check_length(n)
    check_stride(stride)
    causal = torch.ones(n, n, dtype=torch.bool).tril()
    return sliding_window_mask(n, stride, causal=True) | (dilated_mask(n, stride) & causal)


@checked
def fixed_mask(n: int, stride: int, summary: int) -> Bool[Tensor, "n n"]:
    """One's own block so far, and the last `summary` positions of every block before.

    M_ij = True iff j <= i and (i // stride = j // stride or j mod stride >= stride - summary).
    Causal. Time and memory O(n^2).

    Raises ValueError unless n >= 1, stride >= 1 and 1 <= summary <= stride.
    Source: Child et al. 2019, section 4.3.

    >>> fixed_mask(8, 3, 1)[7].long()
    tensor([0, 0, 1, 0, 0, 1, 1, 1])
    """
    check_length(n)
    check_summary(stride, summary)
    columns = torch.tensor([j % stride >= stride - summary for j in range(n)])
    return (block_mask(n, stride) | columns).tril()


@checked
def longformer_mask(n: int, window: int, global_tokens: Sequence[int]) -> Bool[Tensor, "n n"]:
    """A sliding window, and positions that see everyone and are seen by everyone.

    M_ij = True iff |i - j| <= window or i or j is one of global_tokens, a sequence of positions
    that may be empty. Time and memory O(n^2).

    Raises ValueError unless n >= 1, window >= 0 and the positions lie between 0 and n - 1.
    Source: Beltagy et al. 2020, section 3.1.

    >>> longformer_mask(4, 0, [1]).long()
    tensor([[1, 1, 0, 0],
            [1, 1, 1, 1],
            [0, 1, 1, 0],
            [0, 1, 0, 1]])
    """
    everyone = torch.zeros(n, dtype=torch.bool)
    everyone[global_positions(n, global_tokens)] = True
    return sliding_window_mask(n, window) | everyone | everyone[:, None]


@checked
def bigbird_mask(n: int, block: int, random: Integer[Tensor, "c r"]) -> Bool[Tensor, "n n"]:
    """Blocks that see their neighbours, the first and the last block, and blocks drawn at random.

    The sequence is cut into c = ceil(n / block) blocks. Block i sees the blocks i - 1, i, i + 1,
    0, c - 1 and those in row i of `random` (see `random_blocks`); a block that is named twice
    counts once. The blocks 0 and c - 1 are global: they see everyone. Time and memory O(n^2).

    Raises ValueError unless n >= 1, block >= 1 and `random` has a row for each block, of numbers
    between 0 and c - 1. Source: Zaheer et al. 2020, section 2 and appendix D.

    >>> blocks = random_blocks(8, 1, generator=torch.Generator().manual_seed(0))
    >>> int(bigbird_mask(16, 2, blocks)[8].sum())  # 3 neighbours, 2 ends, 1 drawn, of 2 each
    12
    """
    check_length(n)
    check_random(n, block, random)
    blocks = len(random)
    seen = band(blocks, blocks, 1, 1).to(random.device)
    seen[torch.arange(blocks, device=random.device)[:, None], random.long()] = True
    for end in (0, blocks - 1):
        seen[end] = seen[:, end] = True
    positions = torch.arange(n, device=random.device)
    number = positions.div(min(block, n), rounding_mode="floor")
    return seen[number[:, None], number]


@checked
def random_blocks(blocks: int, r: int, *, generator: torch.Generator) -> Integer[Tensor, "c r"]:
    """For each block, r different blocks that `bigbird_mask` would not show it anyway.

    Row i is a random sample, without repetition and in ascending order, of the blocks that are
    neither i - 1, i, i + 1 nor the first or the last. The rows of the first and the last block,
    which see everyone, are drawn too, and change nothing. Time and memory O(blocks^2).

    Raises ValueError unless r >= 1 and every block has r blocks to choose from: blocks >= r + 5.
    Source: Zaheer et al. 2020, appendix D.

    >>> random_blocks(6, 1, generator=torch.Generator())[2:4]  # 0 to 3 and 5 are seen by block 2
    tensor([[4],
            [1]])
    """
    if r < 1 or blocks < r + 5:
        raise ValueError(
            f"r must be at least 1 and at most blocks - 5: got r={r} and blocks={blocks}"
        )
    taken = band(blocks, blocks, 1, 1).to(generator.device)
    taken[:, 0] = taken[:, -1] = True
    draws = torch.rand(blocks, blocks, generator=generator, device=generator.device)
    draws.masked_fill_(taken, -1.0)
    return draws.topk(r, dim=-1).indices.sort(dim=-1).values
