r"""# Turn by position

Turn queries, or keys, by angles that grow with their positions. Feature *a* of the first half and
feature *a* of the second half are a pair; pair *a* of a token at position *p* turns by
$p\,\theta_a$, counter-clockwise:

$$y_a = x_a \cos p\theta_a - x_{a + d/2} \sin p\theta_a , \qquad
y_{a + d/2} = x_a \sin p\theta_a + x_{a + d/2} \cos p\theta_a , \qquad
\theta_a = \mathrm{base}^{-2a/d}, \quad a = 0, \dots, \tfrac{d}{2} - 1 .$$

- `x` is (..., n, d) with an even d, `positions` is (n,), whole numbers in any order: they do not
  always begin at 0. The result has the shape and dtype of `x`, and its gradient is right.
- Compute the angles in float64: far out, float32 angles are wrong in the digits that count.
"""

import math

import torch

from attncourse.core.positions import rotary as solution
from attncourse.testing import assert_same, assert_that, gaussian, gradients

difficulty, minutes = 3, 20
hints = (
    "Angles first: a table (n, d / 2), a row for each position, a column for each pair. The d "
    "features of `x` are two halves; every pair has its first member in one and its second in the "
    "other, so that whole halves can be combined at once.",
    "With `first` and `second` for the halves of `x`, the first half of the result is "
    "`first * cos` less `second * sin`. Read the second one off its formula in the same way, and "
    "join both along the last axis.",
)


def check_matches_the_definition(student):
    """equals the loop over tokens and pairs"""
    for n, d in ((5, 8), (11, 6)):
        x, positions = gaussian(n, d), torch.arange(n)
        assert_same(student(x, positions), _by_loop(x, positions))


def check_takes_positions_as_they_are(student):
    """positions need not begin at 0, nor be in order: a cached token keeps its own"""
    x = gaussian(6, 10, seed=10)
    for positions in ([7, 8, 9, 10, 11, 12], [40, 3, 3, 0, 19, 2]):
        positions = torch.tensor(positions)
        assert_same(student(x, positions), _by_loop(x, positions))
    alone = student(x[4:5], torch.tensor([23]))
    assert_same(alone, _by_loop(x[4:5], torch.tensor([23])), "the result for one token")


def check_obeys_the_base(student):
    """another base, another speed of each pair but the first"""
    x, positions = gaussian(7, 8, seed=20), torch.arange(7)
    for base in (100000.0, 10.0, 100):
        assert_same(
            student(x, positions, base=base), _by_loop(x, positions, base), f"base {base:g}"
        )


def check_takes_leading_axes(student):
    """works for any batch and head axes, those of length one too"""
    for lead in ((3,), (1,), (2, 3), (1, 4), (4, 1)):
        x, positions = gaussian(*lead, 5, 6, seed=30), torch.arange(5) + 2
        flat = [_by_loop(rows, positions) for rows in x.reshape(-1, 5, 6)]
        assert_same(student(x, positions), torch.stack(flat).reshape(x.shape))


def check_keeps_lengths_and_distances(student):
    """lengths stay, and scores depend on the distance only"""
    q, k, at = gaussian(9, 4, seed=40), gaussian(9, 4, seed=41), torch.arange(9)
    turned = student(q, at)
    assert_same(turned.norm(dim=-1), q.norm(dim=-1), "the length of each token")
    moved = student(q, at + 90) @ student(k, at + 90).mT
    assert_same(turned @ student(k, at).mT, moved, "the scores, 90 positions further on,")


def check_far_positions_are_exact(student):
    """position 100,000 is as exact as position 1"""
    x, positions = gaussian(3, 6, seed=50), torch.tensor([8191, 100_000, 99_999])
    assert_same(student(x, positions), _by_loop(x, positions))


def check_keeps_the_dtype(student):
    """float32 tokens give float32 tokens, bfloat16 tokens bfloat16 tokens"""
    x, positions = gaussian(5, 8, seed=60).float(), torch.arange(5) + 30
    assert_same(student(x, positions), _by_loop(x.double(), positions).float())
    x = x.bfloat16()
    turned = student(x, positions)
    assert_that(turned.dtype == torch.bfloat16, "bfloat16 tokens must stay bfloat16.")
    error = turned.double() - _by_loop(x.double(), positions)
    assert_that(error.abs().max() < 0.1, "bfloat16 tokens must give about the same result.")


def check_has_the_right_gradient(student):
    """the gradient is right"""
    for n, d in ((5, 8), (7, 2)):
        x, positions = gaussian(n, d, seed=70), torch.arange(n) + 3
        ours = gradients(student, x, positions)[0]
        assert_same(ours, gradients(_by_loop, x, positions)[0], "the gradient")


