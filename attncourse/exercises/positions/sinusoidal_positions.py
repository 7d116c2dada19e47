r"""# A table of waves

Build the table that the first Transformer adds to its embeddings: row *p* for position *p*, in its
columns pairs of a sine and a cosine, each pair slower than the one before,

$$P_{p,\,2a} = \sin \frac{p}{10000^{2a/d}}, \qquad
P_{p,\,2a+1} = \cos \frac{p}{10000^{2a/d}}, \qquad a = 0, \dots, \tfrac{d}{2} - 1 .$$

- `n`, the number of positions, and `d`, an even width, are numbers; the result is (n, d), in the
  default dtype. Positions count from 0.
- Compute the angles in float64, and convert at the end: far out, float32 angles are wrong in the
  digits that count.
"""

import math

import torch

from attncourse.core.positions import sinusoidal_positions as solution
from attncourse.testing import assert_same, assert_that

difficulty, minutes = 2, 15
hints = (
    "Make the angles first, a table (n, d / 2): positions down, pairs across, one division by "
    "broadcasting. `torch.arange` with `dtype=torch.float64` keeps them exact.",
    "Then the sines belong into columns 0, 2, 4 ... and the cosines into columns 1, 3, 5 ...: "
    "assign to slices with a step of two, or stack both in a last axis and flatten.",
)


def check_matches_the_formula(student):
    """equals the formula, entry by entry"""
    for n, d in ((5, 8), (37, 6)):
        assert_same(student(n, d), _by_formula(n, d))


def check_serves_the_smallest_sizes(student):
    """one position, and a width of two, have their tables"""
    for n, d in ((1, 6), (7, 2), (1, 2)):
        assert_same(student(n, d), _by_formula(n, d), f"the table of n={n}, d={d}")


def check_rows_do_not_depend_on_the_length(student):
    """a longer table begins with the shorter one"""
    assert_same(student(29, 10)[:11], student(11, 10), "the first 11 of 29 rows")


def check_rows_are_equally_long(student):
    """the squares of a row sum to d / 2"""
    table = student(23, 14)
    assert_same(table.square().sum(dim=-1), torch.full((23,), 7.0), "the sum of squares")


def check_products_tell_the_distance(student):
    """the dot product of two rows depends on their distance only"""
    table = student(31, 12).double()
    products = table @ table.mT
    for shift in (1, 5):
        along = products.diagonal(shift)
        assert_that(
            (along - along[0]).abs().max() < 1e-4,
            f"rows {shift} apart must have the same dot product everywhere; yours do not.",
        )


def check_far_positions_are_exact(student):
    """position 20,000 is as exact as position 5"""
    n, d = 20_001, 16
    last = _by_formula(n, d, first=n - 3)
    assert_same(student(n, d)[-3:], last, "the last three rows")


