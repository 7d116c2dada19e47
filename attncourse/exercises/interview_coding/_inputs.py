"""Small models for exercises that write: tables of random numbers, the same for the same seed."""

import torch

from attncourse.measure.small_models import with_model
from attncourse.testing import assert_same, assert_that, gaussian

SIZES = (11, 16)  # V, d
OTHER_SIZES = (7, 6)


def recurrent(kind, *, sizes=SIZES, seed):
    """What a token predicts depends on all tokens before it, and on their order."""
    vocabulary, d = sizes
    return {
        "kind": kind,
        "table": gaussian(vocabulary, d, std=0.7, seed=seed),
        "mix": gaussian(d, d, std=1.6 / d**0.5, seed=seed + 1),
        "out": gaussian(d, vocabulary, std=1.0, seed=seed + 2),
    }


def bigrams(kind, rows):
    """A model that looks at the last token: the logits of the next one, row by row."""
    return {"kind": kind, "bigrams": torch.tensor(rows, dtype=torch.float64)}


def prompt(*tokens):
    """Tokens as a tensor."""
    return torch.tensor(tokens, dtype=torch.int64)


def drawn_prompt(p, *, sizes=SIZES, seed):
    """A prompt of p tokens."""
    return (gaussian(p, seed=seed).abs() * 1e3).long() % sizes[0]


def assert_counts_on(student, kind):
    """Where each token is followed by the next one, is that what is written?"""
    count = bigrams(kind, [[0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [1, 0, 0, 0]])
    for start, new, expected in (((1,), 2, (1, 2, 3)), ((0, 3, 2), 3, (0, 3, 2, 3, 0, 1))):
        assert_same(with_model(student, count, prompt(*start), new), prompt(*expected))


def assert_prompt_ends_nothing(student, kind):
    """Is a prompt continued that holds the end?"""
    count = bigrams(kind, [[0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [1, 0, 0, 0]])
    for start, expected in (((2,), (2, 3, 0, 1)), ((2, 1), (2, 1, 2))):
        assert_same(with_model(student, count, prompt(*start), 3, 2), prompt(*expected))


def assert_read(found, expected):
    """Did the model read so many tokens, call by call?"""
    told = ", ".join(map(str, found)) or "none"
    wanted = ", ".join(map(str, expected)) or "none"
    assert_that(
        list(found) == list(expected),
        f"call by call the model must read so many tokens: {wanted}. It read {told}.",
    )
