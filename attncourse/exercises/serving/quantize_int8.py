r"""# Eight bits a number

Keep a row of numbers as whole numbers from -127 to 127 and one scale:

$$\mathrm{scale} = \frac{\max_j |x_j|}{127}, \qquad
\mathrm{values}_j = \mathrm{round}\!\left(\frac{x_j}{\mathrm{scale}}\right), \qquad
x_j \approx \mathrm{values}_j \cdot \mathrm{scale} .$$

- `x` is (..., d), finite, float32 or float64. The result is the pair `(values, scale)`: values
  (..., d) of the dtype `torch.int8`, and scale (..., 1), in the dtype of `x`.
- Each row, along the last axis, has a scale of its own. A row of zeros has the scale 1.
- No number is off by more than half a scale, and the largest of a row comes back as it was.
"""

import torch

from attncourse.mechanisms.serving.quantize import quantize_int8 as solution
from attncourse.testing import assert_same, assert_that, gaussian, gradients

difficulty, minutes = 2, 15
hints = (
    "Which number of a row becomes 127 or -127? Divide the row by the scale that does this, and "
    "print it before and after rounding.",
    "`abs().amax(dim=-1, keepdim=True)` is the largest of each row; replace a scale of 0 before "
    "you divide. Round first, then `.to(torch.int8)`, which only cuts off.",
)
forbidden = ("quantize_int8", "quantize_channels", "quantize_per_tensor", "quantize_per_channel")

SIZES = ((5, 8), (4, 11))  # n, d


def check_rows_by_hand(student):
    """three rows by hand"""
    x = torch.tensor([[254.0, -100, 6], [12, -1270, 40], [0.254, 0.508, -0.128]]).double()
    values = torch.tensor([[127, -50, 3], [1, -127, 4], [64, 127, -32]], dtype=torch.int8)
    x[2, 0] = 0.2555  # no tie: 63.9
    scale = torch.tensor([[2.0], [10.0], [0.0]]).double()
    scale[2] = x[2, 1] / 127
    _assert_pair(student(x), (values, scale))


def check_equals_the_formula(student):
    """equals the formula for rows of any length"""
    for sizes in SIZES:
        x = gaussian(*sizes, seed=10)
        _assert_pair(student(x), right_by_rows(x))


def check_each_row_has_its_scale(student):
    """rows of small and of large numbers keep the same precision"""
    for n, d in SIZES:
        heights = torch.tensor([1e-3, 1.0, 1e4, 1e-7, 30.0])[:n, None].double()
        x = gaussian(n, d, seed=20) * heights
        _assert_pair(student(x), right_by_rows(x))


def check_zeros_stay_zeros(student):
    """a row of zeros gives zeros and the scale 1"""
    for n, d in SIZES:
        x = gaussian(n, d, seed=30)
        x[1] = 0
        _assert_pair(student(x), right_by_rows(x))


def check_takes_leading_axes(student):
    """works for any batch and head axes, those of length one, and for a single row"""
    for lead in ((), (1,), (2, 1), (2, 3, 4)):
        x = gaussian(*lead, 7, seed=40)
        _assert_pair(student(x), right_by_rows(x))


def check_the_largest_comes_back(student):
    """the largest of a row comes back, the rest within half a scale"""
    for n, d in SIZES:
        x = gaussian(n, d, seed=50)
        x[:, 2] = torch.tensor([9.0, -9, 20, -20, 9])[:n].double()
        values, scale = _pair(student(x))
        back = values.double() * scale
        assert_same(back[:, 2], x[:, 2], "the largest of each row")
        close = (back - x).abs() <= 0.5 * scale.abs() * (1 + 1e-9)
        assert_that(close.all(), "a number is off by more than half a scale.")


def check_keeps_the_dtype(student):
    """float32 numbers give a float32 scale, and whole numbers in eight bits"""
    x = gaussian(*SIZES[0], seed=60).float()
    values, scale = _pair(student(x))
    assert_same(scale, x.abs().amax(dim=-1, keepdim=True) / 127, "the scale")
    assert_that(values.dtype == torch.int8, f"values must be torch.int8, not {values.dtype}.")
    close = (values * scale - x).abs() <= 0.5 * scale.abs() * (1 + 1e-4)
    assert_that(close.all(), "a number is off by more than half a scale.")


def check_has_the_right_gradient(student):
    """the gradient of the scale goes to the largest number of each row"""
    for sizes in SIZES:
        x = gaussian(*sizes, seed=70)
        _assert_pair(student(x), right_by_rows(x))
        expected = gradients(right_by_rows, x)
        assert_same(gradients(student, x), expected, "the gradient")


def _pair(actual):
    whole = isinstance(actual, tuple) and len(actual) == 2
    assert_that(whole, "the result must be a pair: values and scale.")
    return actual


def _assert_pair(actual, expected):
    for name, a, b in zip(("values", "scale"), _pair(actual), expected, strict=True):
        assert_same(a, b, f"the tensor of {name}")


def _scale(x, largest=127, dim=-1):
    scale = x.abs().amax(dim=dim, keepdim=True) / largest
    return scale.masked_fill(scale == 0, 1.0)


