"""Texts of a few words, the same for the same seed."""

from attncourse.testing import gaussian

WORDS = ("the", "trophy", "suitcase", "big", "fits", "not", "it")


def text(size, *, seed, words=WORDS):
    """So many words, drawn alike."""
    drawn = gaussian(max(size, 1), std=1e4, seed=seed).abs().long() % len(words)
    return [words[i] for i in drawn[:size].tolist()]


def like(reference, size, *, seed):
    """A text of `size` words that has runs of the reference, and other words between them."""
    keep = max(5, 2 * size // 3)
    begun = [*reference[:keep], *text(max(0, size - keep), seed=seed)]
    return begun[:size]
