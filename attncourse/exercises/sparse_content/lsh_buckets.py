r"""# Hash the vectors

Put each vector into one of 2r buckets, so that vectors of nearly the same direction often share
one. The r columns of `rotations` and their opposites are 2r directions; a vector goes to the one
that it points to most:

$$\mathrm{bucket}(x) = \arg\max\, [\, x R ; \; -x R \,] .$$

- `x` is (..., n, d), `rotations`, R, is (d, r); the result is (..., n), integers (int64) from 0 to
  2r - 1. The buckets 0 to r - 1 belong to the columns, r to 2r - 1 to their opposites.
- The length of a vector does not matter. Of equal numbers the lowest bucket wins, so that a vector
  of zeros goes to bucket 0.
"""

import torch

from attncourse.mechanisms.content.lsh import lsh_buckets as solution
from attncourse.testing import assert_same, assert_that, gaussian, gradients

difficulty, minutes = 1, 10
hints = (
    "How far does a vector point in the direction of each column? That is one product. And in the "
    "opposite directions? The same numbers with another sign.",
    "Join both along the last axis by `torch.cat`, and take `argmax` along it.",
)
forbidden = ("lsh_buckets",)


def check_is_the_nearest_direction(student):
    """each vector goes to the direction with which its product is largest, column or opposite"""
    for n, d, r in ((37, 8, 3), (11, 3, 5), (9, 4, 4)):
        x, rotations = gaussian(n, d, seed=10), gaussian(d, r, seed=11)
        both = torch.cat([rotations, -rotations], dim=1)
        nearest = [max(range(2 * r), key=lambda b: (row @ both[:, b]).item()) for row in x]
        assert_same(student(x, rotations), torch.tensor(nearest))


def check_puts_opposites_apart(student):
    """a vector and its opposite are r buckets apart"""
    for d, r in ((8, 3), (3, 5)):
        x, rotations = gaussian(37, d, seed=20), gaussian(d, r, seed=21)
        here, there = student(x, rotations), student(-x, rotations)
        assert_same(there, (here + r) % (2 * r), "the buckets of the opposites")


def check_asks_for_the_direction_alone(student):
    """a vector's length does not matter, be it a millionth or a million"""
    x, rotations = gaussian(37, 8, seed=30), gaussian(8, 3, seed=31)
    for length in (2.0**-20, 2.0**20):
        assert_same(student(length * x, rotations), solution(x, rotations))


def check_gives_equals_the_lowest_bucket(student):
    """of equal numbers the lowest bucket wins; zeros go to bucket 0"""
    x = torch.tensor([[1.0, 1], [-1, 1], [-2, -2], [0, 0], [3, -3]], dtype=torch.float64)
    for rotations in (torch.eye(2), torch.eye(2).flip(0), torch.ones(2, 3)):
        found = student(x, rotations.double())
        assert_same(found, solution(x, rotations.double()), "the buckets of equal numbers")


def check_takes_leading_axes(student):
    """works for one sequence, for any leading axes, those of length one too, and for r = 1"""
    for shape, r in (((2, 3, 5, 8), 3), ((1, 9, 8), 4), ((4, 1, 8), 2), ((7, 8), 1), ((1, 8), 5)):
        x, rotations = gaussian(*shape, seed=40), gaussian(8, r, seed=41)
        assert_same(student(x, rotations), solution(x, rotations), f"the buckets for shape {shape}")


def check_gives_integers(student):
    """int64 numbers from 0 to 2r - 1, without a gradient; float32 vectors are hashed too"""
    x, rotations = gaussian(300, 4, seed=50).float(), gaussian(4, 3, seed=51).float()
    found = student(x, rotations)
    assert_same(found, solution(x, rotations))
    for found_gradient in gradients(student, x, rotations):
        assert_that(not found_gradient.any(), "a choice of buckets carries no gradient.")
    used = found.unique().tolist()
    assert_that(
        used == list(range(6)), f"300 vectors are in all of the buckets 0 to 5: got {used}."
    )


def wrong_columns_alone(x, rotations):
    """You hash to the columns and forget their opposites. There are 2r directions: join x R and
    -x R before you take the `argmax`.
    """
    return (x @ rotations).argmax(dim=-1)


def wrong_by_size_without_sign(x, rotations):
    """You took the size of the product without its sign, so that opposites share a bucket. The
    opposite direction has a bucket of its own.
    """
    return (x @ rotations).abs().argmax(dim=-1)


def wrong_bits_of_signs(x, rotations):
    """You read the signs of x R as the bits of a number. That is another hash, by planes: here the
    largest product decides.
    """
    signs = (x @ rotations > 0).long()
    return (signs * 2 ** torch.arange(rotations.shape[-1])).sum(dim=-1) % (2 * rotations.shape[-1])


def wrong_opposites_first(x, rotations):
    """You put the opposites first, or took the smallest product. The columns have the buckets 0 to
    r - 1, their opposites those after them, and the largest decides.
    """
    rotated = x @ rotations
    return torch.cat([-rotated, rotated], dim=-1).argmax(dim=-1)


def wrong_interleaved(x, rotations):
    """You numbered each column and its opposite in turn. All columns come first, then all
    opposites.
    """
    rotated = x @ rotations
    return torch.stack([rotated, -rotated], dim=-1).flatten(-2).argmax(dim=-1)


def wrong_best_vector_of_a_direction(x, rotations):
    """Your `argmax` runs over the vectors. Each vector chooses its direction: take it along the
    last axis.
    """
    rotated = x @ rotations
    return torch.cat([rotated, -rotated], dim=-1).argmax(dim=-2)


def wrong_largest_value(x, rotations):
    """You returned the largest product itself. The bucket is its place: `argmax`, not `amax`."""
    rotated = x @ rotations
    return torch.cat([rotated, -rotated], dim=-1).amax(dim=-1)


def wrong_highest_of_equal(x, rotations):
    """Of equal numbers you take the highest bucket. The lowest wins, as with `argmax`."""
    rotated = torch.cat([x @ rotations, -(x @ rotations)], dim=-1)
    return rotated.shape[-1] - 1 - rotated.flip(-1).argmax(dim=-1)


def wrong_one_hot(x, rotations):
    """You returned a row of ones and zeros for each vector. Return the number of its bucket."""
    rotated = torch.cat([x @ rotations, -(x @ rotations)], dim=-1)
    return torch.nn.functional.one_hot(rotated.argmax(dim=-1), rotated.shape[-1])


def wrong_float(x, rotations):
    """Your numbers are right and have the dtype of x. Buckets are sorted and compared: leave them
    integers.
    """
    return torch.cat([x @ rotations, -(x @ rotations)], dim=-1).argmax(dim=-1).to(x.dtype)


def right_by_joining(x, rotations):
    """products with the columns and their opposites, and the place of the largest"""
    rotated = x @ rotations
    return torch.cat([rotated, -rotated], dim=-1).argmax(dim=-1)


def right_by_joining_the_directions(x, rotations):
    """one product with all 2r directions"""
    directions = torch.cat([rotations, -rotations], dim=-1)
    return torch.einsum("...d,db->...b", x, directions).argmax(dim=-1)


def right_by_the_sign(x, rotations):
    """the largest product in size, then its sign; equals go to the lowest bucket"""
    rotated, r = x @ rotations, rotations.shape[-1]
    most = rotated.abs().amax(dim=-1, keepdim=True)
    up, down = (rotated == most), (-rotated == most)
    return torch.cat([up, down], dim=-1).int().argmax(dim=-1).clamp(max=2 * r - 1)


shown = right_by_joining