def wrong_largest_turns_round(x):
    """You scale the largest number to 128, which eight bits do not hold: it turns round and comes
    back as -128. Divide by 127, the largest number of `torch.int8`.
    """
    scale = _scale(x, 128)
    whole = (x / scale).round()
    return whole.to(torch.int32).to(torch.int8), scale


def wrong_cut_off_at_127(x):
    """You divide by 128 and cut off what is above 127, so that the largest number of a row shrinks.
    Divide by 127, and nothing has to be cut off.
    """
    scale = _scale(x, 128)
    return (x / scale).round().clamp(-127, 127).to(torch.int8), scale


def wrong_255_steps(x):
    """You divide by 255, the number of steps from end to end. From zero to the end there are 127 on
    each side, and beyond them numbers turn round.
    """
    scale = _scale(x, 255)
    return (x / scale).round().to(torch.int32).to(torch.int8), scale


def wrong_not_rounded(x):
    """You convert to int8 without rounding, which cuts off: numbers are off by up to a whole scale,
    towards zero. Call `round` first.
    """
    scale = _scale(x)
    return (x / scale * (1 + 1e-12)).to(torch.int8), scale


def wrong_rounded_down(x):
    """You round down, and every number loses half a step in the mean. Use `round`, to the nearest
    one.
    """
    scale = _scale(x)
    return (x / scale + 1e-12).floor().to(torch.int8), scale


def wrong_one_scale_for_all(x):
    """You use one scale for all rows, the largest, and of rows of small numbers nothing is left.
    Take the maximum along the last axis, with `keepdim=True`.
    """
    scale = (x.abs().max() / 127).expand(*x.shape[:-1], 1).clone()
    scale = scale.masked_fill((x == 0).all(dim=-1, keepdim=True), 1.0)
    return (x / scale).round().to(torch.int8), scale


def wrong_largest_with_its_sign(x):
    """You took the maximum of the numbers and not of their sizes. In a row whose largest number is
    negative the others are cut off or turn round: take `abs` first.
    """
    scale = x.amax(dim=-1, keepdim=True) / 127
    scale = scale.masked_fill(scale == 0, 1.0)
    return (x / scale).round().clamp(-127, 127).to(torch.int8), scale


def wrong_from_minimum_to_maximum(x):
    """You stretch each row from its smallest to its largest number. That needs a zero point beside
    the scale: here zero stays zero, and the scale is the largest size / 127.
    """
    low, high = x.amin(dim=-1, keepdim=True), x.amax(dim=-1, keepdim=True)
    scale = (high - low) / 254
    scale = scale.masked_fill(scale == 0, 1.0)
    return ((x - low) / scale - 127).round().to(torch.int8), scale


def wrong_zero_rows_divided(x):
    """Your scale of a row of zeros is 0, and 0 / 0 is NaN. Such a row has the scale 1: replace the
    zeros before you divide.
    """
    scale = x.abs().amax(dim=-1, keepdim=True) / 127
    return (x / scale).round().nan_to_num().to(torch.int8), scale


def wrong_floor_under_the_scale(x):
    """You keep the scale above a small number, and rows of smaller numbers come back as zeros. Only
    a scale of 0 has to be replaced, by 1.
    """
    scale = _scale(x).clamp(min=1e-5)
    return (x / scale).round().to(torch.int8), scale


def wrong_values_as_floats(x):
    """Your values are whole, but kept as floats, with as many bytes as before. Convert them with
    `.to(torch.int8)`.
    """
    scale = _scale(x)
    return (x / scale).round(), scale


def wrong_scale_without_its_axis(x):
    """You dropped the last axis of the scale. With (..., 1) it multiplies the values as it is: use
    `keepdim=True`.
    """
    scale = _scale(x)
    return (x / scale).round().to(torch.int8), scale.squeeze(-1)


def wrong_scale_inverted(x):
    """You return what x was multiplied by, 127 / max. The scale is what values are multiplied by to
    get x back: max / 127.
    """
    scale = _scale(x)
    return (x / scale).round().to(torch.int8), 1 / scale


def wrong_scale_first(x):
    """You return the scale first. The result is the pair (values, scale): exchange the two."""
    scale = _scale(x)
    return scale, (x / scale).round().to(torch.int8)


def right_by_rows(x):
    """the largest size of each row, zeros replaced, then division and rounding"""
    scale = x.abs().amax(dim=-1, keepdim=True) / 127
    scale = torch.where(scale == 0, torch.ones_like(scale), scale)
    return (x / scale).round().to(torch.int8), scale


def right_row_by_row(x):
    """a loop over the rows"""
    found = []
    for row in x.reshape(-1, x.shape[-1]):
        largest = torch.maximum(row.max(), -row.min())
        found.append(largest / 127 if largest else torch.ones_like(largest))
    scale = torch.stack(found).reshape(*x.shape[:-1], 1)
    return torch.round(x / scale).to(torch.int8), scale


def right_by_the_norm(x):
    """the largest size as a norm, and a cut that cuts nothing"""
    scale = torch.linalg.vector_norm(x, ord=float("inf"), dim=-1, keepdim=True) / 127
    scale = scale + (scale == 0)
    return (x / scale).round().clamp(-127, 127).to(torch.int8), scale


shown = right_by_rows
