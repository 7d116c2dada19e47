r"""# Merge the heads again

Put the outputs of h heads side by side, in their order: token number t gets

$$\mathrm{merge}(H)_t = \big( H_{0,t},\; H_{1,t},\; \ldots,\; H_{h-1,t} \big) .$$

- `x` is (..., h, n, d) with any leading axes; the result is (..., n, h d).
- It undoes `split_heads`: merging what was split gives back the same numbers in the same places.
- The result has the dtype of `x`.
"""

import torch

from attncourse.mechanisms.dense.heads import merge_heads as solution
from attncourse.mechanisms.dense.heads import split_heads
from attncourse.testing import assert_same, gaussian, gradients

difficulty, minutes = 2, 10
hints = (
    "Go the way of `split_heads` backwards: what was its last step? Undo that one first.",
    "Two axes become one by `flatten` or `reshape`. They have to be neighbours, heads first, "
    "then features.",
)

SHAPES = ((3, 7, 4), (4, 5, 2), (6, 6, 3), (10, 3, 1), (1, 4, 9))  # h, n, d


def check_puts_the_heads_side_by_side(student):
    """each token gets the features of head 0, then those of head 1, whatever the sizes"""
    for shape in SHAPES:
        x = gaussian(*shape, seed=shape[1])
        assert_same(student(x), solution(x))


def check_undoes_the_split(student):
    """merging what was split gives back what was there"""
    for *shape, h in ((7, 12, 3), (2, 5, 8, 4), (1, 6, 6, 2)):
        x = gaussian(*shape, seed=h)
        assert_same(student(split_heads(x, h)), x)


def check_takes_leading_axes(student):
    """works for any leading axes, those of length one too, for one token and for one head"""
    shapes = ((2, 3, 7, 4), (1, 2, 5, 4), (2, 5, 2, 1, 3), (3, 1, 5, 4, 2), (4, 2, 3, 1, 3, 4))
    for shape in shapes:
        x = gaussian(*shape, seed=len(shape))
        assert_same(student(x), solution(x))


def check_has_the_right_gradient(student):
    """each feature gets the gradient of its own place"""
    for shape in ((3, 7, 4), (2, 4, 5, 3)):
        x = gaussian(*shape, seed=5)
        (ours,), (theirs,) = gradients(student, x), gradients(solution, x)
        assert_same(ours, theirs, "the gradient")


def check_keeps_the_dtype(student):
    """float32 stays float32, bfloat16 stays bfloat16, bit for bit"""
    for dtype in (torch.float32, torch.bfloat16):
        x = gaussian(2, 3, 5, 4, seed=6).to(dtype)
        assert_same(student(x), solution(x))


def wrong_no_transpose(x):
    """You reshaped without moving an axis. The shape is right, but a token's row now holds several
    tokens of one head: exchange heads and tokens first.
    """
    h, n, d = x.shape[-3:]
    return x.reshape(*x.shape[:-3], n, h * d)


def wrong_interleaved(x):
    """Your heads are dealt out like cards, the first feature of each, then the second. Put them
    side by side: in the flattened pair of axes the heads come before the features.
    """
    return x.movedim(-3, -1).flatten(-2)


def wrong_averaged(x):
    """You averaged the heads, so that nobody can tell any more what each of them found. Put their
    outputs side by side: the width becomes h d.
    """
    return x.mean(dim=-3)


def wrong_summed(x):
    """You added the heads. That comes later, inside the product with W_O, where each head has rows
    of its own; here put them side by side.
    """
    return x.sum(dim=-3)


def wrong_order_reversed(x):
    """Your last head comes first. The order is that of the split, head 0 to the left: leave out
    the flip.
    """
    return solution(x.flip(-3))


def wrong_along_the_tokens(x):
    """You put the heads one below the other, so that there are h n tokens. Put them side by side:
    the tokens stay n, and the width grows.
    """
    return x.flatten(-3, -2)


def wrong_not_flattened(x):
    """You moved the axes and stopped: (..., n, h, d). The last two of them become one, of width
    h d.
    """
    return x.transpose(-3, -2)


def wrong_only_the_first_head(x):
    """You kept head 0 and lost the others. The result has all of them: width h d, not d."""
    return x[..., 0, :, :]


def wrong_axes_counted_from_the_left(x):
    """You exchanged axes 1 and 2, which is right for one leading axis only. Count from the right:
    heads are axis -3, tokens axis -2.
    """
    return x.transpose(1, 2).flatten(-2)


def wrong_axes_zero_and_one(x):
    """You exchanged axes 0 and 1, which is right where there is no leading axis. With a batch in
    front it mixes sentences: count from the right, -3 and -2.
    """
    return x.transpose(0, 1).flatten(-2)


def wrong_view_of_a_transpose(x):
    """You asked for a `view` of a transposed tensor, whose numbers do not lie in that order, and
    PyTorch refused. Take `reshape` or `flatten`, which copy where they must.
    """
    return x.transpose(-3, -2).view(*x.shape[:-3], x.shape[-2], -1)


def wrong_leading_axes_flattened(x):
    """You put all leading axes into one. The result keeps them as they came: take them from
    `x.shape[:-3]`.
    """
    return solution(x.reshape(-1, *x.shape[-3:]))


def right_by_concatenation(x):
    """the heads one by one, concatenated"""
    return torch.cat(list(x.unbind(dim=-3)), dim=-1)


def right_by_contiguous_view(x):
    """transpose, contiguous, view"""
    moved = x.transpose(-3, -2).contiguous()
    return moved.view(*moved.shape[:-2], -1)


def right_by_einsum(x):
    """einsum for the exchange of axes"""
    return torch.einsum("...hnd->...nhd", x).flatten(-2)


def right_by_writing(x):
    """an empty result, filled head by head"""
    h, n, d = x.shape[-3:]
    out = torch.zeros(*x.shape[:-3], n, h * d, dtype=x.dtype)
    for i in range(h):
        out[..., i * d : (i + 1) * d] = x[..., i, :, :]
    return out
