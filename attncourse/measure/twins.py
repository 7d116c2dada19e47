"""Pairs of sentences that differ in one word, and in what "it" is."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from attncourse.models.pretrained.minilm import MiniLM
from attncourse.models.pretrained.smollm import SmolLM


@dataclass(frozen=True)
class Twins:
    """A sentence with a gap, its two nouns, and what "it" is for each of two words in the gap.

    The first word makes it the first noun, the second one the second.
    """

    sentence: str
    nouns: tuple[str, str]
    words: tuple[str, str]

    def texts(self) -> tuple[str, str]:
        """The two sentences."""
        first, second = (self.sentence.format(word) for word in self.words)
        return first, second


def _pair(sentence: str, nouns: str, words: str) -> Twins:
    first, second = nouns.split()
    one, other = words.split()
    return Twins(sentence, (first, second), (one, other))


# after the form of Winograd's schema (Levesque 2011); the first is his, the others were made here
TWINS = (
    _pair(
        "The trophy does not fit in the suitcase because it is too {}.",
        "trophy suitcase",
        "big small",
    ),
    _pair(
        "The table does not go through the door because it is too {}.", "table door", "wide narrow"
    ),
    _pair("The rope did not hold the bell because it was too {}.", "rope bell", "weak heavy"),
    _pair(
        "The dog could not jump over the fence because it was too {}.", "dog fence", "small high"
    ),
    _pair("The knife did not cut the bread because it was too {}.", "knife bread", "blunt hard"),
    _pair(
        "The boat could not pass under the bridge because it was too {}.", "boat bridge", "tall low"
    ),
    _pair("The horse could not pull the cart because it was too {}.", "horse cart", "weak heavy"),
    _pair("The cat did not catch the mouse because it was too {}.", "cat mouse", "slow fast"),
    _pair("The shelf did not carry the piano because it was too {}.", "shelf piano", "weak heavy"),
    _pair("The stone broke the window because it was so {}.", "stone window", "heavy thin"),
    _pair("The lamp did not light the hall because it was too {}.", "lamp hall", "weak large"),
    _pair("The truck did not overtake the car because it was too {}.", "truck car", "slow fast"),
    _pair("The book does not fit on the shelf because it is too {}.", "book shelf", "tall low"),
    _pair("The key did not turn in the lock because it was too {}.", "key lock", "large small"),
    _pair("The hammer did not split the rock because it was too {}.", "hammer rock", "light hard"),
    _pair(
        "The bottle did not fill the bucket because it was too {}.", "bottle bucket", "small large"
    ),
)


def by_head(model: MiniLM, layer: int, head: int) -> Callable[[Twins, str], bool]:
    """Does a head give more of the row of "it" to the first noun?"""

    def first(twins: Twins, text: str) -> bool:
        words, row = model.words(text), model.maps(text)[layer, head]
        one, other = (row[words.index("it"), words.index(noun)] for noun in twins.nouns)
        return bool(one > other)

    return first


def by_likelihood(model: SmolLM) -> Callable[[Twins, str], bool]:
    """Is what follows "it" likelier with the first noun in its place?

    Source: Trinh and Le 2018, section 3.1, partial scoring.
    """

    def first(twins: Twins, text: str) -> bool:
        before, _, after = text.partition(" it ")
        one, other = (
            _log_likelihood(model, f"{before} the {noun}", f" {after}") for noun in twins.nouns
        )
        return one > other

    return first


def both_right(first: Callable[[Twins, str], bool]) -> list[tuple[bool, bool]]:
    """For each pair of twins: is the answer to the one right, and to the other? Chance is half."""
    found = []
    for twins in TWINS:
        one, other = (first(twins, text) for text in twins.texts())
        found.append((one, not other))
    return found


def _log_likelihood(model: SmolLM, before: str, after: str) -> float:
    """The mean of ln p over the tokens of `after`, given `before`."""
    ids, begun = model.encode(before + after), len(model.encode(before))
    logits: Tensor = model.logits(ids)[begun - 1 : -1]
    log_p = logits.log_softmax(dim=-1).gather(-1, torch.tensor(ids[begun:])[:, None])
    return log_p.mean().item()
