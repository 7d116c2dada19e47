"""Rules for FlexAttention against the masks and biases that they stand for, pair by pair."""

import pytest
import torch
from torch.nn.attention.flex_attention import create_block_mask, create_mask, or_masks

from attncourse.core import flex
from attncourse.core.masks import causal_mask, padding_mask
from attncourse.core.patterns import (
    bigbird_mask,
    block_mask,
    dilated_mask,
    fixed_mask,
    longformer_mask,
    random_blocks,
    sliding_window_mask,
    strided_mask,
)
from attncourse.core.positions import alibi_bias
from attncourse.core.relative import relative_bias
from attncourse.testing import assert_same, gaussian

N = 37
TABLE = random_blocks(8, 2, generator=torch.Generator().manual_seed(3))  # the last block is short
ONE_TABLE = torch.zeros(1, 2, dtype=torch.int64)

# the rule's builder, the mask's builder, and what both take
SQUARE = [
    (flex.sliding_window_mod, sliding_window_mask, (N, 5), {}),
    (flex.sliding_window_mod, sliding_window_mask, (N, 0), {"causal": True}),
    (flex.sliding_window_mod, sliding_window_mask, (N, 5), {"causal": True}),
    (flex.sliding_window_mod, sliding_window_mask, (N, 10**30), {}),
    (flex.block_mod, block_mask, (N, 5), {}),
    (flex.block_mod, block_mask, (N, 10**30), {}),
    (flex.dilated_mod, dilated_mask, (N, 5), {}),
    (flex.dilated_mod, dilated_mask, (N, 10**30), {}),
    (flex.strided_mod, strided_mask, (N, 5), {}),
    (flex.fixed_mod, fixed_mask, (N, 5, 2), {}),
    (flex.fixed_mod, fixed_mask, (N, 6, 6), {}),
    (flex.longformer_mod, longformer_mask, (N, 3, [7, 0, 7, 36]), {}),
    (flex.longformer_mod, longformer_mask, (N, 3, ()), {}),
    (flex.bigbird_mod, bigbird_mask, (N, 5, TABLE), {}),
    (flex.bigbird_mod, bigbird_mask, (N, 64, ONE_TABLE), {}),
    (flex.causal_mod, causal_mask, (N, N), {}),
    (flex.causal_mod, causal_mask, (5, N), {}),
    (flex.causal_mod, causal_mask, (N, 5), {}),
]


@pytest.mark.parametrize(("mod", "mask", "sizes", "options"), SQUARE)
def test_the_rule_is_the_mask_pair_by_pair(mod, mask, sizes, options):
    expected = mask(*sizes, **options)
    n, m = expected.shape
    found = create_mask(mod(*sizes, **options), None, None, n, m, device="cpu")
    assert torch.equal(found[0, 0], expected)


def test_padding_hides_what_is_behind_the_end_of_each_sequence():
    lengths = torch.tensor([0, 3, 7])
    found = create_mask(flex.padding_mod(lengths, 7), 3, 2, 4, 7, device="cpu")
    expected = padding_mask(lengths, 7)[:, None].expand(3, 2, 4, 7)
    assert torch.equal(found, expected)


def test_rules_join():
    found = create_mask(or_masks(flex.block_mod(N, 5), flex.dilated_mod(N, 7)), 1, 1, N, N, "cpu")
    assert torch.equal(found[0, 0], block_mask(N, 5) | dilated_mask(N, 7))


def pairs(h, n, m):
    """The indices of sequence, head, query and key of every score, (1, h, n, m) each."""
    return torch.meshgrid(*map(torch.arange, (1, h, n, m)), indexing="ij")


@pytest.mark.parametrize(("n", "m"), [(5, 37), (37, 5), (37, 37)])
@pytest.mark.parametrize("h", [1, 3, 8])
def test_alibi_adds_its_bias(h, n, m):
    scores = gaussian(1, h, n, m)
    found = flex.alibi_mod(h, n, m)(scores, *pairs(h, n, m))
    torch.set_default_dtype(torch.float64)
    try:
        expected = scores + alibi_bias(h, n, m)
    finally:
        torch.set_default_dtype(torch.float32)
    assert_same(found, expected)