def _by_formula(n, d, first=0):
    rows = []
    for p in range(first, n):
        angles = [p / 10000 ** (2 * a / d) for a in range(d // 2)]
        rows.append([wave(angle) for angle in angles for wave in (math.sin, math.cos)])
    return torch.tensor(rows)


def _angles(n, d):
    pairs = torch.arange(0, d, 2, dtype=torch.float64)
    return torch.arange(n, dtype=torch.float64)[:, None] / 10000.0 ** (pairs / d)


def _woven(even, odd):
    table = torch.stack([even, odd], dim=-1).flatten(-2)
    return table.to(torch.get_default_dtype())


def wrong_sines_then_cosines(n, d):
    """You put all sines into the left half and all cosines into the right. Here they alternate:
    sines in the even columns, cosines in the odd ones.
    """
    angles = _angles(n, d)
    return torch.cat([angles.sin(), angles.cos()], dim=-1).to(torch.get_default_dtype())


def wrong_cosines_first(n, d):
    """You exchanged the two waves. The even columns hold the sines, so that row 0 begins with 0,
    then 1.
    """
    angles = _angles(n, d)
    return _woven(angles.cos(), angles.sin())


def wrong_exponent_halved(n, d):
    """You divided the number of the pair by d. The exponent is 2a / d: it reaches nearly 1 in the
    last pair, while yours stops at one half.
    """
    pairs = torch.arange(d // 2, dtype=torch.float64)
    angles = torch.arange(n, dtype=torch.float64)[:, None] / 10000.0 ** (pairs / d)
    return _woven(angles.sin(), angles.cos())


def wrong_a_frequency_for_each_column(n, d):
    """You gave each column a frequency of its own. The sine and the cosine of a pair share one: the
    exponent of column 2a + 1 is 2a / d as well.
    """
    columns = torch.arange(d, dtype=torch.float64)
    angles = torch.arange(n, dtype=torch.float64)[:, None] / 10000.0 ** (columns / d)
    return _woven(angles[:, 0::2].sin(), angles[:, 1::2].cos())


def wrong_exponent_doubled(n, d):
    """You doubled twice: `arange(0, d, 2)` counts 2a already. Divide it by d as it is, and the
    exponents run from 0 to just below 1.
    """
    pairs = torch.arange(0, d, 2, dtype=torch.float64)
    angles = torch.arange(n, dtype=torch.float64)[:, None] / 10000.0 ** (2 * pairs / d)
    return _woven(angles.sin(), angles.cos())


def wrong_last_pair_at_the_full_base(n, d):
    """You spread the exponents so that the last pair has exponent 1, as some published code does.
    The formula divides by d, so that the last exponent is (d - 2) / d.
    """
    pairs = torch.linspace(0.0, 1.0, d // 2, dtype=torch.float64)
    angles = torch.arange(n, dtype=torch.float64)[:, None] / 10000.0**pairs
    return _woven(angles.sin(), angles.cos())


def wrong_multiplied(n, d):
    """You multiplied the position by the power of 10000. Divide by it: the later a pair, the slower
    it turns.
    """
    pairs = torch.arange(0, d, 2, dtype=torch.float64)
    angles = torch.arange(n, dtype=torch.float64)[:, None] * 10000.0 ** (pairs / d)
    return _woven(angles.sin(), angles.cos())


def wrong_from_one(n, d):
    """You counted positions from 1. The first one is 0, and its row is 0, 1, 0, 1 ..."""
    angles = _angles(n + 1, d)[1:]
    return _woven(angles.sin(), angles.cos())


def wrong_share_of_the_length(n, d):
    """You divided positions by the length, so that a token's row changes with the length of its
    text. The position itself is the angle of the first pair, in radians.
    """
    angles = _angles(n, d) / n
    return _woven(angles.sin(), angles.cos())


def wrong_full_turns(n, d):
    """You multiplied the angles by 2 pi. They are radians as they stand: the first pair turns by
    1 radian a token.
    """
    angles = 2 * math.pi * _angles(n, d)
    return _woven(angles.sin(), angles.cos())


def wrong_sines_only(n, d):
    """You filled both columns of a pair with the sine. The second one is the cosine, without which
    a row cannot be turned into the next.
    """
    angles = _angles(n, d)
    return _woven(angles.sin(), angles.sin())


def wrong_float32_angles(n, d):
    """You computed the angles in float32. At position 20,000 they are off in the fourth digit: use
    `dtype=torch.float64` in `arange`, and convert the finished table.
    """
    rates = torch.exp(torch.arange(0, d, 2).float() * (-math.log(10000.0) / d))
    angles = torch.arange(n).float()[:, None] * rates
    return _woven(angles.sin(), angles.cos())


def wrong_float64_returned(n, d):
    """You returned float64. The angles are to be computed in it; the table has the default dtype:
    `.to(torch.get_default_dtype())`.
    """
    angles = _angles(n, d)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(-2)


def wrong_transposed(n, d):
    """You gave positions a column each. They have a row each: the table is (n, d), ready to be
    added to n embeddings.
    """
    angles = _angles(n, d)
    return _woven(angles.sin(), angles.cos()).mT


def right_by_exponentials(n, d):
    """frequencies as exponentials of logarithms, columns filled by slices"""
    rates = torch.exp(torch.arange(0, d, 2, dtype=torch.float64) * (-math.log(10000.0) / d))
    angles = torch.arange(n, dtype=torch.float64).unsqueeze(1) * rates
    table = torch.zeros(n, d)
    table[:, 0::2] = torch.sin(angles)
    table[:, 1::2] = torch.cos(angles)
    return table


def right_row_by_row(n, d):
    """loops over Python's own numbers"""
    rates = [10000 ** (-2 * (column // 2) / d) for column in range(d)]
    waves = [math.cos if column % 2 else math.sin for column in range(d)]
    rows = [[wave(p * rate) for wave, rate in zip(waves, rates, strict=True)] for p in range(n)]
    return torch.tensor(rows)


def right_by_complex_numbers(n, d):
    """points on the unit circle, their imaginary part before the real one"""
    angles = torch.outer(
        torch.arange(n, dtype=torch.float64),
        10000.0 ** (-torch.arange(0, d, 2, dtype=torch.float64) / d),
    )
    points = torch.polar(torch.ones_like(angles), angles)
    return torch.view_as_real(points).flip(-1).reshape(n, d).to(torch.get_default_dtype())


shown = right_by_exponentials