def _by_loop(x, positions, base=10000.0):
    half = x.shape[-1] // 2
    rows = []
    for token, p in zip(x, positions.tolist(), strict=True):
        angles = [p * base ** (-a / half) for a in range(half)]
        first = [
            token[a] * math.cos(t) - token[a + half] * math.sin(t) for a, t in enumerate(angles)
        ]
        second = [
            token[a] * math.sin(t) + token[a + half] * math.cos(t) for a, t in enumerate(angles)
        ]
        rows.append(torch.stack(first + second))
    return torch.stack(rows)


def _frequencies(d, base):
    return base ** (-torch.arange(0, d, 2, dtype=torch.float64) / d)


def _waves(x, positions, base):
    angles = positions[:, None].double() * _frequencies(x.shape[-1], base)
    return angles.cos(), angles.sin()


def _turned(x, cos, sin):
    first, second = x.double().chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1).to(x.dtype)


def _neighbours(x, cos, sin):
    even, odd = x.double()[..., 0::2], x.double()[..., 1::2]
    return even * cos - odd * sin, even * sin + odd * cos


def wrong_neighbours(x, positions, *, base=10000.0):
    """You paired neighbours, the features 2a and 2a + 1. Here the pairs are halves: feature a goes
    with feature a + d / 2. Weights that were made for one order are wrong in the other.
    """
    even, odd = _neighbours(x, *_waves(x, positions, base))
    return torch.stack([even, odd], dim=-1).flatten(-2).to(x.dtype)


def wrong_neighbours_into_halves(x, positions, *, base=10000.0):
    """You paired neighbours, and put what came out into two halves. Take the pairs from the two
    halves in the first place: feature a goes with feature a + d / 2.
    """
    return torch.cat(_neighbours(x, *_waves(x, positions, base)), dim=-1).to(x.dtype)


def wrong_halves_into_neighbours(x, positions, *, base=10000.0):
    """You turned the right pairs and then laid their members side by side. Feature a stays in the
    first half, feature a + d / 2 in the second: join the halves with `cat`.
    """
    first, second = _turned(x, *_waves(x, positions, base)).chunk(2, dim=-1)
    return torch.stack([first, second], dim=-1).flatten(-2)


def wrong_angles_of_neighbours(x, positions, *, base=10000.0):
    """You repeated each angle for two neighbours, while your pairs are halves. The d angles are the
    d / 2 angles twice over, one behind the other: `cat`, not `repeat_interleave`.
    """
    cos, sin = (wave.repeat_interleave(2, dim=-1) for wave in _waves(x, positions, base))
    first, second = x.double().chunk(2, dim=-1)
    return (x.double() * cos + torch.cat([-second, first], dim=-1) * sin).to(x.dtype)


def wrong_positions_from_zero(x, positions, *, base=10000.0):
    """You counted the tokens from 0 and did not look at `positions`. With a cache the new token
    comes alone, and would stand at position 0 for ever: use the positions that you are given.
    """
    return _turned(x, *_waves(x, torch.arange(x.shape[-2]), base))


def wrong_positions_from_the_first(x, positions, *, base=10000.0):
    """You took the first position and counted on from it. Positions may come in any order, and
    twice: use each as it is given.
    """
    return _turned(x, *_waves(x, positions[0] + torch.arange(x.shape[-2]), base))


def wrong_positions_from_one(x, positions, *, base=10000.0):
    """You added one to every position. Distances stay right, but position 0 must leave a token as
    it is: use the positions as they are given.
    """
    return _turned(x, *_waves(x, positions + 1, base))


def wrong_clockwise(x, positions, *, base=10000.0):
    """You turned the other way round. The minus sign belongs to the sine in the first half:
    first cos - second sin, then first sin + second cos.
    """
    cos, sin = _waves(x, positions, base)
    return _turned(x, cos, -sin)


def wrong_no_minus_sign(x, positions, *, base=10000.0):
    """You added in both halves, so that lengths change: no rotation does that. In the first half
    the sine is subtracted.
    """
    cos, sin = _waves(x, positions, base)
    first, second = x.double().chunk(2, dim=-1)
    out = torch.cat([first * cos + second * sin, first * sin + second * cos], dim=-1)
    return out.to(x.dtype)


def wrong_sine_and_cosine_exchanged(x, positions, *, base=10000.0):
    """You exchanged sine and cosine. At position 0 the cosine is 1 and the sine 0, so that nothing
    turns there.
    """
    cos, sin = _waves(x, positions, base)
    return _turned(x, sin, cos)


