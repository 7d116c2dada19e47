"""A needle in a haystack: a number that stands once, far back, and is asked for at the end."""

import random
from collections.abc import Sequence

import torch
from torch import Tensor

from attncourse.models.pretrained.smollm import SmolLM

FACT, QUESTION, DIGITS = " The code of the suitcase is {}.", " The code of the suitcase is", 4


def codes(count: int, *, seed: int = 0) -> list[str]:
    """Numbers of four digits, all different within a number.

    >>> codes(2)
    ['6047', '8537']
    """
    dice = random.Random(seed)
    return ["".join(dice.sample("0123456789", DIGITS)) for _ in range(count)]


def haystack(model: SmolLM, hay: Sequence[int], code: str, *, back: int) -> list[int]:
    """The tokens of the hay with the code's sentence in it, then the question and the code.

    The sentence ends `back` tokens before the question begins.
    """
    fact, answer = model.encode(FACT.format(code)), model.encode(f" {code}")
    place = len(hay) - back
    return [*hay[:place], *fact, *hay[place:], *model.encode(QUESTION), *answer]


@torch.no_grad()
def recalled(model: SmolLM, texts: Sequence[Sequence[int]]) -> float:
    """The share of digits, at the end of texts of one length, that are the likeliest token there.

    Each is guessed with the right ones before it given. Chance is 0.1.
    """
    ids = torch.tensor(texts)
    ends = model.hidden(ids)[:, -DIGITS - 1 : -1]
    guessed: Tensor = (ends @ model.tensors["table"].mT).argmax(dim=-1)
    return (guessed == ids[:, -DIGITS:]).float().mean().item()
