r"""# Mend what was put side by side

Each of h heads compares its slice of queries and keys, and this function puts the results side by
side, as the books say. The shape is right, with h = 1 the numbers are, and everything is finite.
With h heads the outputs are about h times too large, and every feature of every value is in all of
them. Find out *what* is put side by side, and mend it:

$$\mathrm{out} = (A^0 V^0, \ldots, A^{h-1} V^{h-1}), \qquad
A^i = \mathrm{softmax}\!\left(\frac{Q^i K^{i\top}}{\sqrt{d / h}}\right) .$$

- `q` is (..., n, d), `k` is (..., m, d), `v` is (..., m, e), and h divides d and e; the i-th slice
  is the i-th of h equal blocks of columns. The result is (..., n, e), in the dtype of `v`.
- The gradient is right.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from attncourse.testing import assert_same, assert_that, attention_inputs, gradients

difficulty, minutes = 2, 10
hints = (
    "Let all values be 1. Whatever the weights, a mean of ones is 1. What does the function give "
    "for one head, and for three?",
    "A row of weights sums to one. h rows side by side sum to h. What is put side by side in the "
    "formula, and along which axis?",
)
forbidden = ("scaled_dot_product_attention", "MultiheadAttention")


def solution(
    q: Float[Tensor, "... n d"], k: Float[Tensor, "... m d"], v: Float[Tensor, "... m e"], *, h: int
) -> Float[Tensor, "... n e"]:
    """The outputs of h heads side by side, each from its slice of queries, keys and values.

    >>> q, v = torch.zeros(1, 2), torch.tensor([[1.0, 10.0], [3.0, 30.0]])
    >>> solution(q, torch.eye(2), v, h=2).tolist()
    [[2.0, 20.0]]
    """
    outputs = []
    slices = (x.chunk(h, dim=-1) for x in (q, k, v))
    for q_i, k_i, v_i in zip(*slices, strict=True):
        scores = q_i @ k_i.mT / math.sqrt(q_i.shape[-1])
        outputs.append(torch.softmax(scores, dim=-1) @ v_i)
    return torch.cat(outputs, dim=-1)


SIZES, OTHER_SIZES = (5, 9, 12, 6), (4, 7, 6, 10)  # n, m, d, e


def check_equals_the_slices(student):
    """equals the slices, each computed alone"""
    for sizes, counts in ((SIZES, (1, 2, 3, 6)), (OTHER_SIZES, (1, 2))):
        q, k, v = attention_inputs(sizes=sizes)
        for h in counts:
            assert_same(student(q, k, v, h=h), right_by_an_axis(q, k, v, h=h), f"for h={h} it")


def check_a_mean_of_ones_is_one(student):
    """where all values are 1, every output is 1, for any number of heads"""
    q, k, v = attention_inputs(sizes=SIZES, seed=10)
    for h in (1, 2, 3):
        out = student(q, k, torch.ones_like(v), h=h)
        assert_that(out.shape == (5, 6), "the result must be (5, 6) here.")
        assert_that(
            bool((out - 1).abs().max() < 1e-9),
            f"all values are 1 and h is {h}: an output is {float(out.max()):.3f}, and a mean of "
            "ones is 1.",
        )


def check_a_head_reads_its_own_slice(student):
    """other values in the last slice leave the outputs of the first as they were"""
    q, k, v = attention_inputs(sizes=SIZES, seed=20)
    other = v.clone()
    other[:, 4:] += 5.0
    ours = student(q, k, other, h=3)
    assert_same(ours, solution(q, k, other, h=3))
    assert_same(ours[:, :4], student(q, k, v, h=3)[:, :4], "what the first heads put out")


def check_takes_leading_axes(student):
    """works for any leading axes, those of length one too, for one query and one key"""
    cases = (((2, 3), SIZES), ((1,), OTHER_SIZES), ((4, 1), (1, 7, 6, 10)), ((2,), (5, 1, 6, 2)))
    for lead, sizes in cases:
        q, k, v = attention_inputs(*lead, sizes=sizes, seed=30)
        assert_same(student(q, k, v, h=2), solution(q, k, v, h=2))


def check_has_the_right_gradient(student):
    """the gradients of q, k and v are right"""
    for sizes, h in ((SIZES, 3), (OTHER_SIZES, 2)):
        q, k, v = attention_inputs(sizes=sizes, seed=40)
        ours, theirs = gradients(student, q, k, v, h=h), gradients(solution, q, k, v, h=h)
        for name, a, b in zip("qkv", ours, theirs, strict=True):
            assert_same(a, b, f"the gradient of {name}")


def check_keeps_the_dtype(student):
    """float32 values give float32 outputs"""
    q, k, v = (x.float() for x in attention_inputs(sizes=SIZES, std=1.0, seed=50))
    exact = solution(q.double(), k.double(), v.double(), h=3)
    assert_same(student(q, k, v, h=3), exact.float())


def _maps(q, k, h, *, width=None):
    """The map of each head."""
    maps = []
    for a, b in zip(q.chunk(h, dim=-1), k.chunk(h, dim=-1), strict=True):
        scale = math.sqrt(width or a.shape[-1])
        maps.append(torch.softmax(a @ b.mT / scale, dim=-1))
    return maps


def _outputs(maps, v):
    slices = zip(maps, v.chunk(len(maps), dim=-1), strict=True)
    return torch.cat([weights @ values for weights, values in slices], dim=-1)


def wrong_weights_side_by_side(q, k, v, *, h):
    """Each of your heads meets all features of all values, and in all a row of weights sums to h:
    the maps lie side by side, or their outputs are added. Multiply each map by its slice of the
    values, then join the outputs.
    """
    maps = []
    for queries, keys in zip(q.chunk(h, dim=-1), k.chunk(h, dim=-1), strict=True):
        scores = queries @ keys.mT / math.sqrt(queries.shape[-1])
        maps.append(torch.softmax(scores, dim=-1))
    weights = torch.cat(maps, dim=-1)
    return weights @ torch.cat([v] * h, dim=-2)


stub = wrong_weights_side_by_side


def wrong_mean_of_the_maps(q, k, v, *, h):
    """You divided by h, so that rows sum to one again. Now all heads share one mean map, and why
    have several: give each head its own slice of the values.
    """
    return sum(_maps(q, k, h)) / h @ v


def wrong_every_head_the_first(q, k, v, *, h):
    """You use the map of head 0 in every head. Each slice of queries and keys makes its own: take
    the i-th for the i-th.
    """
    return _outputs(_maps(q, k, h)[:1] * h, v)


def wrong_scaled_by_the_whole_width(q, k, v, *, h):
    """You divided by the root of the whole width d. A head's dot product has d / h terms: divide by
    the root of that.
    """
    return _outputs(_maps(q, k, h, width=q.shape[-1]), v)


def wrong_heads_in_turn(q, k, v, *, h):
    """Your outputs have the right numbers in the wrong places: the heads lie in turn, feature by
    feature. Join them block by block, along the last axis.
    """
    out = _outputs(_maps(q, k, h), v)
    return out.unflatten(-1, (h, -1)).transpose(-2, -1).flatten(-2)


def right_by_an_axis(q, k, v, *, h):
    """all heads at once, in an axis of their own"""
    q, k, v = (x.unflatten(-1, (h, -1)).transpose(-3, -2) for x in (q, k, v))
    scores = q @ k.mT * q.shape[-1] ** -0.5
    return (torch.softmax(scores, dim=-1) @ v).transpose(-3, -2).flatten(-2)


def right_by_a_mask_of_blocks(q, k, v, *, h):
    """all features of the values for each map, of which its slice is kept"""
    block = v.shape[-1] // h
    out = torch.zeros_like(q[..., :1] * v[..., :1, :])
    for i, weights in enumerate(_maps(q, k, h)):
        kept = torch.zeros_like(v)
        kept[..., i * block : (i + 1) * block] = v[..., i * block : (i + 1) * block]
        out = out + weights @ kept
    return out
