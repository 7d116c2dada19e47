"""Rotary positions in another order of features, and for texts longer than those of training."""

import torch
from jaxtyping import Float, Integer
from torch import Tensor

from attncourse.core.dtypes import accumulation_dtype, float64_device
from attncourse.core.positions import rotary
from attncourse.core.shapes import checked


@checked
def interleaved_rotary(
    x: Float[Tensor, "... n d"], positions: Integer[Tensor, " n"], *, base: float = 10000.0
) -> Float[Tensor, "... n d"]:
    """`rotary` with neighbours for pairs: the features 2a and 2a + 1 are rotated together.

    The paper's own order, and llama.cpp's. Weights made for one order are wrong in the other,
    unless the features of every head, of queries and keys alike, are reordered. Raises and costs
    as `rotary`.

    Source: Su et al. 2021, section 3.2.2, equation 15.

    >>> x = torch.tensor([[1.0, 0.0, 1.0, 0.0]])
    >>> interleaved_rotary(x, torch.tensor([1]), base=1.0)  # each pair by 1 radian
    tensor([[0.5403, 0.8415, 0.5403, 0.8415]])
    """
    if x.shape[-1] % 2:
        raise ValueError(f"d, the last axis of x, must be even: got d={x.shape[-1]}")
    halves = torch.cat([x[..., 0::2], x[..., 1::2]], dim=-1)
    first, second = rotary(halves, positions, base=base).chunk(2, dim=-1)
    return torch.stack([first, second], dim=-1).flatten(-2)


@checked
def interpolated_rotary(
    x: Float[Tensor, "... n d"],
    positions: Integer[Tensor, " n"],
    *,
    stretch: float,
    base: float = 10000.0,
) -> Float[Tensor, "... n d"]:
    """`rotary` at the positions p / stretch: a longer text in the angles of the trained length.

    With stretch = n / (trained length) no angle is larger than in training; neighbours are closer
    together than ever. Raises ValueError unless stretch > 0, and as `rotary`.

    Source: Chen et al. 2023, section 2.3, equation 4.

    >>> q = torch.tensor([[1.0, 0.0]])
    >>> interpolated_rotary(q, torch.tensor([2]), stretch=2.0)  # where rotary has position 1
    tensor([[0.5403, 0.8415]])
    """
    if not stretch > 0:
        raise ValueError(f"stretch must be positive: got {stretch}")
    if x.shape[-1] % 2:
        raise ValueError(f"d, the last axis of x, must be even: got d={x.shape[-1]}")
    if not base > 0:
        raise ValueError(f"base must be positive: got {base}")
    wide, exact = accumulation_dtype(x.dtype), float64_device(x.device)
    pairs = torch.arange(x.shape[-1] // 2, dtype=torch.float64, device=exact)
    stretched = positions[:, None].to(exact).to(torch.float64) / stretch
    angles = stretched * base ** (-2 * pairs / x.shape[-1])
    cos, sin = (wave.to(wide).to(x.device) for wave in (angles.cos(), angles.sin()))
    first, second = x.to(wide).chunk(2, dim=-1)
    turned = torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)
    return turned.to(x.dtype)
