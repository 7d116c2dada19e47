r"""# Mend heads that are none

This self-attention takes a number of heads, h. Parameters, shapes and speed are those of eight
heads; with h = 1 it equals PyTorch's. Its author tuned h and found that more heads make the maps
sharper. Draw the map of each head: there is one. Find out what h changes, and mend it:

$$\mathrm{head}_i = \mathrm{softmax}\!\left(\frac{X W_q^i (X W_k^i)^\top}{\sqrt{d / h}}\right)
X W_v^i , \qquad \mathrm{out} = (\mathrm{head}_0, \ldots, \mathrm{head}_{h-1})\, W_o .$$

- `x` is (..., n, c), `w_q`, `w_k` and `w_v` are (c, d), `w_o` is (d, c); the result is (..., n,
  c), in the dtype of `x`. Head i has the i-th of h equal blocks of columns; h divides d.
- The gradient is right, and no call here has a mask.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from attncourse.exercises import Borrow
from attncourse.exercises.multi_head import multi_head_attention
from attncourse.testing import assert_same, gaussian, gradients

difficulty, minutes = 2, 15
hints = (
    "Where does h occur in the function? Print the shape of the scores for h = 1 and for h = 2. "
    "How many maps of weights should there be?",
    "`unflatten(-1, (h, -1))` cuts the width, `transpose(-3, -2)` brings the heads to the front, "
    "and both have a way back.",
)
forbidden = multi_head_attention.forbidden


def solution(
    x: Float[Tensor, "... n c"],
    w_q: Float[Tensor, "c d"],
    w_k: Float[Tensor, "c d"],
    w_v: Float[Tensor, "c d"],
    w_o: Float[Tensor, "d c"],
    *,
    h: int,
) -> Float[Tensor, "... n c"]:
    """Self-attention of h heads, each with its own block of the width and its own map.

    >>> x, eye = torch.tensor([[40.0, 0.0], [0.0, 40.0]]), torch.eye(2)
    >>> solution(x, eye, eye, eye, eye, h=2).tolist()  # a head sees one feature alone
    [[40.0, 20.0], [20.0, 40.0]]
    """
    q, k, v = ((x @ w).unflatten(-1, (h, -1)).transpose(-3, -2) for w in (w_q, w_k, w_v))
    maps = torch.softmax(q @ k.mT / math.sqrt(q.shape[-1]), dim=-1)
    return (maps @ v).transpose(-3, -2).flatten(-2) @ w_o


SIZES, OTHER_SIZES = (5, 10, 12, 3), (7, 6, 10, 2)  # n, c, d, h


def check_equals_the_heads_one_by_one(student):
    """equals heads that are computed one by one, whatever the sizes"""
    for sizes in (SIZES, OTHER_SIZES, (6, 5, 20, 4), (4, 7, 9, 9)):
        *given, h = _inputs(*sizes)
        assert_same(student(*given, h=h), right_by_blocks(*given, h=h))


def check_the_number_of_heads_counts(student):
    """one head is plain attention; 2, 3 and 6 heads give three other outputs"""
    *given, _ = _inputs(*SIZES, seed=10)
    for h in (1, 2, 3, 6):
        assert_same(student(*given, h=h), right_by_blocks(*given, h=h), f"the result for h={h}")


def check_a_head_is_alone_with_its_features(student):
    """other queries of the last head leave what the first head puts out as it was"""
    x, w_q, w_k, w_v, _, h = _inputs(6, 8, 12, 3, seed=20)
    eye = torch.eye(12, 8, dtype=torch.float64)  # the first eight features come out as they are
    before = student(x, w_q, w_k, w_v, eye, h=h)
    other = w_q.clone()
    other[:, 8:] += 1.0
    after = student(x, other, w_k, w_v, eye, h=h)
    assert_same(before, solution(x, w_q, w_k, w_v, eye, h=h))
    assert_same(after[:, :4], before[:, :4], "what the first head puts out")


def check_takes_leading_axes(student):
    """works for any leading axes, those of length one too, and for one token"""
    for lead, sizes in (((2, 3), SIZES), ((1,), OTHER_SIZES), ((4, 1), (1, 6, 10, 2))):
        *given, h = _inputs(*sizes, lead=lead, seed=30)
        assert_same(student(*given, h=h), solution(*given, h=h))


def check_has_the_right_gradient(student):
    """the gradients of all five tensors are right"""
    for sizes in (SIZES, OTHER_SIZES):
        *given, h = _inputs(*sizes, seed=40)
        ours, theirs = gradients(student, *given, h=h), gradients(solution, *given, h=h)
        for name, a, b in zip(("x", "w_q", "w_k", "w_v", "w_o"), ours, theirs, strict=True):
            assert_same(a, b, f"the gradient of {name}")


def check_keeps_the_dtype(student):
    """float32 tokens give float32 results"""
    *given, h = _inputs(*SIZES, seed=50)
    given = [x.float() for x in given]
    exact = solution(*(x.double() for x in given), h=h)
    assert_same(student(*given, h=h), exact.float())


def _inputs(n, c, d, h, *, lead=(), seed=0):
    x = gaussian(*lead, n, c, std=1.0, seed=seed)
    shapes = ((c, d), (c, d), (c, d), (d, c))
    weights = [gaussian(*s, std=s[0] ** -0.5, seed=seed + i) for i, s in enumerate(shapes, 1)]
    return x, *weights, h


def wrong_heads_in_the_scale_alone(x, w_q, w_k, w_v, w_o, *, h):
    """You left h where it was, in the scale alone. There is one map, over all features, and it is
    too sharp by the root of h: split queries, keys and values before they meet.
    """
    q, k, v = x @ w_q, x @ w_k, x @ w_v
    depth = q.shape[-1] // h
    scores = q @ k.mT / math.sqrt(depth)
    weights = torch.softmax(scores, dim=-1)
    return weights @ v @ w_o


stub = wrong_heads_in_the_scale_alone


def wrong_joined_without_transpose(x, w_q, w_k, w_v, w_o, *, h):
    """You join the heads by a reshape alone, which reads all tokens of the first head before the
    second: the rows of the result are mixtures of tokens. Transpose back, then flatten.
    """
    q, k, v = ((x @ w).unflatten(-1, (h, -1)).transpose(-3, -2) for w in (w_q, w_k, w_v))
    out = torch.softmax(q @ k.mT / math.sqrt(q.shape[-1]), dim=-1) @ v
    return out.reshape(*x.shape[:-1], -1) @ w_o


def right_by_blocks(x, w_q, w_k, w_v, w_o, *, h):
    """a loop over the heads, each with its blocks of columns and its rows of w_o"""
    out = 0
    matrices = (w.chunk(h, dim=-1) for w in (w_q, w_k, w_v))
    for a, b, c, rows in zip(*matrices, w_o.chunk(h, dim=-2), strict=True):
        scores = (x @ a) @ (x @ b).mT / math.sqrt(a.shape[-1])
        out = out + torch.softmax(scores, dim=-1) @ (x @ c) @ rows
    return out


def right_by_einsum(x, w_q, w_k, w_v, w_o, *, h):
    """all heads at once, their axis named in each product"""
    q, k, v = ((x @ w).unflatten(-1, (h, -1)) for w in (w_q, w_k, w_v))
    scores = torch.einsum("...nha,...mha->...hnm", q, k) / math.sqrt(q.shape[-1])
    heads = torch.einsum("...hnm,...mha->...nha", scores.softmax(dim=-1), v)
    return heads.flatten(-2) @ w_o


def _of_itself(answer):
    """Self-attention by an answer to `multi_head_attention`: the memory is x."""

    def fix_heads(x, w_q, w_k, w_v, w_o, *, h):
        return answer(x, x, w_q, w_k, w_v, w_o, h=h)

    return fix_heads


borrowed = (
    Borrow(
        multi_head_attention,
        _of_itself,
        (
            "wrong_split_without_transpose",
            "wrong_one_head_whatever_h_says",
            "wrong_scale_of_the_whole_width",
            "wrong_softmax_over_the_heads",
            "wrong_heads_averaged",
            "wrong_no_output_projection",
        ),
    ),
)
