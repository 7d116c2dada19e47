r"""# Split into heads

Cut the features of each token into h heads. Head number i, counted from 0, gets

$$\mathrm{head}_i = X_{:,\; i d \,\ldots\, (i+1) d - 1} .$$

- `x` is (..., n, h d) with any leading axes, `h` is a number that divides the width; the result is
  (..., h, n, d).
- Every head has every token: the features are cut, the sequence is not.
- The result has the dtype of `x`.
"""

import torch

from attncourse.mechanisms.dense.heads import split_heads as solution
from attncourse.testing import assert_same, gaussian, gradients

difficulty, minutes = 2, 15
hints = (
    "Two steps. First the width h d becomes two axes; write down which of the two comes first if "
    "head 0 is to have the features 0 to d - 1. Then an axis moves.",
    "Print a small case, x with 11 12 13 14 in its first row and 21 22 23 24 in its second: head 0 "
    "of two must hold 11 12 and 21 22.",
)

CASES = (((7, 12), 3), ((5, 8), 4), ((6, 6), 2), ((3, 10), 10), ((4, 9), 1))  # shape of x, h


def check_gives_each_head_its_features(student):
    """head i holds the features i d to (i + 1) d - 1 of every token, whatever the sizes"""
    for shape, h in CASES:
        x = gaussian(*shape, seed=h)
        assert_same(student(x, h), solution(x, h))


def check_takes_leading_axes(student):
    """works for any leading axes, those of length one too, for one token and for one head"""
    leads = ((2,), (1,), (2, 5), (3, 1), (4, 2, 3))
    for lead, (n, width, h) in zip(
        leads, ((7, 12, 3), (5, 8, 2), (1, 6, 2), (4, 10, 5), (3, 4, 1)), strict=True
    ):
        x = gaussian(*lead, n, width, seed=n)
        assert_same(student(x, h), solution(x, h))


def check_has_the_right_gradient(student):
    """each feature gets the gradient of its own place"""
    for shape, h in (((7, 12), 3), ((2, 5, 8), 4)):
        x = gaussian(*shape, seed=3)
        (ours,), (theirs,) = gradients(student, x, h), gradients(solution, x, h)
        assert_same(ours, theirs, "the gradient")


def check_keeps_the_dtype(student):
    """float32 stays float32, bfloat16 stays bfloat16, bit for bit"""
    for dtype in (torch.float32, torch.bfloat16):
        x = gaussian(2, 5, 12, seed=4).to(dtype)
        assert_same(student(x, 4), solution(x, 4))


def wrong_no_transpose(x, h):
    """You cut the numbers in the order in which they lie, token after token: that cuts the
    sequence, and head 0 holds all features of the first tokens. Cut the width, then move the axis.
    """
    return x.reshape(*x.shape[:-2], h, x.shape[-2], x.shape[-1] // h)


def wrong_heads_not_moved(x, h):
    """You cut the width rightly, but the heads stand behind the tokens: (..., n, h, d). Exchange
    the two axes, so that each head has its own matrix of tokens.
    """
    return x.unflatten(-1, (h, -1))


def wrong_interleaved(x, h):
    """You gave head i every h-th feature, starting with i. Heads are blocks of neighbouring
    features: the head's number is the *first* axis of the cut width, (h, d).
    """
    return x.unflatten(-1, (-1, h)).movedim(-1, -3)


def wrong_h_and_d_exchanged(x, h):
    """You made heads of width h instead of h heads. The width becomes (h, width // h), and the
    number of heads comes first.
    """
    return x.unflatten(-1, (-1, h)).transpose(-3, -2)


def wrong_sequence_in_pieces(x, h):
    """You cut the sequence: each of your heads sees a part of the tokens, with all features. It is
    the other way round: every head sees all tokens, with a part of the features.
    """
    n = x.shape[-2]
    size = -(-n // h)
    pieces = [x[..., i * size : (i + 1) * size, :] for i in range(h)]
    pieces = [torch.nn.functional.pad(p, (0, 0, 0, size - p.shape[-2])) for p in pieces]
    return torch.stack(pieces, dim=-3)


def wrong_tokens_behind_features(x, h):
    """Your heads are (d, n): the tokens have become the last axis. Leave the features last, as an
    attention expects them.
    """
    return x.unflatten(-1, (h, -1)).movedim(-3, -1)


def wrong_order_reversed(x, h):
    """Your heads stand in the opposite order: the last features became head 0. Nothing is to be
    flipped; merging has to find them in this order again.
    """
    return solution(x, h).flip(-3)


def wrong_every_head_the_first(x, h):
    """All your heads hold the same features, those of the first. Take a block of its own for each,
    from i d on.
    """
    d = x.shape[-1] // h
    return torch.stack([x[..., :d]] * h, dim=-3)


def wrong_all_features_in_each(x, h):
    """You gave every head the whole width. A head has width d, an h-th of it: cut the last axis."""
    return torch.stack([x] * h, dim=-3)


def wrong_leading_axes_flattened(x, h):
    """You put all leading axes into one. The result keeps them as they came: take them from
    `x.shape[:-1]`.
    """
    rows = x.reshape(-1, *x.shape[-2:])
    return solution(rows, h)


def wrong_axes_counted_from_the_left(x, h):
    """You exchanged axes 1 and 2, which is right for one leading axis only. Count from the right:
    tokens are axis -3 and heads axis -2 before you exchange them.
    """
    return x.reshape(*x.shape[:-1], h, x.shape[-1] // h).transpose(1, 2)


def wrong_axes_zero_and_one(x, h):
    """You exchanged axes 0 and 1, which is right where there is no leading axis. With a batch in
    front it mixes sentences: count from the right, -3 and -2.
    """
    return x.unflatten(-1, (h, -1)).transpose(0, 1)


def wrong_width_written_down(x, h):
    """Your head's width is a number that you wrote down. It is another for other inputs: divide the
    last axis by h.
    """
    return x.unflatten(-1, (-1, 4)).transpose(-3, -2)


def right_by_slices(x, h):
    """a slice for each head, stacked"""
    d = x.shape[-1] // h
    return torch.stack([x[..., i * d : (i + 1) * d] for i in range(h)], dim=-3)


def right_by_chunks(x, h):
    """chunk and stack"""
    return torch.stack(x.chunk(h, dim=-1), dim=-3)


def right_by_movedim(x, h):
    """unflatten and movedim"""
    return x.unflatten(-1, (h, x.shape[-1] // h)).movedim(-2, -3)


def right_by_einsum(x, h):
    """view, and einsum for the exchange of axes"""
    return torch.einsum("...nhd->...hnd", x.view(*x.shape[:-1], h, -1))


def right_by_transposed_features(x, h):
    """features first, where a plain reshape does it, and back"""
    return x.mT.unflatten(-2, (h, -1)).mT
