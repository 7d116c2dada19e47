r"""# And back

Make floating-point numbers of whole ones and their scale:

$$x_j \approx \mathrm{values}_j \cdot \mathrm{scale} .$$

- `values` (..., d) are whole numbers from -127 to 127, mostly of the dtype `torch.int8`; `scale` is
  float32 or float64, and broadcasts against them: (..., 1) for one scale a row, (1, d) for one a
  channel. The result is (..., d), in the dtype of `scale`.
- The scale may be larger than 127, and smaller than 1.
"""

import torch

from attncourse.mechanisms.serving.quantize import dequantize as solution
from attncourse.testing import assert_same, gaussian, gradients

difficulty, minutes = 1, 5
hints = (
    "127 times 2 is 254. Does that fit into eight bits? In which dtype does the product have to be "
    "computed?",
    "A float tensor times an int8 tensor is a float tensor. Which of the two decides whether it is "
    "float32 or float64?",
)
forbidden = ("dequantize",)

SIZES = ((5, 8), (4, 11))  # n, d


def check_rows_by_hand(student):
    """two rows by hand, one with a scale above 127"""
    values = torch.tensor([[127, -50, 3], [1, -127, 0]], dtype=torch.int8)
    scale = torch.tensor([[2.0], [1000.0]]).double()
    expected = torch.tensor([[254.0, -100, 6], [1000, -127_000, 0]]).double()
    assert_same(student(values, scale), expected)


def check_equals_the_product(student):
    """equals the product for rows of any length"""
    for n, d in SIZES:
        values, scale = _inputs(n, d=d, seed=10)
        assert_same(student(values, scale), right_by_the_product(values, scale))


def check_takes_a_scale_for_each_channel(student):
    """takes one scale for each channel"""
    for n, d in SIZES:
        values, _ = _inputs(n, d=d, seed=20)
        scale = gaussian(1, d, seed=22).abs()
        assert_same(student(values, scale), right_by_the_product(values, scale))


def check_takes_leading_axes(student):
    """works for any batch and head axes, those of length one, and for a single row"""
    for lead in ((), (1,), (2, 1), (2, 3, 4)):
        values, scale = _inputs(*lead, d=7, seed=30)
        assert_same(student(values, scale), right_by_the_product(values, scale))


def check_has_the_right_gradient(student):
    """the gradient of the scale is right"""
    values, scale = _inputs(4, d=6, seed=40)
    expected = gradients(right_by_the_product, values, scale)
    assert_same(gradients(student, values, scale), expected, "the gradient of the scale")


def check_keeps_the_dtype(student):
    """a float32 scale gives float32 numbers"""
    values, scale = _inputs(5, d=8, seed=50)
    for kind in (torch.int8, torch.int64):
        whole = values.to(kind)
        assert_same(student(whole, scale.float()), right_by_the_product(whole, scale.float()))


def _inputs(*lead, d, seed):
    """Whole numbers, and a scale for each row: some above 1, some below."""
    values = (gaussian(*lead, d, std=60.0, seed=seed)).clamp(-127, 127).to(torch.int8)
    return values, gaussian(*lead, 1, std=3.0, seed=seed + 1).exp()


def wrong_divided(values, scale):
    """You divided by the scale, as on the way in. On the way back values are multiplied by it."""
    return values / scale


def wrong_product_in_eight_bits(values, scale):
    """You computed the product in int8, where 127 times 2 turns round to -2. Compute it in the
    dtype of the scale.
    """
    return (values * scale.to(torch.int8)).to(scale.dtype)


def wrong_scale_forgotten(values, scale):
    """You converted the values and forgot the scale. Multiply by it: the whole numbers alone know
    the shape of a row, not its size.
    """
    return values.to(scale.dtype).expand(torch.broadcast_shapes(values.shape, scale.shape))


def wrong_one_scale_for_all(values, scale):
    """You used the largest scale for all rows. Each row has its own: let `scale` broadcast as it
    is.
    """
    return values * scale.max()


def wrong_added(values, scale):
    """You added the scale. A step is one scale wide, and values count steps: multiply."""
    return values + scale


def wrong_float32(values, scale):
    """You converted to float32, and a float64 scale loses half of its digits. The result has the
    dtype of the scale.
    """
    return values.to(torch.float32) * scale.to(torch.float32)


def wrong_float64(values, scale):
    """You computed in float64 and returned float64. The result has the dtype of the scale: cast it
    back.
    """
    return values.double() * scale.double()


def wrong_rounded(values, scale):
    """You rounded the result. Rounding was done on the way in, and what comes back are fractions:
    leave the product as it is.
    """
    return (values * scale).round()


def right_by_the_product(values, scale):
    """the product, in the dtype of the scale"""
    return values.to(scale.dtype) * scale


def right_by_promotion(values, scale):
    """PyTorch's own promotion: float times int8 is float"""
    return scale * values


def right_by_einsum(values, scale):
    """numbers and scales brought to one shape first"""
    wide, each = torch.broadcast_tensors(values.to(scale.dtype), scale)
    return torch.einsum("...,...->...", wide, each)


shown = right_by_the_product
