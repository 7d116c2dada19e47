"""Small models for exercises that write: tables of random numbers, the same for the same seed."""

import torch

from attncourse.testing import gaussian

SIZES = (11, 16)  # V, d
OTHER_SIZES = (7, 6)


def transformer(kind, *, sizes=SIZES, seed):
    """Two causal layers: what a token predicts depends on all tokens before it."""
    vocabulary, d = sizes
    tables = {
        name: gaussian(2, d, d, std=1.5 / d**0.5, seed=seed + i) for i, name in enumerate("qkvo")
    }
    tables["table"] = gaussian(vocabulary, d, std=1.0, seed=seed + 4)
    tables["positions"] = gaussian(32, d, std=1.0, seed=seed + 5)
    return {"kind": kind, **tables}


def bigrams(kind, rows):
    """A model that looks at the last token: the logits of the next one, row by row."""
    return {"kind": kind, "bigrams": torch.tensor(rows, dtype=torch.float64)}


def prompt(*tokens):
    """Tokens as a tensor."""
    return torch.tensor(tokens, dtype=torch.int64)


def drawn_prompt(p, *, sizes=SIZES, seed):
    """A prompt of p tokens."""
    return (gaussian(p, seed=seed).abs() * 1e3).long() % sizes[0]
