r"""# Fewer keys

Mix the m keys into r, and the m values likewise, then attend to those:

$$Z = \mathrm{softmax}\!\left(\frac{Q \, (E K)^\top}{\sqrt d}\right) F V ,
\qquad E = \mathrm{proj\_k}, \quad F = \mathrm{proj\_v} .$$

- `q` is (..., n, d), `k` is (..., m, d), `v` is (..., m, e); `proj_k` and `proj_v` are (r, m), the
  same for all leading axes. The result is (..., n, e) in the dtype of `v`, and the gradients of all
  five are right.
- The scores are divided by the square root of d, the width of the queries, as everywhere. The
  projections are used as they are, negative numbers included.
- At twice the length it takes twice the FLOPs, and its largest tensor is twice as large: nothing
  is n by m.

PyTorch's own attention may be used.
"""

import math

import torch

from attncourse.measure.cost import flops, largest_tensor
from attncourse.mechanisms.low_rank.linformer import linformer_attention as solution
from attncourse.mechanisms.low_rank.linformer import (
    linformer_attention_by_definition as by_definition,
)
from attncourse.testing import (
    OTHER_SIZES,
    SIZES,
    assert_same,
    assert_that,
    attention_inputs,
    gaussian,
    gradients,
    levels,
)

difficulty, minutes = 2, 15
hints = (
    "proj_k is (r, m) and the keys are (..., m, d): multiplied from the left it mixes positions "
    "and leaves r keys. What is the shape of the scores then?",
    "Two small products come before any softmax: proj_k @ k and proj_v @ v. From there on it is "
    "the attention that you know, with r keys in place of m.",
)
forbidden = ("linformer_attention",)


def _inputs(*lead, sizes=SIZES, r=4, std=2.0, seed=0):
    q, k, v = attention_inputs(*lead, sizes=sizes, std=std, seed=seed)
    e, f = (gaussian(r, sizes[1], std=0.3, seed=seed + i) for i in (3, 4))
    return q, k, v, e, f


def check_equals_the_mixed_tokens(student):
    """equals attention to r keys and values, each a mixture of all m"""
    for sizes, r in ((SIZES, 4), (OTHER_SIZES, 5)):
        inputs = _inputs(sizes=sizes, r=r, seed=10)
        assert_same(student(*inputs), by_definition(*inputs))


def check_takes_the_identity(student):
    """with the identity for both projections it is plain attention, to no more nor fewer keys"""
    for sizes in (SIZES, OTHER_SIZES):
        q, k, v = attention_inputs(sizes=sizes, seed=20)
        eye = torch.eye(sizes[1], dtype=torch.float64)
        assert_same(student(q, k, v, eye, eye), by_definition(q, k, v, eye, eye))


def check_takes_leading_axes(student):
    """works for any batch and head axes, those of length one too, for one query, key or mixture"""
    for lead, sizes, r in (
        ((2, 3), SIZES, 4),
        ((1,), SIZES, 3),
        ((4, 1), (1, 9, 3, 7), 2),
        ((2,), (11, 1, 3, 7), 3),
        ((), OTHER_SIZES, 1),
    ):
        inputs = _inputs(*lead, sizes=sizes, r=r, seed=30)
        assert_same(student(*inputs), by_definition(*inputs))


def check_survives_a_large_spread(student):
    """scores far apart within a row are weighed right"""
    q, k, v, e, f = _inputs(r=6, seed=40)
    for heights in ((1.0, 300.0, 20.0), (1e3, 1.0)):
        wide = e * levels(6, *heights)[:, None]
        assert_same(student(q, k, v, wide, f), by_definition(q, k, v, wide, f))


def check_has_the_right_gradient(student):
    """the gradients of queries, keys, values and of both projections are right"""
    for sizes, r in ((SIZES, 4), (OTHER_SIZES, 2)):
        inputs = _inputs(sizes=sizes, r=r, seed=50)
        expected = gradients(by_definition, *inputs)
        names = ("q", "k", "v", "proj_k", "proj_v")
        for name, a, b in zip(names, gradients(student, *inputs), expected, strict=True):
            assert_same(a, b, f"the gradient of {name}")


def check_keeps_the_dtype(student):
    """float32 inputs give float32 outputs"""
    inputs = [x.float() for x in _inputs(std=1.0, seed=60)]
    assert_same(student(*inputs), by_definition(*(x.double() for x in inputs)).float())


def check_costs_grow_with_the_length(student):
    """at twice the length twice the FLOPs, and a largest tensor twice as large"""
    found = []
    for n in (64, 128):
        inputs = _inputs(sizes=(n, n + 6, 8, 6), r=4, seed=70)
        assert_same(student(*inputs), by_definition(*inputs))
        found.append((flops(student, *inputs), largest_tensor(student, *inputs)))
    (work, most), (more_work, more) = found
    assert_that(
        more_work <= 2.5 * work,
        f"at 64 queries it takes {work:,} FLOPs, at 128 it takes {more_work:,}: some product grows "
        "with the square of the length.",
    )
    assert_that(
        more <= 2.5 * most and more < 128 * 134 // 2,
        f"at 64 queries your largest tensor holds {most:,} numbers, at 128 it holds {more:,}: "
        "something is as large as n times m.",
    )


