r"""# Directions at right angles

Draw r random directions of width d. Each alone is a vector of independent standard normal numbers;
those of a block of d are at right angles to each other:

$$w_l = \ell_l \, u_l , \qquad U = (u_1, \dots, u_d) \text{ a random rotation},
\qquad \ell_l = |g_l| , \quad g_l \sim N(0, I_d) .$$

- `r` and `d` are numbers, `generator` is the only source of randomness; the result is (r, d), one
  direction a row, in PyTorch's default dtype. Rows 1 to d are a block, rows d + 1 to 2d the next,
  with a rotation of its own; the last block is cut short where d does not divide r.
- All rotations are equally likely. That is what makes the estimates unbiased, and
  `torch.linalg.qr` does not give it by itself: it has habits about signs.
- Lengths are drawn apart from the rotations, one for each row.
"""

import math

import torch

from attncourse.mechanisms.linear.performer import orthogonal_features as solution
from attncourse.testing import assert_that, drawn

difficulty, minutes = 4, 30
hints = (
    "Decompose a square matrix of normal numbers by `torch.linalg.qr`, many times, and look at "
    "the upper left entry of Q. How often is it positive? A fair rotation has no habit.",
    "Q R is the same matrix if a column of Q and that row of R both change their signs. Make the "
    "diagonal of R positive, by multiplying the columns of Q with its signs: one is left.",
)
forbidden = ("orthogonal_features",)

BLOCKS = 400  # of which a mean is taken: its standard error is a twentieth


def check_has_the_shape(student):
    """r rows of width d: fewer than a block, whole blocks, a last block cut short"""
    for r, d in ((3, 7), (16, 8), (11, 3), (5, 1)):
        assert_that(_of(student, r, d, seed=10).shape == (r, d), "the result must be (r, d).")


def check_blocks_are_orthogonal(student):
    """the rows of a block are at right angles, those of different blocks are not"""
    for r, d in ((3, 7), (20, 8), (11, 3)):
        w = _of(student, r, d, seed=20)
        unit = w / w.norm(dim=-1, keepdim=True)
        products = (unit @ unit.mT).abs()
        block = torch.arange(r) // d
        others = (block[:, None] == block) & ~torch.eye(r, dtype=torch.bool)
        assert_that(
            not others.any() or products[others].max() < 1e-4,
            f"two rows of a block of {d} are not at right angles: their cosine is "
            f"{products[others].max() if others.any() else 0:.2f}.",
        )
        apart = products[block[:, None] != block]
        assert_that(
            not len(apart) or 1e-3 < apart.max() < 0.9999,
            "each block needs a rotation of its own: rows of different blocks are parallel, or all "
            "at right angles.",
        )


def check_lengths_are_those_of_normal_vectors(student):
    """the squared lengths have the mean d and the variance 2d, each row its own"""
    for d in (8, 3):
        squares = _of(student, 500 * d, d, seed=30).square().sum(dim=-1)
        mean, variance = squares.mean().item(), squares.var().item()
        assert_that(
            abs(mean / d - 1) < 8 * math.sqrt(2 / (500 * d * d)),
            f"the squared lengths of rows of width {d} must have the mean {d}: got {mean:.2f}.",
        )
        assert_that(
            0.6 < variance / (2 * d) < 1.6,
            f"the squared lengths of rows of width {d} must vary as those of normal vectors do, "
            f"with a variance of {2 * d}: got {variance:.2f}.",
        )
        blocks = squares.reshape(500, d)
        within = blocks.var(dim=-1).mean().item()
        assert_that(
            within > 0.5 * 2 * d,
            "each row needs a length of its own: those of a block are alike.",
        )


