r"""# Mend a drawing of the data flow

A drawing of self-attention had arrows between seven boxes: the input X, queries Q, keys K, values
V, scores S, weights A and the output Z. An arrow from a box to another says: the second is
computed from the first, *directly*. In the drawing an arrow leads from the output back to the
input, so that nothing could be computed first. Here it is as a function. Follow the formulas, and
mend it:

$$Q = X W_q, \quad K = X W_k, \quad V = X W_v, \qquad S = \frac{Q K^\top}{\sqrt d}, \qquad
A = \mathrm{softmax}(S), \qquad Z = A V .$$

- `names` is a tuple of the seven names, "X", "Q", "K", "V", "S", "A", "Z", in any order. The
  result is a Boolean tensor (7, 7), True at [i, j] where an arrow leads from names[i] to names[j].
- Weights of the projections are no boxes.
"""

import itertools

import torch
from torch import Tensor

from attncourse.testing import assert_same, assert_that

difficulty, minutes = 1, 10
hints = (
    "Take the formulas one by one: what stands on the right of the sign leads to what stands on "
    "the left, and nothing else does.",
    "Eight arrows. Which box has no arrow to it, and which none from it?",
)
forbidden = ()

BOXES = ("X", "Q", "K", "V", "S", "A", "Z")


def solution(names: tuple[str, ...]) -> Tensor:
    """Which box of self-attention is computed directly from which.

    >>> found = solution(("X", "Q", "K", "V", "S", "A", "Z"))
    >>> int(found.sum()), found[0].tolist()  # what is computed from X
    (8, [False, True, True, True, False, False, False])
    """
    made_of = {"Q": "X", "K": "X", "V": "X", "S": "QK", "A": "S", "Z": "AV"}
    return torch.tensor([[start in made_of.get(end, "") for end in names] for start in names])


def check_leads_nowhere_back(student):
    """no way along the arrows comes back to where it began"""
    for names in (BOXES, BOXES[::-1]):
        drawn = student(names)
        assert_same(drawn.dtype == torch.bool and drawn.shape == (7, 7), True, "Boolean and (7, 7)")
        ways = drawn.double()
        circles = sum(float(torch.linalg.matrix_power(ways, n).trace()) for n in range(1, 8))
        assert_that(
            circles == 0,
            "there is a circle in your drawing: a box that is computed from itself, by way of "
            "others, can never be computed.",
        )
        assert_same(drawn, _of(names, _ARROWS), "the drawing")


def check_everything_is_used(student):
    """every box but the output leads on, and every box but the input is computed"""
    drawn = student(BOXES)
    leads, made = drawn.any(dim=1), drawn.any(dim=0)
    for i, name in enumerate(BOXES):
        assert_that(leads[i] or name == "Z", f"no arrow leads from {name}: nothing uses it.")
        assert_that(made[i] or name == "X", f"no arrow leads to {name}: nothing computes it.")
    assert_same(drawn, _of(BOXES, _ARROWS), "the drawing")


def check_scores_know_no_values(student):
    """no way leads from the values to scores or weights"""
    for names in itertools.islice(itertools.permutations(BOXES), 7, 3000, 900):
        drawn = student(names)
        reached = drawn.double()
        for _ in range(7):
            reached = ((reached + reached @ reached) > 0).double()
        for name in ("S", "A"):
            assert_that(
                reached[names.index("V"), names.index(name)] == 0,
                f"a way leads from V to {name}: weights depend on queries and keys alone.",
            )
        assert_same(drawn, _of(names, _ARROWS), "the drawing")


def check_takes_the_names_in_any_order(student):
    """the boxes may come in any order"""
    for names in itertools.islice(itertools.permutations(BOXES), 11, 5000, 700):
        assert_same(student(names), _of(names, _ARROWS), "the drawing")


_ARROWS = ("XQ", "XK", "XV", "QS", "KS", "SA", "AZ", "VZ")


def _of(names, arrows):
    drawn = torch.zeros(len(names), len(names), dtype=torch.bool)
    for start, end in arrows:
        drawn[names.index(start), names.index(end)] = True
    return drawn


def wrong_as_drawn(names):
    """You left the drawing as it was: the output leads back to the input, queries make keys, and
    values make scores. Draw what the formulas say, arrow by arrow.
    """
    arrows = [
        ("X", "Q"),
        ("X", "K"),
        ("X", "V"),
        ("Q", "K"),
        ("K", "V"),
        ("Q", "S"),
        ("V", "S"),
        ("S", "A"),
        ("A", "Z"),
        ("Z", "X"),
    ]
    drawn = torch.zeros(len(names), len(names), dtype=torch.bool)
    for start, end in arrows:
        drawn[names.index(start), names.index(end)] = True
    return drawn


stub = wrong_as_drawn


def wrong_values_make_scores(names):
    """Your drawing has no circle any more, but values lead to scores, as in the old one. Scores
    compare queries with keys; the values wait until the weights are there.
    """
    return _of(names, ("XQ", "XK", "XV", "QS", "KS", "VS", "SA", "AZ"))


def wrong_values_never_used(names):
    """Nothing uses your values. The output is a mean of them: an arrow leads from V to Z.
    Draw it.
    """
    return _of(names, _ARROWS[:-1])


def wrong_scores_to_the_output(names):
    """Your scores lead to the output as well, past the weights. What the values meet are the
    weights alone: take the arrow from S to Z away.
    """
    return _of(names, (*_ARROWS, "SZ"))


def wrong_arrows_turned_round(names):
    """Your arrows point from what is computed to what it is computed from. Turn them round: True at
    [i, j] is an arrow *from* i *to* j.
    """
    return _of(names, _ARROWS).T.contiguous()


def wrong_order_written_down(names):
    """You wrote the matrix for one order of the boxes. They may come in any: look each name up."""
    return _of(BOXES, _ARROWS)


def right_by_arrows(names):
    """eight arrows, one after the other"""
    return _of(names, ("XQ", "XK", "XV", "QS", "KS", "SA", "AZ", "VZ"))


def right_by_formulas(names):
    """the right-hand sides of six formulas, read as text"""
    drawn = torch.zeros(len(names), len(names), dtype=torch.bool)
    for formula in ("Q=X", "K=X", "V=X", "S=QK", "A=S", "Z=AV"):
        left, _, right = formula.partition("=")
        for start in right:
            drawn[names.index(start)][names.index(left)] = True
    return drawn
