r"""# Right, and too expensive

This function computes multi-head attention,

$$\mathrm{head}_i = \mathrm{attention}(X W_q^i,\; Y W_k^i,\; Y W_v^i), \qquad
\mathrm{out} = (\mathrm{head}_0, \ldots, \mathrm{head}_{h-1})\, W_o .$$

Every output is right to the last digit, gradients too. Yet with h heads it does more work than with
one, and it should not: heads share the width between them. Count what it does, find the products
that are too large, and mend them.

- `x` is (..., n, d), `memory` (Y) is (..., m, d), the four weight matrices are (d, d) and have no
  axes in front; `h` divides d. Head i has the i-th of h equal blocks of columns.
- `mask` plays no part in it: no call here gives one.
- Its FLOPs may be those of its products by definition: 2 for each multiply-add of four projections
  and of the scores and sums of h heads of width d / h. The result has the dtype of `x`.
"""

import math

import torch

from attncourse.measure.cost import flops
from attncourse.mechanisms.dense.heads import multi_head_attention as solution
from attncourse.testing import assert_same, assert_that, gaussian, gradients

difficulty, minutes = 3, 15
hints = (
    "Count with `flops` from the course, for h = 1, 2 and 4. Which part of the count grows with h?",
    "To multiply by zero is work. Where the other heads' columns are set to zero, they could as "
    "well not be there.",
)
forbidden = ("scaled_dot_product_attention", "MultiheadAttention", "multi_head_attention")

SIZES = ((5, 7, 12, 3), (6, 4, 8, 4))  # n, m, d, h


def check_takes_no_more_work_than_it_must(student):
    """the same with as many FLOPs as four projections and h narrow heads need, and no more"""
    for n, m, d, h in ((40, 50, 48, 6), (33, 20, 64, 4)):
        args = _inputs(n=n, m=m, d=d)
        assert_same(student(*args, h=h), right_by_a_loop(*args, h=h))
        needed = 4 * (n + m) * d**2 + 4 * n * m * d
        counted = flops(student, *args, h=h)
        assert_that(
            counted <= needed,
            f"n={n}, m={m}, d={d}, h={h}: it takes {counted:,} FLOPs, and {needed:,} are enough.",
        )


def check_equals_the_heads_one_by_one(student):
    """equals the heads computed one by one from their own columns"""
    for n, m, d, h in SIZES:
        args = _inputs(n=n, m=m, d=d)
        assert_same(student(*args, h=h), right_by_a_loop(*args, h=h))
        assert_same(student(*args, h=1), right_by_a_loop(*args, h=1), "the result for one head")


def check_takes_leading_axes(student):
    """works for a batch, for one of length one, and for a single token"""
    for *lead, n, m in ((2, 5, 7), (1, 5, 7), (2, 3, 5, 7), (2, 1, 7), (2, 5, 1)):
        args = _inputs(*lead, n=n, m=m, d=12)
        assert_same(student(*args, h=3), right_by_a_loop(*args, h=3))


def check_has_the_right_gradient(student):
    """the gradients of tokens and weights are right"""
    for n, m, d, h in SIZES:
        args = _inputs(n=n, m=m, d=d)
        expected = gradients(right_by_a_loop, *args, h=h)
        assert_same(gradients(student, *args, h=h), expected, "the gradient of each")


def check_keeps_the_dtype(student):
    """float32 tokens give float32 outputs"""
    args = [x.float() for x in _inputs(n=5, m=7, d=12)]
    assert_same(student(*args, h=4), right_by_a_loop(*args, h=4))


def _inputs(*lead, n, m, d):
    """Tokens, memory and four matrices; scores of a few units."""
    x = gaussian(*lead, n, d, seed=1)
    memory = gaussian(*lead, m, d, seed=2)
    return x, memory, *(gaussian(d, d, std=0.7 / math.sqrt(d), seed=3 + i) for i in range(4))


