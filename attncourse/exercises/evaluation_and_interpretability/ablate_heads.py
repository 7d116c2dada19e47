r"""# Take heads out

What a head is for is told by what is missing without it. Replace the outputs of some heads by
zeros: what they would have fetched does not reach the tokens, and the others are as they were.

- `x` is (..., h, n, d), the outputs of h heads for n tokens. `heads` is a list of whole numbers
  from 0 to h - 1, which head is to go. It may be empty, and may name a head twice.
- The result has the shape and dtype of `x`, which stays as it is.
- No gradient reaches a head that is out, and what is infinite or NaN there does no harm.
"""

import math

import torch

from attncourse.models.ablation import ablate_heads as solution
from attncourse.testing import assert_same, assert_that, gaussian, gradients

difficulty, minutes = 1, 10
hints = (
    "Which axis are the heads on, counted from the right? `x[..., heads, :, :]` is what has to go.",
    "Write zeros into a copy, `x.clone()`. What is 0 times NaN, if you multiply by 0 instead?",
)
forbidden = ("ablate_heads", "without_heads")

SIZES = ((4, 5, 3), (3, 2, 6))  # h, n, d


def check_one_head_by_hand(student):
    """the second of three heads goes"""
    x = torch.arange(1.0, 13.0).double().view(3, 2, 2)
    expected = torch.tensor([[1.0, 2], [3, 4], [0, 0], [0, 0], [9, 10], [11, 12]]).double()
    assert_same(student(x, [1]), expected.view(3, 2, 2), "the outputs")


def check_several_heads(student):
    """several heads, in any order, also the last, none, and all"""
    for seed, sizes in enumerate(SIZES):
        x = gaussian(*sizes, seed=seed)
        h = sizes[0]
        for heads in ([0], [h - 1], [2, 0], [], list(range(h)), [1, 1]):
            assert_same(student(x, heads), right_by_clone(x, heads))


def check_takes_leading_axes(student):
    """several texts at once"""
    for lead in ((1,), (2,), (3, 2)):
        x = gaussian(*lead, 4, 5, 3, seed=20)
        assert_same(student(x, [3, 1]), right_by_clone(x, [3, 1]))


def check_leaves_the_argument(student):
    """x stays as it is"""
    x = gaussian(4, 3, 2, seed=30)
    before = x.clone()
    student(x, [2])
    assert_same(x, before, "x after the call")


def check_what_is_not_finite(student):
    """what is infinite or NaN in a head that is out does no harm"""
    x = gaussian(3, 4, 2, seed=40)
    x[1, 0], x[1, 2] = math.nan, math.inf
    assert_same(student(x, [1]), right_by_clone(x, [1]))


def check_no_gradient_where_it_was(student):
    """no gradient reaches a head that is out, and all of it the others"""
    x = gaussian(2, 4, 3, 5, seed=50)
    expected = gradients(right_by_clone, x, [0, 2])
    assert_same(gradients(student, x, [0, 2]), expected, "the gradient")


def check_keeps_the_dtype(student):
    """float32 gives float32"""
    x = gaussian(3, 2, 4, seed=60).float()
    found = student(x, [1])
    assert_same(found, right_by_clone(x, [1]))
    assert_that(found.shape == x.shape, "the shape is not that of x.")


def wrong_in_place(x, heads):
    """You write into x, which belongs to whoever called you. Make a copy first: `x.clone()`."""
    x[..., heads, :, :] = 0.0
    return x


def wrong_multiplied_by_zero(x, heads):
    """You multiply by 0, and 0 times NaN is NaN. Write zeros in place of what was there, by
    `masked_fill` or into a copy.
    """
    keep = torch.ones(x.shape[-3], dtype=x.dtype)
    keep[heads] = 0.0
    return x * keep[:, None, None]


def wrong_tokens_for_heads(x, heads):
    """You took out tokens. The heads are on the third axis from the right, before tokens and
    features.
    """
    y = x.clone()
    y[..., [head for head in heads if head < x.shape[-2]], :] = 0.0
    return y


def wrong_first_axis(x, heads):
    """You count the heads from the left, and where texts stand in front they are on another axis.
    Count from the right: `x[..., heads, :, :]`.
    """
    y = x.clone()
    y[[head for head in heads if head < len(x)]] = 0.0
    return y


def wrong_others_out(x, heads):
    """You keep the heads that should go, and take out the others. Turn it round."""
    y = torch.zeros_like(x)
    y[..., heads, :, :] = x[..., heads, :, :]
    return y


def wrong_removed_from_the_axis(x, heads):
    """You cut the heads off, so that the result is smaller and later heads move up. Put zeros in
    their places: the shape stays.
    """
    kept = [head for head in range(x.shape[-3]) if head not in heads]
    return x[..., kept, :, :]


def wrong_first_named_alone(x, heads):
    """You take out the first of the heads that are named, and leave the rest. All of them are to
    go.
    """
    return right_by_clone(x, heads[:1])


def wrong_counted_from_one(x, heads):
    """You count heads from 1. Head 0 is the first: do not subtract one."""
    y = x.clone()
    y[..., [head - 1 for head in heads], :, :] = 0.0
    return y


def wrong_detached(x, heads):
    """You cut off the gradient of all heads. Only those that are out get none: do not detach the
    rest.
    """
    return right_by_clone(x.detach(), heads)


def right_by_clone(x, heads):
    """zeros written into a copy"""
    y = x.clone()
    y[..., heads, :, :] = 0.0
    return y


def right_by_a_mask(x, heads):
    """filled where a mask says so"""
    gone = torch.tensor([head in heads for head in range(x.shape[-3])])
    return x.masked_fill(gone[:, None, None], 0.0)


def right_head_by_head(x, heads):
    """stacked anew, head by head"""
    rows = x.unbind(-3)
    rows = [torch.zeros_like(y) if i in heads else y for i, y in enumerate(rows)]
    return torch.stack(rows, dim=-3)


shown = right_by_clone