def _attend(q, keys, values, scale=None):
    scale = math.sqrt(q.shape[-1]) if scale is None else scale
    return (q @ keys.mT / scale).softmax(dim=-1) @ values


def wrong_all_scores(q, k, v, proj_k, proj_v):
    """Your values are right, but a matrix on the way is n by m: all scores, or weights mixed back
    to m keys. Mix first, proj_k @ k and proj_v @ v: it is the same product, and r are left.
    """
    scores = (q @ k.mT) @ proj_k.mT / math.sqrt(q.shape[-1])
    return scores.softmax(dim=-1) @ (proj_v @ v)


def wrong_weights_mixed(q, k, v, proj_k, proj_v):
    """You took the softmax over all m keys and mixed the weights. Linformer mixes keys before the
    softmax, which goes over r of them.
    """
    weights = (q @ k.mT / math.sqrt(q.shape[-1])).softmax(dim=-1)
    return (weights @ proj_k.mT) @ (proj_v @ v)


def wrong_one_projection_for_both(q, k, v, proj_k, proj_v):
    """You mixed the values by the projection of the keys. They have their own: proj_v @ v."""
    return _attend(q, proj_k @ k, proj_k @ v)


def wrong_projections_swapped(q, k, v, proj_k, proj_v):
    """You mixed the keys by proj_v and the values by proj_k. Exchange them."""
    return _attend(q, proj_v @ k, proj_k @ v)


def wrong_not_scaled(q, k, v, proj_k, proj_v):
    """You did not scale the scores. Divide them by the square root of d, as everywhere."""
    return _attend(q, proj_k @ k, proj_v @ v, 1.0)


def wrong_scaled_by_r(q, k, v, proj_k, proj_v):
    """You divided the scores by the square root of r, the number of mixtures. It is the width of
    the queries that counts: d.
    """
    return _attend(q, proj_k @ k, proj_v @ v, math.sqrt(proj_k.shape[-2]))


def wrong_projections_normalised(q, k, v, proj_k, proj_v):
    """You made the rows of the projections sum to one by a softmax. They are learned numbers of
    any sign: use them as they are.
    """
    return _attend(q, proj_k.softmax(dim=-1) @ k, proj_v.softmax(dim=-1) @ v)


def wrong_softmax_over_the_queries(q, k, v, proj_k, proj_v):
    """You took the softmax over the queries. The weights of a query over the r mixtures sum to one:
    the last axis of the scores.
    """
    scores = q @ (proj_k @ k).mT / math.sqrt(q.shape[-1])
    return scores.softmax(dim=-2) @ (proj_v @ v)


def wrong_softmax_left_out(q, k, v, proj_k, proj_v):
    """You left the softmax out. It stays, over r keys in place of m: only the length is low-rank
    here, not the function.
    """
    return q @ (proj_k @ k).mT / math.sqrt(q.shape[-1]) @ (proj_v @ v)


def wrong_keys_cut_off(q, k, v, proj_k, proj_v):
    """You kept the first r keys and values and threw the others away, whatever the projections
    say. Each of the r is a mixture of all m: proj_k @ k.
    """
    r = proj_k.shape[-2]
    return _attend(q, k[..., :r, :], v[..., :r, :])


def wrong_segment_means(q, k, v, proj_k, proj_v):
    """You averaged segments of the keys and values. That is one choice of the projections: take
    those that are given.
    """
    r = min(proj_k.shape[-2], k.shape[-2])
    few = [
        torch.stack([part.mean(dim=-2) for part in x.tensor_split(r, dim=-2)], dim=-2)
        for x in (k, v)
    ]
    return _attend(q, *few)


def wrong_causal(q, k, v, proj_k, proj_v):
    """You hid the later mixtures, as a causal mask would. A mixture has no place in the text, since
    it holds all of it: every query sees all r.
    """
    scores = q @ (proj_k @ k).mT / math.sqrt(q.shape[-1])
    later = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
    return scores.masked_fill(later, -math.inf).softmax(dim=-1) @ (proj_v @ v)


def wrong_float64_returned(q, k, v, proj_k, proj_v):
    """You return float64 whatever comes in. The result has the dtype of the values: convert it back
    at the end.
    """
    q, k, v, e, f = (x.double() for x in (q, k, v, proj_k, proj_v))
    return _attend(q, e @ k, f @ v)


def right_by_two_products_first(q, k, v, proj_k, proj_v):
    """r keys and r values, then plain attention"""
    keys = proj_k @ k
    values = proj_v @ v
    scores = q @ keys.mT / math.sqrt(q.shape[-1])
    return scores.softmax(dim=-1) @ values


def right_by_pytorch(q, k, v, proj_k, proj_v):
    """PyTorch's attention after the two products"""
    return torch.nn.functional.scaled_dot_product_attention(q, proj_k @ k, proj_v @ v)


def right_by_einsum(q, k, v, proj_k, proj_v):
    """the same in letters"""
    keys = torch.einsum("rm,...md->...rd", proj_k, k)
    values = torch.einsum("rm,...me->...re", proj_v, v)
    scores = torch.einsum("...nd,...rd->...nr", q, keys) / math.sqrt(q.shape[-1])
    return torch.einsum("...nr,...re->...ne", scores.softmax(dim=-1), values)


shown = right_by_two_products_first
