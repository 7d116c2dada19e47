r"""# Mend a map of concepts

A map of attention had two arrows that decide nothing: positions came out of self-attention, and a
model that reads in both directions out of several heads. An arrow here says: the first *decides*
the second. Four choices decide four properties, each its own:

- the vectors added to the tokens decide whether order counts;
- the mask decides in which direction a token reads;
- where the keys come from decides whether it is self- or cross-attention;
- the number of heads decides how many maps of weights there are.

$$\text{choice} \to \text{property}$$

Mend the map. `names` is a tuple of the eight names in any order: the choices "positions", "mask",
"source of keys", "heads", the properties "order", "direction", "self or cross", "maps". The result
is a Boolean tensor (8, 8), True at [i, j] where names[i] decides names[j].
"""

import itertools

import torch
from torch import Tensor

from attncourse.testing import assert_same, assert_that

difficulty, minutes = 1, 5
hints = (
    "Shuffle the tokens of a self-attention without positions, and its outputs are shuffled. So "
    "what decides whether order counts?",
    "Four arrows, none of them from a property. A model with one head can read in both directions.",
)
forbidden = ()

CHOICES = ("positions", "mask", "source of keys", "heads")
PROPERTIES = ("order", "direction", "self or cross", "maps")
NAMES = CHOICES + PROPERTIES


def solution(names: tuple[str, ...]) -> Tensor:
    """Which choice decides which property of an attention layer.

    >>> names = ("mask", "direction", "heads", "maps", "positions", "order")
    >>> solution((*names, "source of keys", "self or cross"))[0].nonzero().tolist()  # the mask
    [[1]]
    """
    decides = {
        "positions": "order",
        "mask": "direction",
        "source of keys": "self or cross",
        "heads": "maps",
    }
    return torch.tensor([[decides.get(first) == second for second in names] for first in names])


def check_each_choice_decides_one_property(student):
    """each choice decides its property, and nothing else does"""
    for names in (NAMES, NAMES[::-1]):
        assert_same(student(names), _of(names, _PAIRS), "the map")


def check_heads_do_not_turn_round(student):
    """the number of heads has no say in the direction"""
    drawn = student(NAMES)
    assert_that(
        not drawn[NAMES.index("heads"), NAMES.index("direction")],
        "in your map heads decide the direction: one head can read both ways, and twelve one way.",
    )
    assert_same(drawn, _of(NAMES, _PAIRS), "the map")


def check_attention_makes_no_positions(student):
    """no property decides anything, least of all where a token stands"""
    drawn = student(NAMES)
    assert_that(
        not drawn[4:].any(),
        "in your map a property decides something; it is what was decided.",
    )
    assert_same(drawn, _of(NAMES, _PAIRS), "the map")


def check_takes_the_names_in_any_order(student):
    """the names may come in any order"""
    for names in itertools.islice(itertools.permutations(NAMES), 17, 40000, 5000):
        assert_same(student(names), _of(names, _PAIRS), "the map")


_PAIRS = tuple(zip(CHOICES, PROPERTIES, strict=True))


def _of(names, pairs):
    drawn = torch.zeros(len(names), len(names), dtype=torch.bool)
    for start, end in pairs:
        drawn[names.index(start), names.index(end)] = True
    return drawn


def wrong_as_drawn(names):
    """You left the map as it was: positions come out of self-attention, and the direction out of
    the heads. Ask of each property which single choice changes it.
    """
    arrows = [
        ("self or cross", "positions"),
        ("heads", "direction"),
        ("positions", "order"),
        ("self or cross", "heads"),
        ("heads", "maps"),
    ]
    drawn = torch.zeros(len(names), len(names), dtype=torch.bool)
    for start, end in arrows:
        drawn[names.index(start), names.index(end)] = True
    return drawn


stub = wrong_as_drawn


def wrong_heads_give_the_direction(names):
    """In your map heads still decide the direction. One head can read both ways: the mask does."""
    return _of(names, (*_PAIRS[:1], ("heads", "direction"), *_PAIRS[2:]))


def wrong_mask_gives_the_order(names):
    """You let the mask decide whether order counts. A causal mask does tell first from last, yet
    the map asks for what is added to the tokens: positions.
    """
    return _of(names, (("mask", "order"), *_PAIRS[1:]))


def wrong_everything_decides_the_maps(names):
    """You let every choice decide the maps. Their numbers depend on all of it, and how many there
    are on the number of heads alone.
    """
    return _of(names, (*_PAIRS, *((choice, "maps") for choice in CHOICES)))


def wrong_arrows_turned_round(names):
    """Your arrows lead from the property to the choice. Turn them round: the first decides the
    second.
    """
    return _of(names, _PAIRS).T.contiguous()


def wrong_order_written_down(names):
    """You wrote the matrix for one order of the names. They may come in any: look each one up."""
    return _of(NAMES, _PAIRS)


def right_by_arrows(names):
    """four arrows, one after the other"""
    return _of(names, (("positions", "order"), *_PAIRS[1:]))


def right_by_places(names):
    """the places of all pairs, set at once"""
    drawn = torch.zeros(len(names), len(names), dtype=torch.bool)
    rows, columns = zip(*((names.index(a), names.index(b)) for a, b in _PAIRS), strict=True)
    drawn[list(rows), list(columns)] = True
    return drawn
