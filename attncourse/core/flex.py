"""The masks and biases of `patterns`, `masks` and `positions` as rules for FlexAttention.

A mask_mod is a function (b, h, i, j) of four indices, of sequence, head, query and key, that says
whether i may attend to j; a score_mod (score, b, h, i, j) gives the score anew. Compiled, they
become part of the kernel, and no mask is held; so they are arithmetic of indices, with a look into
a small table where the pattern is data. They are lambdas, which no import hook wraps: what is
wrapped cannot be traced. Each builder takes what the builder of the mask or bias takes, and
raises what it raises. They join and meet by PyTorch's ``or_masks`` and ``and_masks``.

Source: Dong et al. 2024, Flex Attention (arXiv 2412.05496), sections 3.1 and 3.2.
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Integer
from torch import Tensor
from torch.nn.attention.flex_attention import and_masks, or_masks

from attncourse.core.masks import check_lengths
from attncourse.core.relative import buckets_of
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

MaskMod = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
ScoreMod = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]


@checked
def causal_mod(n: int, m: int) -> MaskMod:
    """`causal_mask`: j <= i + m - n.

    >>> zero, i, j = torch.tensor(0), torch.arange(2)[:, None], torch.arange(4)
    >>> causal_mod(2, 4)(zero, zero, i, j).equal(causal_mask(2, 4))
    True
    """
    _check_sizes(n, m)
    return lambda b, h, i, j: j <= i + (m - n)


@checked
def padding_mod(lengths: Integer[Tensor, " b"], m: int) -> MaskMod:
    """`padding_mask` of a batch of b sequences: j < lengths[b].

    >>> zero, second, j = torch.tensor(0), torch.tensor(1), torch.arange(4)
    >>> padding_mod(torch.tensor([1, 3]), 4)(second, zero, zero, j)
    tensor([ True,  True,  True, False])
    """
    check_lengths(lengths, m)
    return lambda b, h, i, j: j < lengths[b]


@checked
def sliding_window_mod(n: int, window: int, *, causal: bool = False) -> MaskMod:
    """`sliding_window_mask`: |i - j| <= window; if causal, 0 <= i - j <= window.

    >>> zero, i, j = torch.tensor(0), torch.arange(4)[:, None], torch.arange(4)
    >>> sliding_window_mod(4, 1)(zero, zero, i, j).equal(sliding_window_mask(4, 1))
    True
    """
    check_length(n)
    check_window(window)
    reach = min(window, n)
    if causal:
        return lambda b, h, i, j: (i >= j) & (i - j <= reach)
    return lambda b, h, i, j: (i - j).abs() <= reach


@checked
def block_mod(n: int, block: int) -> MaskMod:
    """`block_mask`: i // block = j // block.

    >>> zero, i, j = torch.tensor(0), torch.arange(4)[:, None], torch.arange(4)
    >>> block_mod(4, 2)(zero, zero, i, j).equal(block_mask(4, 2))
    True
    """
    check_length(n)
    check_block(block)
    size = min(block, n)
    return lambda b, h, i, j: i // size == j // size


@checked
def dilated_mod(n: int, stride: int) -> MaskMod:
    """`dilated_mask`: (i - j) mod stride = 0.

    >>> zero, i, j = torch.tensor(0), torch.arange(4)[:, None], torch.arange(4)
    >>> dilated_mod(4, 2)(zero, zero, i, j).equal(dilated_mask(4, 2))
    True
    """
    check_length(n)
    check_stride(stride)
    step = min(stride, n)
    return lambda b, h, i, j: (i - j) % step == 0


@checked
def strided_mod(n: int, stride: int) -> MaskMod:
    """`strided_mask`: the causal window of stride, or i >= j and (i - j) mod stride = 0.

    >>> zero, i, j = torch.tensor(0), torch.arange(9)[:, None], torch.arange(9)
    >>> strided_mod(9, 3)(zero, zero, i, j).equal(strided_mask(9, 3))
    True
    """
    near = sliding_window_mod(n, stride, causal=True)
    return or_masks(near, and_masks(dilated_mod(n, stride), causal_mod(n, n)))


@checked
def fixed_mod(n: int, stride: int, summary: int) -> MaskMod:
    """`fixed_mask`: j <= i and (i // stride = j // stride or j mod stride >= stride - summary).

    >>> zero, i, j = torch.tensor(0), torch.arange(8)[:, None], torch.arange(8)
    >>> fixed_mod(8, 3, 1)(zero, zero, i, j).equal(fixed_mask(8, 3, 1))
    True
    """
    check_length(n)
    check_summary(stride, summary)
    summaries: MaskMod = lambda b, h, i, j: j % stride >= stride - summary  # noqa: E731
    return and_masks(causal_mod(n, n), or_masks(block_mod(n, stride), summaries))


@checked
def longformer_mod(
    n: int, window: int, global_tokens: Sequence[int], *, device: torch.device | str = "cpu"
) -> MaskMod:
    """`longformer_mask`: |i - j| <= window, or i or j is global by a table of n Booleans on device.

    Raises TypeError for positions that are no integers.

    >>> zero, i, j = torch.tensor(0), torch.arange(4)[:, None], torch.arange(4)
    >>> longformer_mod(4, 0, [1])(zero, zero, i, j).equal(longformer_mask(4, 0, [1]))
    True
    """
    near = sliding_window_mod(n, window)
    everyone = torch.zeros(n, dtype=torch.bool, device=device)
    everyone[global_positions(n, global_tokens)] = True
    return lambda b, h, i, j: near(b, h, i, j) | everyone[i] | everyone[j]


@checked
def bigbird_mod(n: int, block: int, random: Integer[Tensor, "c r"]) -> MaskMod:
    """`bigbird_mask`: of the blocks of i and j one is an end, or they are neighbours, or drawn.

    The r columns of `random` are looked into for each pair, on its device.

    >>> blocks = random_blocks(8, 1, generator=torch.Generator().manual_seed(0))
    >>> zero, i, j = torch.tensor(0), torch.arange(16)[:, None], torch.arange(16)
    >>> bigbird_mod(16, 2, blocks)(zero, zero, i, j).equal(bigbird_mask(16, 2, blocks))
    True
    """
    check_length(n)
    check_random(n, block, random)
    size, end = min(block, n), (len(random) - 1) * min(block, n)
    rules: list[MaskMod] = [
        lambda b, h, i, j: (i < size) | (i >= end) | (j < size) | (j >= end),
        lambda b, h, i, j: (i // size - j // size).abs() <= 1,
    ]
    return or_masks(*rules, *(_drawn(column, size) for column in random.unbind(1)))


def _drawn(column: Tensor, size: int) -> MaskMod:
    return lambda b, h, i, j: column[i // size] == j // size


@checked
def alibi_mod(h: int, n: int, m: int) -> ScoreMod:
    """`alibi_bias` added: the score minus 2^(-8 (head + 1) / h) |i + m - n - j|.

    >>> zero, score, j = torch.tensor(0), torch.tensor(7.0), torch.arange(3)
    >>> alibi_mod(8, 1, 3)(score, zero, zero, zero, j)
    tensor([6.0000, 6.5000, 7.0000])
    """
    if h < 1 or n < 1 or m < 1:
        raise ValueError(f"h, n and m must be at least 1: got h={h}, n={n} and m={m}")

    return lambda score, b, head, i, j: (
        score - torch.exp2(-8.0 / h * (head + 1).to(score.dtype)) * (i + (m - n) - j).abs()
    )


@checked
def relative_mod(
    table: Float[Tensor, "b h"], n: int, m: int, *, furthest: int = 128, causal: bool = False
) -> ScoreMod:
    """`relative_bias` added: the score plus table[bucket of the distance, head].

    All that is further than `furthest` shares a bucket, so that the biases of the nearer 2 furthest
    + 1 distances are looked up in a table. T5 does not divide its scores by sqrt(d); FlexAttention
    does unless told otherwise.

    >>> table = torch.tensor([[0.0], [-1.0]])  # for oneself, and for all before
    >>> zero, score, j = torch.tensor(0), torch.tensor(7.0), torch.arange(3)
    >>> relative_mod(table, 1, 3, causal=True)(score, zero, zero, zero, j)
    tensor([6., 6., 7.])
    """
    _check_sizes(n, m)
    reach = max(furthest, 0)
    bucket = buckets_of(torch.arange(-reach, reach + 1), table.shape[0], furthest, causal)
    bias = table[bucket.to(table.device)]
    return lambda score, b, h, i, j: score + bias[(i + (m - n) - j).clamp(-reach, reach) + reach, h]


def _check_sizes(n: int, m: int) -> None:
    if n < 1 or m < 1:
        raise ValueError(f"n and m must be at least 1: got n={n} and m={m}")
