r"""# Mend a turn

This function turns queries and keys by their positions. It keeps lengths, its scores depend on the
distance only, and at position 0 it changes nothing: all that its author tested. In a model whose
weights were made for `rotary` it makes the scores wrong, and the more so the further the key is
away. It is to compute

$$y_a = x_a \cos p\theta_a - x_{a + d/2} \sin p\theta_a , \qquad
y_{a + d/2} = x_a \sin p\theta_a + x_{a + d/2} \cos p\theta_a , \qquad
\theta_a = \mathrm{base}^{-2a/d} .$$

- `x` is (..., n, d) with an even d, `positions` is (n,), whole numbers in any order; the result has
  the shape and dtype of `x`.
- The angles are right. Which features does the function turn together, and where does it put them?
"""

import torch

from attncourse.core.positions import rotary as solution
from attncourse.exercises import Borrow
from attncourse.exercises.positions import rotary

difficulty, minutes = 2, 10
hints = (
    "Turn one token of width 4 at position 1, with the features 1, 0, 0, 0. The formula moves some "
    "of the 1 to one other place. Into which place does this function move it?",
    "Two lines know which features are a pair: one takes them apart, one puts them together. With "
    "halves these are `chunk(2, dim=-1)` and `cat`.",
)


def _unchanged(rotary):
    """An answer to `rotary` is one to this, whose function is the same."""
    return rotary


def wrong_pairs_of_neighbours(x, positions, *, base=10000.0):
    """You turn neighbours, the features 2a and 2a + 1, together. That is a rotation as good as
    any, but the weights were made for halves: pair feature a with feature a + d / 2.
    """
    d = x.shape[-1]
    rates = base ** (-torch.arange(0, d, 2, dtype=torch.float64) / d)
    angles = positions[:, None].double() * rates
    first, second = x.double()[..., 0::2], x.double()[..., 1::2]
    turned_first = first * angles.cos() - second * angles.sin()
    turned_second = first * angles.sin() + second * angles.cos()
    return torch.stack([turned_first, turned_second], dim=-1).flatten(-2).to(x.dtype)


stub = wrong_pairs_of_neighbours

borrowed = (
    Borrow(
        rotary,
        _unchanged,
        (
            "check_matches_the_definition",
            "check_takes_positions_as_they_are",
            "check_obeys_the_base",
            "check_takes_leading_axes",
            "check_keeps_lengths_and_distances",
            "check_far_positions_are_exact",
            "check_keeps_the_dtype",
            "check_has_the_right_gradient",
            "wrong_neighbours_into_halves",
            "wrong_halves_into_neighbours",
            "wrong_angles_of_neighbours",
            "wrong_clockwise",
            "wrong_no_minus_sign",
            "wrong_updated_half_used_again",
            "wrong_first_half_only",
            "wrong_float64_returned",
            "right_by_complex_numbers",
            "right_by_a_half_turned",
        ),
    ),
)


shown = rotary.shown
