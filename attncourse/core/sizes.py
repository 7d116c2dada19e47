"""What sizes a pattern may have: a ValueError each, with the rule and the value."""

from collections.abc import Sequence

from torch import Tensor

from attncourse.core.numbers import holds_numbers, plain_number


def global_positions(n: int, global_tokens: Sequence[int]) -> list[int]:
    """The positions of global tokens, ascending and without repetition."""
    if not isinstance(global_tokens, Sequence):
        raise TypeError(
            f"global_tokens must be a sequence of positions: got {type(global_tokens).__name__}"
        )
    positions = [plain_number("a position of global_tokens", int, x) for x in global_tokens]
    for position in positions:
        if not 0 <= position < n:
            raise ValueError(
                f"global_tokens must lie between 0 and n - 1: got {position} for n={n}"
            )
    return sorted(set(positions))


def check_length(n: int) -> None:
    """Raise ValueError unless n is at least 1."""
    if n < 1:
        raise ValueError(f"n must be at least 1: got n={n}")


def check_window(window: int) -> None:
    """Raise ValueError unless window is at least 0."""
    if window < 0:
        raise ValueError(f"window must be at least 0: got window={window}")


def check_block(block: int) -> None:
    """Raise ValueError unless block is at least 1."""
    if block < 1:
        raise ValueError(f"block must be at least 1: got block={block}")


def check_stride(stride: int) -> None:
    """Raise ValueError unless stride is at least 1."""
    if stride < 1:
        raise ValueError(f"stride must be at least 1: got stride={stride}")


def check_summary(stride: int, summary: int) -> None:
    """Raise ValueError unless 1 <= summary <= stride."""
    check_stride(stride)
    if not 1 <= summary <= stride:
        raise ValueError(
            f"summary must be at least 1 and at most stride: got summary={summary} and"
            f" stride={stride}"
        )


def check_random(n: int, block: int, random: Tensor) -> None:
    """Has the table a row for each block of n positions, and only numbers of blocks?"""
    check_block(block)
    blocks = -(-n // block)
    if len(random) != blocks:
        raise ValueError(
            f"random must have a row for each of the {blocks} blocks, n / block rounded up"
            f": got {len(random)} rows for n={n} and block={block}"
        )
    if holds_numbers(random) and not 0 <= random.min() <= random.max() < blocks:
        low, high = int(random.min()), int(random.max())
        raise ValueError(
            f"random must hold numbers of blocks, between 0 and {blocks - 1}"
            f": got numbers from {low} to {high}"
        )
