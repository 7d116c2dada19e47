r"""# An image as a sequence

Cut images into square patches, each of which becomes one row: a token of the Vision Transformer.

- `images` is (..., c, y, x): c channels of y rows and x columns. `patch` is the side of a patch in
  pixels; it divides y and x.
- The result is (..., n, c * patch * patch), n = (y / patch) * (x / patch). Patches come in reading
  order: from left to right, row of patches by row of patches.
- A patch is flattened channel by channel, and in each channel row by row.
- The dtype stays as it is.
"""

import torch

from attncourse.models.vision_transformer import cut_patches as solution
from attncourse.testing import assert_same, gaussian, gradients

difficulty, minutes = 2, 15
hints = (
    "Write the two long axes as four: rows of patches, rows within a patch, columns of patches, "
    "columns within a patch. Which two belong in front?",
    "After `reshape(..., c, y // patch, patch, x // patch, patch)` the axes of the patches are the "
    "second and the fourth from that c on. Move them before c, then flatten twice.",
)
forbidden = ("cut_patches", "unfold", "Unfold", "conv2d", "Conv2d")

SIZES = ((3, 4, 6, 2), (2, 9, 6, 3))  # c, y, x, patch


def check_twelve_pixels_by_hand(student):
    """an image of two rows and six columns by hand"""
    image = torch.arange(12.0).double().reshape(1, 2, 6)
    expected = [[0.0, 1, 6, 7], [2, 3, 8, 9], [4, 5, 10, 11]]
    assert_same(student(image, 2), torch.tensor(expected).double())


def check_equals_the_loop(student):
    """equals the loop over patches, for images higher or wider, of several channels"""
    for seed, (*sizes, patch) in enumerate(SIZES):
        images = gaussian(*sizes, seed=seed)
        assert_same(student(images, patch), right_by_slices(images, patch))


def check_takes_leading_axes(student):
    """works for any leading axes, those of length one too"""
    for lead in ((1,), (5,), (2, 1, 3)):
        images = gaussian(*lead, 2, 4, 6, seed=20)
        assert_same(student(images, 2), right_by_slices(images, 2))


def check_patches_of_one_pixel(student):
    """patches of one pixel are the pixels, one patch is the whole image"""
    images = gaussian(2, 3, 4, 4, seed=30)
    assert_same(student(images, 1), images.flatten(-2).mT.contiguous(), "the pixels")
    assert_same(student(images, 4), images.flatten(-3)[..., None, :], "the whole image")


def check_has_the_right_gradient(student):
    """each pixel has the gradient of its place"""
    images = gaussian(2, 4, 6, seed=40)
    expected = gradients(right_by_slices, images, 2)
    assert_same(gradients(student, images, 2), expected, "the gradient")


def check_keeps_the_dtype(student):
    """float32 images give float32 patches"""
    images = gaussian(2, 4, 6, seed=50).float()
    assert_same(student(images, 2), right_by_slices(images, 2))


def _grid(images, patch):
    """(..., c, rows, patch, columns, patch)."""
    *lead, c, y, x = images.shape
    return images.reshape(*lead, c, y // patch, patch, x // patch, patch)


def wrong_reshaped_alone(images, patch):
    """You reshaped and moved no axis, so that a row of the result is a run of pixels and not a
    square. Bring the two axes that count patches to the front first.
    """
    *lead, c, y, x = images.shape
    return images.reshape(*lead, (y // patch) * (x // patch), c * patch * patch)


def wrong_columns_first(images, patch):
    """Your patches go down the columns. Reading order is row by row: the axis of rows of patches
    comes before that of columns.
    """
    return _grid(images, patch).movedim((-2, -4), (-5, -4)).flatten(-3).flatten(-3, -2)


def wrong_channels_last(images, patch):
    """You flatten a patch pixel by pixel, with the channels of each side by side. Here it goes
    channel by channel: the axis c comes before those within a patch.
    """
    moved = _grid(images, patch).movedim((-4, -2), (-5, -4))  # rows, columns, c, patch, patch
    return moved.movedim(-3, -1).flatten(-3).flatten(-3, -2)


def wrong_patch_transposed(images, patch):
    """You flatten each patch column by column. Within a patch rows come first as well: keep the
    order of its last two axes.
    """
    return _grid(images, patch).movedim((-4, -2), (-5, -4)).mT.flatten(-3).flatten(-3, -2)


def wrong_channels_apart(images, patch):
    """You made patches of each channel for itself, c times too many. All channels of a patch stand
    in one row.
    """
    moved = _grid(images, patch).transpose(-3, -2)  # c, rows, columns, patch, patch
    return moved.flatten(-2).flatten(-4, -2)


def wrong_grid_kept(images, patch):
    """You kept rows and columns of patches as two axes. A Transformer reads one sequence: flatten
    them into one axis.
    """
    return _grid(images, patch).movedim((-4, -2), (-5, -4)).flatten(-3)


def wrong_every_second_pixel(images, patch):
    """Your patches take pixels that lie far apart, one of each region. A patch is a square of
    neighbours: the axis within comes after the axis that counts.
    """
    *lead, c, y, x = images.shape
    grid = images.reshape(*lead, c, patch, y // patch, patch, x // patch)
    return grid.movedim((-3, -1), (-5, -4)).flatten(-3).flatten(-3, -2)


def right_by_slices(images, patch):
    """a loop over the patches, each cut out and flattened"""
    found = []
    for top in range(0, images.shape[-2], patch):
        for left in range(0, images.shape[-1], patch):
            square = images[..., top : top + patch, left : left + patch]
            found.append(square.flatten(-3))
    return torch.stack(found, dim=-2)


def right_by_permuting(images, patch):
    """four axes of two, then one transposition after the other"""
    grid = _grid(images, patch).transpose(-3, -2)  # c, rows, columns, patch, patch
    return grid.movedim(-5, -3).flatten(-3).flatten(-3, -2)
