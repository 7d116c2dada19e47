"""Leitner's boxes: what was missed comes again at once, what is known after longer and longer.

A right answer moves a question up a box, a wrong one down into the first. A question of box 1 is
due at once, later ones when their days have passed. Days are whole, counted from 1970.
"""

import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

WAITS = (0, 1, 3, 7, 21)  # days that a question stays in its box
SECONDS_A_DAY = 86_400


@dataclass(frozen=True)
class Card:
    """What is remembered of a question: its box, from 1, and the day it was last asked."""

    box: int
    day: int

    @property
    def due(self) -> int:
        """The day from which on it is asked again."""
        return self.day + WAITS[min(self.box, len(WAITS)) - 1]


def today() -> int:
    """The day that it is."""
    return int(time.time() // SECONDS_A_DAY)


def moved(card: Card | None, right: bool, day: int) -> Card:
    """The card after an answer; a question that was right at once is not new any more: box 2."""
    before = min(card.box, len(WAITS)) if card else 1
    return Card(min(before + 1, len(WAITS)) if right else 1, day)


def drawn(
    names: Sequence[str], cards: Mapping[str, Card], count: int, day: int, rng: random.Random
) -> list[str]:
    """`count` of the names: first those that are due, lowest box first, then new ones, then others.

    Within each group chance decides, and among those not due yet the day.
    """
    mixed = list(names)
    rng.shuffle(mixed)
    due = [name for name in mixed if name in cards and cards[name].due <= day]
    new = [name for name in mixed if name not in cards]
    later = [name for name in mixed if name in cards and cards[name].due > day]
    due.sort(key=lambda name: cards[name].box)
    later.sort(key=lambda name: cards[name].due)
    return [*due, *new, *later][:count]