def _split(x, h):
    return x.reshape(*x.shape[:-1], h, x.shape[-1] // h).transpose(-3, -2)


def _merge(x):
    x = x.transpose(-3, -2)
    return x.reshape(*x.shape[:-2], x.shape[-2] * x.shape[-1])


def wrong_zeros_in_every_head(x, memory, w_q, w_k, w_v, w_o, *, h, mask=None):
    """You set the columns of the other heads to zero and multiply at full width, so that each head
    costs what all should cost together: cut the columns out instead.
    """
    q = x @ w_q
    k = memory @ w_k
    v = memory @ w_v
    width = q.shape[-1] // h
    out = torch.zeros_like(q)
    for i in range(h):
        mine = torch.zeros_like(q[..., :1, :])
        mine[..., i * width : (i + 1) * width] = 1
        scores = (q * mine) @ (k * mine).mT / math.sqrt(width)
        out = out + torch.softmax(scores, dim=-1) @ (v * mine)
    return out @ w_o


stub = wrong_zeros_in_every_head


def wrong_half_of_the_waste(x, memory, w_q, w_k, w_v, w_o, *, h, mask=None):
    """You mended one of two products: scores or sums are still taken at full width, with zeros in
    it, and half of the waste is left. Let each head compare *and* sum its own columns.
    """
    q = _split(x @ w_q, h)
    k = _split(memory @ w_k, h)
    v = memory @ w_v
    width = v.shape[-1] // h
    out = torch.zeros_like(x)
    for i in range(h):
        mine = torch.zeros_like(v[..., :1, :])
        mine[..., i * width : (i + 1) * width] = 1
        scores = q[..., i, :, :] @ k[..., i, :, :].mT / math.sqrt(width)
        out = out + torch.softmax(scores, dim=-1) @ (v * mine)
    return out @ w_o


def wrong_projected_in_every_head(x, memory, w_q, w_k, w_v, w_o, *, h, mask=None):
    """You project all columns anew in every head and then cut out a few. Project once before the
    loop, or project with the head's own columns of the matrices.
    """
    width = w_q.shape[-1] // h
    heads = []
    for i in range(h):
        mine = slice(i * width, (i + 1) * width)
        q = (x @ w_q)[..., mine]
        k = (memory @ w_k)[..., mine]
        v = (memory @ w_v)[..., mine]
        heads.append(torch.softmax(q @ k.mT / math.sqrt(width), dim=-1) @ v)
    return torch.cat(heads, dim=-1) @ w_o


def wrong_output_projected_in_every_head(x, memory, w_q, w_k, w_v, w_o, *, h, mask=None):
    """You put each head, filled up with zeros, through the whole output projection. A head meets
    only its own rows of `w_o`: cut them out, or project once at the end.
    """
    q, k, v = _split(x @ w_q, h), _split(memory @ w_k, h), _split(memory @ w_v, h)
    heads = torch.softmax(q @ k.mT / math.sqrt(q.shape[-1]), dim=-1) @ v
    width = q.shape[-1]
    out = 0
    for i in range(h):
        padded = torch.zeros_like(x)
        padded[..., i * width : (i + 1) * width] = heads[..., i, :, :]
        out = out + padded @ w_o
    return out


def wrong_one_head(x, memory, w_q, w_k, w_v, w_o, *, h, mask=None):
    """You have the right cost, and one head of full width whatever h says. Cheap is not enough:
    each head needs scores and weights of its own.
    """
    q, k, v = x @ w_q, memory @ w_k, memory @ w_v
    return torch.softmax(q @ k.mT / math.sqrt(q.shape[-1]), dim=-1) @ v @ w_o


def wrong_merged_without_moving_the_heads(x, memory, w_q, w_k, w_v, w_o, *, h, mask=None):
    """You gave the heads an axis of their own and reshaped it away at the end, with the tokens
    still behind it. A token's heads have to lie together: transpose first, then reshape.
    """
    q, k, v = _split(x @ w_q, h), _split(memory @ w_k, h), _split(memory @ w_v, h)
    heads = torch.softmax(q @ k.mT / math.sqrt(q.shape[-1]), dim=-1) @ v
    return heads.reshape(x.shape) @ w_o


def wrong_scale_of_the_whole_width(x, memory, w_q, w_k, w_v, w_o, *, h, mask=None):
    """You divide by the root of the whole width. The function that you were given was right there:
    a head's scores are dot products of its own d / h columns.
    """
    q, k, v = _split(x @ w_q, h), _split(memory @ w_k, h), _split(memory @ w_v, h)
    return _merge(torch.softmax(q @ k.mT / math.sqrt(x.shape[-1]), dim=-1) @ v) @ w_o


def right_by_a_loop(x, memory, w_q, w_k, w_v, w_o, *, h, mask=None):
    """the same loop, with columns cut out"""
    q, k, v = x @ w_q, memory @ w_k, memory @ w_v
    width = q.shape[-1] // h
    heads = []
    for i in range(h):
        mine = slice(i * width, (i + 1) * width)
        scores = q[..., mine] @ k[..., mine].mT / math.sqrt(width)
        heads.append(torch.softmax(scores, dim=-1) @ v[..., mine])
    return torch.cat(heads, dim=-1) @ w_o


def right_by_an_axis_of_heads(x, memory, w_q, w_k, w_v, w_o, *, h, mask=None):
    """all heads at once, on an axis of their own"""
    q, k, v = _split(x @ w_q, h), _split(memory @ w_k, h), _split(memory @ w_v, h)
    return _merge(torch.softmax(q @ k.mT / math.sqrt(q.shape[-1]), dim=-1) @ v) @ w_o


def right_by_the_heads_matrices(x, memory, w_q, w_k, w_v, w_o, *, h, mask=None):
    """each head projects with its own columns, and with its own rows at the end"""
    width = w_q.shape[-1] // h
    out = 0
    for i in range(h):
        mine = slice(i * width, (i + 1) * width)
        q, k, v = x @ w_q[:, mine], memory @ w_k[:, mine], memory @ w_v[:, mine]
        head = torch.softmax(q @ k.mT / math.sqrt(width), dim=-1) @ v
        out = out + head @ w_o[mine]
    return out