def check_no_direction_is_preferred(student):
    """over 400 blocks every entry of every row has the mean 0 and the mean square 1"""
    for d in (5, 3):
        blocks = _of(student, BLOCKS * d, d, seed=40).reshape(BLOCKS, d, d)
        means, squares = blocks.mean(dim=0).abs(), blocks.square().mean(dim=0)
        row, entry = divmod(int(means.argmax()), d)
        assert_that(
            means.max() < 0.33,
            f"entry {entry} of row {row} of a block has a mean of {means.max():.2f} in size over "
            f"{BLOCKS} blocks: it must be 0, as all rotations are equally likely.",
        )
        assert_that(
            (squares - 1).abs().max() < 0.6,
            f"some entry of a row has a mean square of {squares.max():.2f} over {BLOCKS} blocks: "
            "it must be 1.",
        )


def check_estimates_are_unbiased(student):
    """exp(w . y - |y|^2 / 2) has the mean 1 over many directions, whichever way y points"""
    d = 5
    w = _of(student, 1500 * d, d, seed=50)
    for axis in range(d):
        for side in (1.0, -1.0):
            mean = (side * w[:, axis] - 0.5).exp().mean().item()
            assert_that(
                abs(mean - 1) < 0.12,
                f"for a unit vector along {'-' * (side < 0)}axis {axis} the mean of "
                f"exp(w . y - |y|^2 / 2) is {mean:.2f}: it must be 1.",
            )


def check_follows_the_generator(student):
    """the same generator gives the same directions, another one others"""
    one, again, other = (_of(student, 11, 3, seed=seed) for seed in (60, 60, 61))
    assert_that(torch.equal(one, again), "the same generator must give the same directions.")
    assert_that(
        not torch.isclose(one, other).any(), "another generator must give other directions."
    )


def check_has_the_default_dtype(student):
    """the directions have PyTorch's default dtype and are numbers"""
    w = _of(student, 6, 4, seed=70)
    assert_that(w.dtype == torch.float32, f"the result must be float32: got {w.dtype}.")
    assert_that(w.isfinite().all(), "every entry must be a number.")


def _of(student, r, d, *, seed):
    return drawn(student, r, d, seed=seed)


def _normal(*shape, generator):
    return torch.randn(shape, generator=generator)


def _lengths(r, d, generator):
    return _normal(r, d, generator=generator).norm(dim=-1, keepdim=True)


def _rotations(count, d, generator):
    """Uniform over all rotations and reflections."""
    q, upper = torch.linalg.qr(_normal(count, d, d, generator=generator))
    return q * _signs(upper)


def _signs(upper):
    return upper.diagonal(dim1=-2, dim2=-1).sign()[..., None, :]


def _rows(blocks, r):
    return blocks.flatten(0, 1)[:r]


