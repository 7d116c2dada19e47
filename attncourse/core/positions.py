"""Position information: what is added to tokens, to queries and keys, or to scores.

Positions count in tokens, from 0.
"""

import torch
from jaxtyping import Float, Integer
from torch import Tensor

from attncourse.core.dtypes import accumulation_dtype, float64_device
from attncourse.core.shapes import checked


@checked
def sinusoidal_positions(n: int, d: int) -> Float[Tensor, "n d"]:
    """The (n, d) table of sines and cosines that is added to n embeddings of width d.

    P[p, 2a] = sin(p / 10000^(2a / d)) and P[p, 2a + 1] = cos(p / 10000^(2a / d)): pair a turns once
    every 2 pi 10000^(2a / d) tokens. In the default dtype and on the default device, computed in
    float64 (on the CPU, where the device has none). Time O(n d).

    Raises ValueError unless n >= 1 and d is even and at least 2.
    Source: Vaswani et al. 2017, section 3.5.

    >>> sinusoidal_positions(2, 4)
    tensor([[0.0000, 1.0000, 0.0000, 1.0000],
            [0.8415, 0.5403, 0.0100, 0.9999]])
    """
    if n < 1:
        raise ValueError(f"n must be at least 1: got n={n}")
    if d < 2 or d % 2:
        raise ValueError(f"d must be even and at least 2: got d={d}")
    device = torch.empty(0).device  # the default
    exact = float64_device(device)
    pairs = torch.arange(0, d, 2, dtype=torch.float64, device=exact)
    angles = torch.arange(n, device=exact)[:, None] / 10000.0 ** (pairs / d)
    table = torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(-2)
    return table.to(torch.get_default_dtype()).to(device)


@checked
def learned_positions(
    table: Float[Tensor, "p d"], n: int, *, start: int = 0
) -> Float[Tensor, "n d"]:
    """The n rows of a learned table, from `start` on, that are added to embeddings of width d.

    A learned table ends: unlike sinusoids, it has nothing to say about position p and beyond.
    start is the number of tokens before these, as in decoding. A view: no copy is made.

    Raises ValueError unless n >= 1, start >= 0 and start + n <= p.
    Source: Gehring et al. 2017, section 3.1; Devlin et al. 2018, section 3.

    >>> table = torch.tensor([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]])
    >>> learned_positions(table, 2, start=1)
    tensor([[0.3000, 0.4000],
            [0.5000, 0.6000]])
    """
    if n < 1:
        raise ValueError(f"n must be at least 1: got n={n}")
    if start < 0:
        raise ValueError(f"start must be at least 0: got start={start}")
    if start + n > table.shape[0]:
        raise ValueError(
            f"start + n must be at most p, the number of learned positions"
            f": got start={start}, n={n} and p={table.shape[0]}"
        )
    return table[start : start + n]


@checked
def rotary(
    x: Float[Tensor, "... n d"], positions: Integer[Tensor, " n"], *, base: float = 10000.0
) -> Float[Tensor, "... n d"]:
    """Rotate queries or keys by angles that grow with their positions (RoPE).

    Feature a of the first half and feature a of the second half are one pair, rotated by the
    angle p base^(-2a / d) (halves, as in Llama and GPT-NeoX; the paper pairs neighbours, which is
    the same up to the order of features). Then q_p . k_r depends on positions only through
    p - r, and lengths do not change. Angles are computed in float64 (on the CPU, where the device
    has none); half-precision input is rotated in float32. Time O(n d).

    Raises ValueError unless d is even and base > 0.
    Source: Su et al. 2021, section 3.2.2.

    >>> q = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    >>> rotary(q, torch.tensor([0, 1]))  # by 0 and by 1 radian
    tensor([[1.0000, 0.0000],
            [0.5403, 0.8415]])
    """
    d = x.shape[-1]
    if d % 2:
        raise ValueError(f"d, the last axis of x, must be even: got d={d} for x {tuple(x.shape)}")
    if not base > 0:
        raise ValueError(f"base must be positive: got {base}")
    wide, exact = accumulation_dtype(x.dtype), float64_device(x.device)
    frequencies = base ** (-torch.arange(0, d, 2, dtype=torch.float64, device=exact) / d)
    angles = positions[:, None].to(exact).to(torch.float64) * frequencies
    cos, sin = (wave.to(wide).to(x.device) for wave in (angles.cos(), angles.sin()))
    first, second = x.to(wide).chunk(2, dim=-1)
    turned = torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)
    return turned.to(x.dtype)


@checked
def alibi_bias(h: int, n: int, m: int) -> Float[Tensor, "h n m"]:
    """The (h, n, m) bias that is added to scores: minus a slope for each token of distance.

    Head i has slope 2^(-8 (i + 1) / h), for any h; bias = -slope |p - j| where p = i + m - n is
    the position of query i, aligned to the bottom right as in `causal_mask`. In the default
    dtype and on the default device. Time and memory O(h n m).

    Raises ValueError unless h, n and m are at least 1.
    Source: Press, Smith, Lewis 2022, section 3.

    >>> alibi_bias(8, 1, 4)[0, 0, :3]  # for the keys 3, 2 and 1 tokens before
    tensor([-1.5000, -1.0000, -0.5000])
    """
    if h < 1 or n < 1 or m < 1:
        raise ValueError(f"h, n and m must be at least 1: got h={h}, n={n} and m={m}")
    device = torch.empty(0).device  # the default
    exact = float64_device(device)
    slopes = 2.0 ** (-8.0 * torch.arange(1, h + 1, dtype=torch.float64, device=exact) / h)
    queries, keys = torch.arange(n, device=exact) + m - n, torch.arange(m, device=exact)
    distance = (queries[:, None] - keys).abs()
    bias = -slopes[:, None, None] * distance
    return bias.to(torch.get_default_dtype()).to(device)