def wrong_exponent_halved(x, positions, *, base=10000.0):
    """You divided the number of the pair by d. The exponent is -2a / d: it reaches nearly -1 in the
    last pair, while yours stops at one half.
    """
    rates = base ** (-torch.arange(x.shape[-1] // 2, dtype=torch.float64) / x.shape[-1])
    angles = positions[:, None].double() * rates
    return _turned(x, angles.cos(), angles.sin())


def wrong_last_pair_at_the_full_base(x, positions, *, base=10000.0):
    """You spread the exponents so that the last pair has exponent -1. The formula divides by d, so
    that the last exponent is -(d - 2) / d.
    """
    steps = torch.linspace(0.0, 1.0, x.shape[-1] // 2, dtype=torch.float64)
    angles = positions[:, None].double() * base**-steps
    return _turned(x, angles.cos(), angles.sin())


def wrong_degrees(x, positions, *, base=10000.0):
    """You took the angles for degrees. They are radians as they stand: the first pair turns by one
    radian a token, which is about 57 degrees.
    """
    angles = torch.deg2rad(positions[:, None].double() * _frequencies(x.shape[-1], base))
    return _turned(x, angles.cos(), angles.sin())


def wrong_cosines_alone(x, positions, *, base=10000.0):
    """You multiplied by the cosine and left the sine out, so that arrows shrink instead of turning.
    Each member of a pair gets a share of the other, times the sine.
    """
    cos, _ = _waves(x, positions, base)
    return (x.double() * torch.cat([cos, cos], dim=-1)).to(x.dtype)


def wrong_faster_and_faster(x, positions, *, base=10000.0):
    """You let each pair turn faster than the one before. The exponent is negative: the first pair
    turns by a radian a token, all others by less.
    """
    angles = positions[:, None].double() * base ** (
        torch.arange(0, x.shape[-1], 2, dtype=torch.float64) / x.shape[-1]
    )
    return _turned(x, angles.cos(), angles.sin())


def wrong_one_speed(x, positions, *, base=10000.0):
    """You turned all pairs by the same angle. Each has a speed of its own, base^(-2a/d): one speed
    alone comes round after six tokens.
    """
    angles = positions[:, None].double().expand(-1, x.shape[-1] // 2)
    return _turned(x, angles.cos(), angles.sin())


def wrong_base_ignored(x, positions, *, base=10000.0):
    """You wrote 10000 into the code and ignored `base`. SmolLM2 has 100,000; with the wrong one it
    still writes good sentences, which makes this a hard one to find.
    """
    return _turned(x, *_waves(x, positions, 10000.0))


def wrong_added(x, positions, *, base=10000.0):
    """You added the waves to the features, as the sinusoidal table is. Here each pair is turned:
    multiply by cosine and sine.
    """
    return (x.double() + torch.cat(_waves(x, positions, base), dim=-1)).to(x.dtype)


def wrong_first_half_only(x, positions, *, base=10000.0):
    """You turned the first half and left the second as it was. A rotation moves both members of a
    pair: the second becomes first sin + second cos.
    """
    cos, sin = _waves(x, positions, base)
    first, second = x.double().chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, second], dim=-1).to(x.dtype)


def wrong_updated_half_used_again(x, positions, *, base=10000.0):
    """You computed the second half from the first half as it was *after* the turn. Keep the old
    first half until both are done.
    """
    cos, sin = _waves(x, positions, base)
    first, second = x.double().chunk(2, dim=-1)
    first = first * cos - second * sin
    second = first * sin + second * cos
    return torch.cat([first, second], dim=-1).to(x.dtype)


def wrong_float32_angles(x, positions, *, base=10000.0):
    """You computed the angles in float32, as `arange(...) / d` does by itself. At position 100,000
    they are off in the third digit: ask `arange` for `dtype=torch.float64`.
    """
    rates = base ** (-torch.arange(0, x.shape[-1], 2).float() / x.shape[-1])
    angles = positions[:, None].float() * rates
    return _turned(x, angles.cos(), angles.sin())


def wrong_float64_returned(x, positions, *, base=10000.0):
    """You returned float64, because the angles are. The tokens keep their dtype: convert the result
    with `.to(x.dtype)`.
    """
    return _turned(x.double(), *_waves(x, positions, base))


def right_by_complex_numbers(x, positions, *, base=10000.0):
    """a pair is a complex number, a turn a product"""
    first, second = x.double().chunk(2, dim=-1)
    angles = positions[:, None].double() * _frequencies(x.shape[-1], base)
    turned = torch.complex(first, second) * torch.polar(torch.ones_like(angles), angles)
    return torch.cat([turned.real, turned.imag], dim=-1).to(x.dtype)


def right_by_a_half_turned(x, positions, *, base=10000.0):
    """as Llama's code has it: x cos + rotate_half(x) sin, the angles twice over"""
    angles = positions[:, None].double() * _frequencies(x.shape[-1], base)
    angles = torch.cat([angles, angles], dim=-1)
    first, second = x.chunk(2, dim=-1)
    half_turned = torch.cat([-second, first], dim=-1)
    return (x * angles.cos() + half_turned * angles.sin()).to(x.dtype)


def right_by_matrices(x, positions, *, base=10000.0):
    """a rotation matrix for each token"""
    cos, sin = (torch.diag_embed(wave) for wave in _waves(x, positions, base))
    rows = [torch.cat([cos, -sin], dim=-1), torch.cat([sin, cos], dim=-1)]
    turns = torch.cat(rows, dim=-2)
    return (turns @ x.double()[..., None])[..., 0].to(x.dtype)


shown = right_by_a_half_turned
