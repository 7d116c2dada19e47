r"""# Mend the eight bits

This function keeps a row of numbers in eight bits and one scale. Most numbers come back to half a
step. In the cache of a language model, it makes noise of every answer. Find out which numbers come
back wrong, and mend it:

$$\mathrm{scale} = \frac{\max_j |x_j|}{127}, \qquad
\mathrm{values}_j = \mathrm{round}\!\left(\frac{x_j}{\mathrm{scale}}\right) .$$

- `x` is (..., d), finite. The result is the pair `(values, scale)`: values (..., d) of the dtype
  `torch.int8`, from -127 to 127, and scale (..., 1), in the dtype of `x`.
- Shapes, dtypes, rounding and the scale 1 of a row of zeros are right already, and stay so.
"""

import torch

from attncourse.exercises import Borrow, itself
from attncourse.exercises.serving import quantize_int8
from attncourse.mechanisms.serving.quantize import quantize_int8 as solution

difficulty, minutes = 2, 10
hints = (
    "Quantise [1.0, 0.5, -1.0], multiply by the scale, and print it beside what went in. Which of "
    "the three does not come back?",
    "`torch.iinfo(torch.int8)` says what eight bits hold: from -128 to 127. What becomes of 128 in "
    "them?",
)
forbidden = quantize_int8.forbidden


def wrong_as_found(x):
    """You left the scale as it was: the largest number becomes 128, which eight bits do not hold,
    and comes back with the other sign. Divide by 127.
    """
    largest = x.abs().amax(dim=-1, keepdim=True)
    scale = largest / 128
    scale = scale.masked_fill(scale == 0, 1.0)
    whole = (x / scale).round().to(torch.int32)
    return whole.to(torch.int8), scale


stub = wrong_as_found
shown = quantize_int8.shown


borrowed = (
    Borrow(
        quantize_int8,
        itself,
        (
            "check_rows_by_hand",
            "check_equals_the_formula",
            "check_each_row_has_its_scale",
            "check_zeros_stay_zeros",
            "check_takes_leading_axes",
            "check_the_largest_comes_back",
            "check_keeps_the_dtype",
            "check_has_the_right_gradient",
            "wrong_cut_off_at_127",
            "wrong_255_steps",
            "wrong_not_rounded",
            "wrong_one_scale_for_all",
            "wrong_largest_with_its_sign",
            "wrong_from_minimum_to_maximum",
            "wrong_zero_rows_divided",
            "wrong_values_as_floats",
            "right_by_rows",
            "right_row_by_row",
            "right_by_the_norm",
        ),
    ),
)
