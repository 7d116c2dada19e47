"""Letters of this course's own prose: a text to be trained on, and tables to be compared with."""

import math
import sysconfig
from collections import Counter, defaultdict
from functools import cache
from pathlib import Path

import torch
from jaxtyping import Integer
from torch import Generator, Tensor

import attncourse

ALPHABET = " abcdefghijklmnopqrstuvwxyz.,:;'-"
FILE = "long-prose.txt"


@cache
def letters() -> tuple[Tensor, Tensor]:
    """The prose as numbers of `ALPHABET`: the first nine tenths, and the tenth that is held out.

    In small letters; signs that are not in the alphabet are left out. Raises FileNotFoundError
    where the book's data are not there.

    >>> told, held = letters()
    >>> "".join(ALPHABET[i] for i in told[:32])
    'attncourse: a course on attentio'
    """
    root = Path(attncourse.__file__).parents[1]
    places = [root / "book" / "data", Path(sysconfig.get_path("data")) / "share" / "attncourse"]
    path = next((place / FILE for place in places if (place / FILE).is_file()), None)
    if path is None:
        raise FileNotFoundError(f"the course's prose must be in the book's data: found no {FILE}")
    words = " ".join(path.read_text(encoding="utf-8").lower().split())
    text = torch.tensor([ALPHABET.index(letter) for letter in words if letter in ALPHABET])
    cut = len(text) * 9 // 10
    return text[:cut], text[cut:]


def windows(
    text: Integer[Tensor, " n"], count: int, length: int, generator: Generator
) -> Integer[Tensor, "count length"]:
    """`count` pieces of the text, each of `length` letters, from places drawn at random."""
    starts = torch.randint(len(text) - length + 1, (count, 1), generator=generator)
    return text[starts + torch.arange(length)]


def table_loss(told: Tensor, held: Tensor, order: int) -> float:
    """The mean of -ln p of each letter of `held`, by a table of the `order` - 1 letters before it.

    Where a context was rare, the table of the next shorter one is mixed in: with n followers seen,
    of t kinds, it has the weight t / (n + t); below the first is 1 / 33. Order 1 is the unigram.

    Source: Witten and Bell 1991, method C, interpolated as in Chen and Goodman 1999.
    """
    tables = [_followers(told.tolist(), length) for length in range(order)]
    text, loss = held.tolist(), 0.0
    for place, letter in enumerate(text):
        p = 1 / len(ALPHABET)
        for length, table in enumerate(tables[: place + 1]):
            if seen := table.get(tuple(text[place - length : place])):
                p = (seen[letter] + len(seen) * p) / (seen.total() + len(seen))
        loss -= math.log(p)
    return loss / len(text)


def between_loss(told: Tensor, held: Tensor) -> tuple[float, float]:
    """-ln p of a letter of `held`, and how often the likeliest is right, by its two neighbours.

    The table counts what stood between them; mixed in as in `table_loss`.
    """
    seen: dict[tuple[int, int], Counter[int]] = defaultdict(Counter)
    text = told.tolist()
    for left, letter, right in zip(text, text[1:], text[2:], strict=False):
        seen[left, right][letter] += 1
    alone = {letter: count / len(text) for letter, count in Counter(text).items()}
    asked = held.tolist()
    triples = list(zip(asked, asked[1:], asked[2:], strict=False))
    loss, guessed = 0.0, 0
    for left, letter, right in triples:
        found = seen.get((left, right), Counter())
        whole = found.total() + len(found)
        p = {i: (found[i] + len(found) * q) / whole for i, q in alone.items()} if whole else alone
        loss -= math.log(p[letter])
        guessed += max(p, key=p.__getitem__) == letter
    return loss / len(triples), guessed / len(triples)


def _followers(text: list[int], length: int) -> dict[tuple[int, ...], Counter[int]]:
    """What followed each run of `length` letters."""
    found: dict[tuple[int, ...], Counter[int]] = defaultdict(Counter)
    for place in range(length, len(text)):
        found[tuple(text[place - length : place])][text[place]] += 1
    return found