def _count(r, d):
    return -(-r // d)


def wrong_sign_forgotten(r, d, *, generator):
    """You took Q of the QR decomposition as it is. Its signs are a habit of the algorithm, so that
    some directions are preferred and estimates are biased: multiply its columns with the signs of
    R's diagonal.
    """
    q, _ = torch.linalg.qr(_normal(_count(r, d), d, d, generator=generator))
    return _rows(q, r) * _lengths(r, d, generator)


def wrong_sign_forgotten_and_transposed(r, d, *, generator):
    """You took the columns of Q, as they are, for the directions. Rows or columns are alike, but
    the signs are a habit of the algorithm: multiply Q's columns with the signs of R's diagonal.
    """
    q, _ = torch.linalg.qr(_normal(_count(r, d), d, d, generator=generator))
    return _rows(q.mT, r) * _lengths(r, d, generator)


def wrong_unit_lengths(r, d, *, generator):
    """Your directions all have length 1. Give each row the length of a normal vector of its own."""
    return _rows(_rotations(_count(r, d), d, generator), r)


def wrong_equal_lengths(r, d, *, generator):
    """Your directions all have the length root of d. That is right on average and not each time:
    give each row the length of a normal vector of its own, or estimates are biased a little.
    """
    return _rows(_rotations(_count(r, d), d, generator), r) * math.sqrt(d)


def wrong_one_length_a_block(r, d, *, generator):
    """You gave all rows of a block the same length. Each row has a length of its own."""
    blocks = _rotations(_count(r, d), d, generator)
    lengths = _normal(len(blocks), 1, d, generator=generator).norm(dim=-1, keepdim=True)
    return _rows(blocks * lengths, r)


def wrong_squared_lengths(r, d, *, generator):
    """You multiplied by the squared length of a normal vector. Take the root of the sum of
    squares.
    """
    rotations = _rotations(_count(r, d), d, generator)
    return _rows(rotations, r) * _lengths(r, d, generator).square()


def wrong_independent(r, d, *, generator):
    """Your directions are independent: nothing makes them orthogonal. Decompose each square block
    of d normal vectors, and take Q.
    """
    return _normal(r, d, generator=generator)


def wrong_one_tall_matrix(r, d, *, generator):
    """You decomposed one matrix of r rows. For r above d its columns are orthonormal, not its rows:
    decompose blocks of d rows, one by one.
    """
    size = max(r, d)
    q, upper = torch.linalg.qr(_normal(size, d, generator=generator))
    return (q * _signs(upper))[:r] * math.sqrt(size / d) * _lengths(r, d, generator)


def wrong_same_rotation(r, d, *, generator):
    """You used one rotation for all blocks, so that every d-th direction is the same but for its
    length. Draw a rotation for each block.
    """
    rotation = _rotations(1, d, generator).expand(_count(r, d), d, d)
    return _rows(rotation, r) * _lengths(r, d, generator)


def wrong_uniform_numbers(r, d, *, generator):
    """You decomposed a matrix of numbers between 0 and 1. All of them are positive, so that some
    rotations are likelier than others: use `torch.randn`.
    """
    count = _count(r, d)
    q, upper = torch.linalg.qr(torch.rand(count, d, d, generator=generator))
    return _rows((q * _signs(upper)).mT, r) * _lengths(r, d, generator)


def wrong_generator_ignored(r, d, *, generator):
    """You did not draw from the generator that you were given. Hand it to every `torch.randn`."""
    return solution(r, d, generator=torch.Generator().manual_seed(0))


def wrong_whole_blocks_returned(r, d, *, generator):
    """You return whole blocks, more than r rows where d does not divide r. Cut the last one."""
    count = _count(r, d)
    return _rows(_rotations(count, d, generator), None) * _lengths(count * d, d, generator)


def wrong_last_block_dropped(r, d, *, generator):
    """You return whole blocks only, fewer than r rows where d does not divide r. Round the number
    of blocks up, and cut the last one.
    """
    count = r // d
    return _rows(_rotations(count, d, generator), None) * _lengths(count * d, d, generator)


def wrong_float64_returned(r, d, *, generator):
    """You return float64. The directions have PyTorch's default dtype: convert them back."""
    return solution(r, d, generator=generator).double()


def right_block_by_block(r, d, *, generator):
    """a loop over the blocks, each decomposed for itself"""
    blocks = []
    for _ in range(-(-r // d)):
        normal = torch.randn(d, d, generator=generator)
        q, upper = torch.linalg.qr(normal)
        blocks.append((q * upper.diagonal().sign()).mT)
    lengths = torch.randn(r, d, generator=generator).norm(dim=-1, keepdim=True)
    return torch.cat(blocks)[:r] * lengths


def right_by_singular_vectors(r, d, *, generator):
    """the rotation nearest to a normal matrix"""
    normal = _normal(_count(r, d), d, d, generator=generator)
    left, _, right = torch.linalg.svd(normal)
    return _rows(left @ right, r) * _lengths(r, d, generator)


def right_by_signs_of_its_own(r, d, *, generator):
    """signs by the throw of a coin in place of R's"""
    q, _ = torch.linalg.qr(_normal(_count(r, d), d, d, generator=generator))
    coins = torch.randint(2, (len(q), 1, d), generator=generator) * 2.0 - 1
    turned = q * coins
    return _rows(turned.mT, r) * _lengths(r, d, generator)


shown = right_block_by_block
