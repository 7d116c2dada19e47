"""Sparse masks against their rules, one pair of positions at a time, and against FlexAttention."""

import pytest
import torch
from torch.nn.attention.flex_attention import create_mask

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
from attncourse.core.sizes import global_positions
from attncourse.testing import assert_same

N = 23
TABLE = torch.tensor([[3, 1], [3, 3], [0, 4], [0, 1], [5, 1], [2, 3]])  # six blocks of four


def number_of(i, block):
    return torch.div(i, block, rounding_mode="floor")


def near(window):
    return lambda b, h, i, j: (i - j).abs() <= window


def near_before(window):
    return lambda b, h, i, j: (i >= j) & (i - j <= window)


def same_block(block):
    return lambda b, h, i, j: number_of(i, block) == number_of(j, block)


def same_class(stride):
    return lambda b, h, i, j: (i - j) % stride == 0


def strided(stride):
    return lambda b, h, i, j: (i >= j) & ((i - j <= stride) | ((i - j) % stride == 0))


def fixed(stride, summary):
    def rule(b, h, i, j):
        last = j % stride >= stride - summary
        return (i >= j) & ((number_of(i, stride) == number_of(j, stride)) | last)

    return rule


def longformer(window, positions):
    def rule(b, h, i, j):
        seen = (i - j).abs() <= window
        for position in positions:
            seen = seen | (i == position) | (j == position)
        return seen

    return rule


def bigbird(block, table):
    def rule(b, h, i, j):
        own, other, last = number_of(i, block), number_of(j, block), len(table) - 1
        ends = (own == 0) | (own == last) | (other == 0) | (other == last)
        return ends | ((own - other).abs() <= 1) | (table[own] == other).any()

    return rule


CASES = {
    "sliding window": (lambda: sliding_window_mask(N, 4), near(4)),
    "sliding window of none": (lambda: sliding_window_mask(N, 0), near(0)),
    "causal sliding window": (lambda: sliding_window_mask(N, 4, causal=True), near_before(4)),
    "block": (lambda: block_mask(N, 5), same_block(5)),
    "dilated": (lambda: dilated_mask(N, 5), same_class(5)),
    "strided": (lambda: strided_mask(N, 5), strided(5)),
    "fixed": (lambda: fixed_mask(N, 5, 2), fixed(5, 2)),
    "longformer": (lambda: longformer_mask(N, 3, [7, 0, 7]), longformer(3, [0, 7])),
    "longformer without global tokens": (lambda: longformer_mask(N, 3, ()), near(3)),
    "bigbird": (lambda: bigbird_mask(N, 4, TABLE), bigbird(4, TABLE)),
}
every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


@every_case
def test_the_mask_is_its_rule_pair_by_pair(case):
    mask, rule = case[0](), case[1]
    assert (mask.shape, mask.dtype) == ((N, N), torch.bool)
    pairs = torch.cartesian_prod(torch.arange(N), torch.arange(N))
    expected = [bool(rule(None, None, i, j)) for i, j in pairs]
    assert mask.flatten().tolist() == expected
    assert mask.diagonal().all()


@every_case
def test_flex_attention_makes_the_same_mask_of_the_rule(case):
    theirs = create_mask(case[1], None, None, N, N, device="cpu")
    assert torch.equal(case[0](), theirs[0, 0])


@pytest.mark.parametrize("n", [1, 2, 7])
def test_wide_patterns_are_full_and_narrow_ones_the_diagonal(n):
    full, own = torch.ones(n, n, dtype=torch.bool), torch.eye(n, dtype=torch.bool)
    for wide in (n - 1, n, 10**30):
        assert torch.equal(sliding_window_mask(n, wide), full)
        assert torch.equal(sliding_window_mask(n, wide, causal=True), full.tril())
    assert torch.equal(block_mask(n, n), full)
    assert torch.equal(dilated_mask(n, 1), full)
    assert torch.equal(strided_mask(n, 1), full.tril())
    assert torch.equal(longformer_mask(n, 0, range(n)), full)
    for narrow in (sliding_window_mask(n, 0), block_mask(n, 1), dilated_mask(n, n)):
        assert torch.equal(narrow, own)


def test_two_layers_of_the_strided_pattern_reach_everything_before():
    once = strided_mask(N, 5).double()
    assert torch.equal(once @ once > 0, torch.ones(N, N, dtype=torch.bool).tril())


def test_random_blocks_are_new_to_their_block_and_the_same_for_the_same_seed():
    first, again = (random_blocks(12, 3, generator=torch.Generator().manual_seed(4)) for _ in "ab")
    assert torch.equal(first, again)
    assert first.shape == (12, 3)
    for block, drawn in enumerate(first.tolist()):
        assert drawn == sorted(set(drawn))
        assert not {block - 1, block, block + 1, 0, 11} & set(drawn)
    assert not torch.equal(first, random_blocks(12, 3, generator=torch.Generator().manual_seed(5)))


def test_random_blocks_are_uniform():
    generator = torch.Generator().manual_seed(0)
    drawn = torch.stack([random_blocks(10, 2, generator=generator)[4] for _ in range(1000)])
    shares = torch.bincount(drawn.flatten(), minlength=10) / 1000
    expected = torch.tensor([0, 0.4, 0.4, 0, 0, 0, 0.4, 0.4, 0.4, 0])
    assert (shares - expected).abs().max() < 0.06
    assert_same(shares[expected == 0], torch.zeros(5))


def test_global_positions_are_sorted_and_single():
    assert global_positions(9, (8, 0, 8)) == [0, 8]
    assert global_positions(9, ()) == []


MESSAGES = [
    (lambda: sliding_window_mask(0, 1), "n must be at least 1: got n=0"),
    (lambda: block_mask(-2, 1), "n must be at least 1: got n=-2"),
    (lambda: sliding_window_mask(3, -1), "window must be at least 0: got window=-1"),
    (lambda: longformer_mask(3, -1, []), "window must be at least 0: got window=-1"),
    (lambda: block_mask(3, 0), "block must be at least 1: got block=0"),
    (lambda: dilated_mask(3, 0), "stride must be at least 1: got stride=0"),
    (lambda: strided_mask(3, -1), "stride must be at least 1: got stride=-1"),
    (lambda: fixed_mask(3, 0, 1), "stride must be at least 1: got stride=0"),
    (
        lambda: fixed_mask(9, 3, 4),
        "summary must be at least 1 and at most stride: got summary=4 and stride=3",
    ),
    (
        lambda: longformer_mask(3, 1, [0, 3]),
        "global_tokens must lie between 0 and n - 1: got 3 for n=3",
    ),
    (
        lambda: longformer_mask(3, 1, [-1]),
        "global_tokens must lie between 0 and n - 1: got -1 for n=3",
    ),
    (lambda: bigbird_mask(24, 0, TABLE), "block must be at least 1: got block=0"),
    (
        lambda: bigbird_mask(25, 4, TABLE),
        "random must have a row for each of the 7 blocks, n / block rounded up"
        ": got 6 rows for n=25 and block=4",
    ),
    (
        lambda: bigbird_mask(24, 4, TABLE + 1),
        "random must hold numbers of blocks, between 0 and 5: got numbers from 1 to 6",
    ),
    (
        lambda: random_blocks(7, 3, generator=torch.Generator()),
        "r must be at least 1 and at most blocks - 5: got r=3 and blocks=7",
    ),
]


@pytest.mark.parametrize(("call", "message"), MESSAGES, ids=[m for _, m in MESSAGES])
def test_what_is_out_of_range_is_told_in_one_sentence(call, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the message is compared whole)
        call()
    assert str(caught.value) == message
