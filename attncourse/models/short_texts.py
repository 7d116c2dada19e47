"""Short texts to be summarised, and facts to be looked up, as MiniLM's vectors."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from attncourse.models.pretrained.minilm import MiniLM
from attncourse.models.pretrained.prose import sentences
from attncourse.models.small_runs import topics


@dataclass(frozen=True)
class ShortText:
    """A text of five sentences with a summary in one; its kind is "report" or "tale"."""

    kind: str
    summary: str
    sentences: tuple[str, ...]


@cache
def short_texts() -> tuple[ShortText, ...]:
    """Six reports, which say first what happened, and six tales, which tell it late.

    >>> len(short_texts()), short_texts()[0].kind
    (12, 'report')
    """
    found = []
    for block in _read("summaries.txt").strip().split("\n\n"):
        head, *lines = block.splitlines()
        kind, summary = head.split("\t")
        found.append(ShortText(kind, summary, tuple(lines)))
    return tuple(found)


@cache
def facts() -> tuple[list[str], list[str], list[str]]:
    """24 facts, a question about each in other words, and its answer.

    >>> [column[0] for column in facts()]  # doctest: +ELLIPSIS
    ['Paris is the capital of France.', 'Which city is the seat ...', 'Paris']
    """
    rows = [line.split("\t") for line in _read("facts.txt").splitlines()]
    columns = list(zip(*rows, strict=True))
    return list(columns[0]), list(columns[1]), list(columns[2])


def beside() -> list[str]:
    """260 sentences that answer none of the questions."""
    return [*sentences(), *topics()[0]]


def words(text: str) -> list[str]:
    """The words of a text in small letters, without its signs.

    >>> words("The trophy, too.")
    ['the', 'trophy', 'too']
    """
    return "".join(c if c.isalnum() else " " for c in text.lower()).split()


def vectors(texts: Sequence[str], features: str) -> Tensor:
    """A vector (b, d) of length 1 for each text.

    features is "layer 6", the mean over MiniLM's tokens; "table", the mean over the vectors of its
    words before any layer; or "words", how often each word of the texts occurs.
    """
    if features == "words":
        return counted(texts)
    model = MiniLM.load()
    table = model.tensors["embeddings.word_embeddings.weight"]
    rows = []
    for text in texts:
        ids = model.encode(text)
        rows.append(
            table[torch.tensor(ids[1:-1])].mean(dim=0)
            if features == "table"
            else model.vector(text)
        )
    found = torch.stack(rows)
    return found / found.norm(dim=-1, keepdim=True)


def counted(texts: Sequence[str]) -> Tensor:
    """The counts of words (b, words) of each text, brought to length 1."""
    bags = [Counter(words(text)) for text in texts]
    every = sorted(set().union(*bags))
    found = torch.tensor([[float(bag[word]) for word in every] for bag in bags])
    return found / found.norm(dim=-1, keepdim=True)


def _read(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")