@pytest.mark.parametrize(("n", "m"), [(5, 300), (300, 5), (150, 150)])
@pytest.mark.parametrize(
    "options", [{}, {"causal": True}, {"furthest": 40}, {"furthest": 40, "causal": True}], ids=str
)
def test_relative_positions_add_their_bias(n, m, options):
    scores, table = gaussian(1, 3, n, m), gaussian(32, 3, seed=1)
    found = flex.relative_mod(table, n, m, **options)(scores, *pairs(3, n, m))
    assert torch.equal(found, scores + relative_bias(table, n, m, **options))


def share_of_blocks(mod, n):
    """The share of blocks of 128 by 128 that FlexAttention computes."""
    found = create_block_mask(mod, None, None, n, n, device="cpu")
    return 1 - found.sparsity() / 100


def test_a_window_is_computed_in_a_tenth_of_the_blocks():
    """Of 32 x 32 blocks a window of 256 on one side touches three on a row, or one or two."""
    causal = flex.sliding_window_mod(4096, 256, causal=True)
    assert share_of_blocks(causal, 4096) == pytest.approx((1 + 2 + 30 * 3) / 32**2)
    assert share_of_blocks(flex.causal_mod(4096, 4096), 4096) == pytest.approx(33 / 64)


def test_a_short_stride_leaves_out_no_block():
    """Every block of 128 has a key of each class of a stride of 64: nothing is saved."""
    assert share_of_blocks(flex.dilated_mod(1024, 64), 1024) == 1
    assert share_of_blocks(flex.block_mod(1024, 128), 1024) == pytest.approx(1 / 8)


MESSAGES = [
    (lambda: flex.causal_mod(0, 3), "n and m must be at least 1: got n=0 and m=3"),
    (lambda: flex.alibi_mod(0, 2, 3), "h, n and m must be at least 1: got h=0, n=2 and m=3"),
    (lambda: flex.padding_mod(torch.tensor([1]), 0), "m must be at least 1: got m=0"),
    (
        lambda: flex.padding_mod(torch.tensor([1, 9]), 7),
        "lengths must lie between 0 and m=7: got lengths from 1 to 9",
    ),
    (lambda: flex.sliding_window_mod(0, 1), "n must be at least 1: got n=0"),
    (lambda: flex.sliding_window_mod(3, -1), "window must be at least 0: got window=-1"),
    (lambda: flex.block_mod(3, 0), "block must be at least 1: got block=0"),
    (lambda: flex.dilated_mod(3, 0), "stride must be at least 1: got stride=0"),
    (
        lambda: flex.fixed_mod(9, 3, 4),
        "summary must be at least 1 and at most stride: got summary=4 and stride=3",
    ),
    (
        lambda: flex.longformer_mod(3, 1, [0, 3]),
        "global_tokens must lie between 0 and n - 1: got 3 for n=3",
    ),
    (
        lambda: flex.bigbird_mod(37, 5, torch.full((8, 2), 8)),
        "random must hold numbers of blocks, between 0 and 7: got numbers from 8 to 8",
    ),
    (
        lambda: flex.relative_mod(gaussian(32, 3), 0, 3),
        "n and m must be at least 1: got n=0 and m=3",
    ),
    (
        lambda: flex.relative_mod(gaussian(32, 3), 2, 3, furthest=8),
        "furthest must be more than the 8 distances with a bucket of their own: got furthest=8",
    ),
]


@pytest.mark.parametrize(("call", "message"), MESSAGES, ids=[m for _, m in MESSAGES])
def test_what_is_out_of_range_is_told_in_one_sentence(call, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the message is compared whole)
        call()
    assert str(caught.value) == message
