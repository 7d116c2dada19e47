"""What the heads of a model do, measured over many sentences."""

import random
from collections.abc import Iterable
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Integer
from torch import Tensor

from attncourse.core.dtypes import accumulation_dtype
from attncourse.core.shapes import checked


@runtime_checkable
class Reader(Protocol):
    """A model that shows its weights: `MiniLM` or `SmolLM`."""

    def maps(self, text: list[int]) -> Tensor:
        """The weights (layers, h, n, n)."""
        ...

    def encode(self, text: str) -> list[int]:
        """The tokens of a text."""
        ...


def head_roles(model: Reader, sentences: Iterable[str]) -> dict[str, Tensor]:
    """For each role the mean weight (layers, h) that a head gives to the keys of that role.

    The roles are the token before, the token after, oneself, the first token ([CLS]), the last one
    ([SEP]), and the same token elsewhere; "even" is what a head would give to a single key if it
    gave all the same, the mean of 1 / n. A mean over all queries that have such a key, apart from
    the first and the last token, which are no words. At least 4 tokens a sentence.

    Source: after Clark et al. 2019, section 3; Voita et al. 2019.
    """
    sums: dict[str, Tensor] = {}
    counts: dict[str, int] = {}
    for sentence in sentences:
        ids = model.encode(sentence)
        maps = model.maps(ids)[..., 1:-1, :]
        for role, keys in _keys(torch.tensor(ids)).items():
            seen = keys[1:-1]
            found = (maps * seen).sum(dim=(-1, -2))
            sums[role] = sums.get(role, torch.zeros_like(found)) + found
            counts[role] = counts.get(role, 0) + int(seen.any(dim=-1).sum())
    return {role: total / counts[role] for role, total in sums.items() if counts[role]}


@checked
def induction_score(
    maps: Float[Tensor, "... n n"], tokens: Integer[Tensor, " n"]
) -> Float[Tensor, "..."]:
    """How much weight each map gives to the keys that follow an earlier copy of the query's token.

    Where tokens[j] = tokens[i] and j < i, key j + 1 is such a key of query i: what came next last
    time. The score is the sum of the weights on these keys, the mean over the queries that have at
    least one, from 0 to 1; 0 where no token comes twice. Half precision is summed in float32.

    Source: Olsson et al. 2022, "prefix matching".

    >>> tokens = torch.tensor([5, 8, 5])  # the last one has seen what follows a 5: key 1
    >>> maps = torch.tensor([[[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.1, 0.7, 0.2]]])
    >>> induction_score(maps, tokens)
    tensor([0.7000])
    """
    follows = _follows(tokens)
    queries = follows.any(dim=-1)
    found = (maps.to(accumulation_dtype(maps.dtype)) * follows).sum(dim=(-1, -2))
    return (found / queries.sum().clamp(min=1)).to(maps.dtype)


def _follows(tokens: Tensor) -> Tensor:
    """For each query (n,) the keys (n, n) behind an earlier token that is the same."""
    n = len(tokens)
    earlier = (tokens == tokens[:, None]) & torch.ones(n, n, device=tokens.device).tril(-1).bool()
    follows = torch.zeros_like(earlier)
    follows[:, 1:] = earlier[:, :-1]
    return follows


def repeated(
    count: int, *, vocabulary: int, generator: torch.Generator | None = None
) -> Integer[Tensor, " n"]:
    """`count` different tokens, drawn at random, twice in the same order.

    >>> tokens = repeated(3, vocabulary=9, generator=torch.Generator().manual_seed(0))
    >>> torch.equal(tokens[:3], tokens[3:])
    True
    """
    drawn = torch.randperm(vocabulary, generator=generator)[:count]
    return torch.cat([drawn, drawn])


def _keys(ids: Tensor) -> dict[str, Tensor]:
    """For each role the keys (n, n) that have it."""
    n = len(ids)
    apart = torch.arange(n) - torch.arange(n)[:, None]
    same = (ids == ids[:, None]) & (apart != 0)
    ends = torch.arange(n).expand(n, n)
    return {
        "previous": (apart == -1).float(),
        "next": (apart == 1).float(),
        "itself": (apart == 0).float(),
        "first": (ends == 0).float(),
        "last": (ends == n - 1).float(),
        "same": same.float(),
        "even": torch.full((n, n), 1 / n),
    }


SUBJECTS = ("baker", "teacher", "doctor", "farmer", "sailor", "painter", "lawyer", "driver")
VERBS = ("found", "sold", "opened", "carried", "painted", "dropped", "cleaned", "bought")
OBJECTS = ("box", "letter", "door", "boat", "chair", "bottle", "cake", "piano")
ADJECTIVES = ("old", "small", "red", "heavy", "broken", "cheap", "wooden", "dark")


def made_sentences(count: int = 100, *, seed: int = 0) -> list[tuple[str, int, int]]:
    """Sentences of one form, each with the places of its verb and of the verb's object, in words.

    "the old baker sold the small red box ." - none to two adjectives before each noun, so that the
    object stands two to four words behind its verb.

    >>> made_sentences(1)
    [('the wooden sailor bought the cake .', 3, 5)]
    """
    dice = random.Random(seed)
    found = []
    for _ in range(count):
        before = dice.sample(ADJECTIVES, dice.randrange(3))
        between = dice.sample(ADJECTIVES, dice.randrange(3))
        subject = ["the", *before, dice.choice(SUBJECTS)]
        words = [*subject, dice.choice(VERBS), "the", *between, dice.choice(OBJECTS), "."]
        found.append((" ".join(words), len(subject), len(words) - 2))
    return found


def verb_to_object(model: Reader, made: Iterable[tuple[str, int, int]]) -> Tensor:
    """The share of sentences (layers, h) in which a head looks from the verb at its object.

    Looks: its largest weight lies there, the first and the last token left out, which are no words.
    Syntax is what no fixed distance gives: compare with the share of the commonest distance.

    Raises ValueError where the model cuts a word into pieces. Source: after Clark et al. 2019,
    section 4.2.
    """
    right = []
    for sentence, verb, place in made:
        ids = model.encode(sentence)
        if len(ids) != len(sentence.split()) + 2:
            raise ValueError(f"each word must be one token: got {len(ids) - 2} for {sentence!r}")
        right.append(model.maps(ids)[:, :, verb + 1, 1:-1].argmax(dim=-1) == place)
    return torch.stack(right).float().mean(dim=0)
