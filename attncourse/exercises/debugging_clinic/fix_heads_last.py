r"""# Mend the axis

Somebody rewrote attention with the heads *behind* the tokens, to save two transpositions. Shapes
are right, the loss goes down, and the model of pictures that it was built for is no worse. Find out
what sums to one, and mend it:

$$s_{ijh} = \frac{q_{ih} \cdot k_{jh}}{\sqrt d}, \qquad
w_{ijh} = \frac{e^{s_{ijh}}}{\sum_l e^{s_{ilh}}}, \qquad
\mathrm{out}_{ih} = \sum_j w_{ijh}\, v_{jh} .$$

- `q` is (..., n, h, d), `k` is (..., m, h, d), `v` is (..., m, h, e); the result is (..., n, h, e),
  in the dtype of `v`.
- Scores, sums and scale are right already, and stay so.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from attncourse.mechanisms.dense.softmax import attention
from attncourse.testing import assert_same, gaussian, gradients, levels

difficulty, minutes = 2, 10
hints = (
    "Ask with one query alone. What are its weights, whatever the keys?",
    "The scores have the axes i, j and h, and perhaps others in front. Count from behind: which of "
    "them are the keys?",
)
forbidden = ("scaled_dot_product_attention",)


def attention_heads_last(
    q: Float[Tensor, "... n h d"], k: Float[Tensor, "... m h d"], v: Float[Tensor, "... m h e"]
) -> Float[Tensor, "... n h e"]:
    """Attention of several heads whose axis stands behind that of the tokens.

    >>> q, v = torch.zeros(1, 2, 3), torch.tensor([[[1.0], [10.0]], [[3.0], [30.0]]])
    >>> attention_heads_last(q, torch.zeros(2, 2, 3), v).tolist()
    [[[2.0], [20.0]]]
    """
    scores = torch.einsum("...ihd,...jhd->...ijh", q, k) / math.sqrt(q.shape[-1])
    weights = scores.softmax(dim=-2)
    return torch.einsum("...ijh,...jhe->...ihe", weights, v)


solution = attention_heads_last

SIZES = ((5, 7, 3, 8, 6), (6, 9, 2, 3, 5))  # n, m, h, d, e


def check_each_head_is_attention(student):
    """each head is attention over its own queries, keys and values"""
    for sizes in SIZES:
        args = _inputs(sizes=sizes, seed=10)
        heads_first = [x.transpose(-3, -2) for x in args]
        assert_same(student(*args), attention(*heads_first).transpose(-3, -2).contiguous())


def check_queries_do_not_meet(student):
    """each query gets the same answer alone"""
    for sizes in SIZES:
        q, k, v = _inputs(sizes=sizes, seed=20)
        whole = attention_heads_last(q, k, v)
        for i in range(len(q)):
            assert_same(student(q[i : i + 1], k, v), whole[i : i + 1], f"query {i} alone")


def check_takes_leading_axes(student):
    """works for any batch axes, and for those of length one; also in float32"""
    for lead, sizes in (((2,), SIZES[0]), ((1, 3), SIZES[1])):
        args = _inputs(*lead, sizes=sizes, seed=30)
        assert_same(student(*args), attention_heads_last(*args))
        single = [x.float() for x in args]
        assert_same(student(*single), attention_heads_last(*single))


def check_survives_scores_far_apart(student):
    """scores thousands apart neither overflow nor vanish"""
    q, k, v = _inputs(sizes=SIZES[0], seed=40)
    k = 10 * k + 100 * levels(7, 9.0, -9.0, 0.0)[:, None, None]
    assert_same(student(10 * q, k, v), attention_heads_last(10 * q, k, v))


def check_has_the_right_gradient(student):
    """the gradients of q, k and v are right"""
    args = _inputs(sizes=SIZES[0], seed=50)
    expected = gradients(attention_heads_last, *args)
    assert_same(gradients(student, *args), expected, "the gradient")


def wrong_sum_over_the_queries(q, k, v):
    """You let the weights of a key sum to one over the queries: each key hands itself out, and a
    query alone gets the sum of all values. The keys are the second axis from behind.
    """
    products = torch.einsum("...nhd,...mhd->...nmh", q, k)
    weights = torch.softmax(products / math.sqrt(q.shape[-1]), dim=-3)
    return torch.einsum("...nmh,...mhe->...nhe", weights, v)


stub = wrong_sum_over_the_queries


def _summing_over(q, k, v, axis):
    scores = torch.einsum("...ihd,...jhd->...ijh", q, k) / math.sqrt(q.shape[-1])
    return torch.einsum("...ijh,...jhe->...ihe", scores.softmax(dim=axis), v)


def wrong_sum_over_the_heads(q, k, v):
    """You let the heads share one weight: the last axis is where the keys were before the rewrite,
    and now it is that of the heads. The keys stand before it.
    """
    return _summing_over(q, k, v, -1)


def wrong_axis_counted_from_the_front(q, k, v):
    """You count the axis from the front. That is the axis of the keys as long as no batch stands
    before it, and that of the queries with one: count from behind.
    """
    return _summing_over(q, k, v, 1)


def wrong_sum_over_queries_and_keys(q, k, v):
    """You let all weights of a head sum to one together, over queries and keys. Each query has a
    whole of its own: sum over the keys alone.
    """
    scores = torch.einsum("...ihd,...jhd->...ijh", q, k) / math.sqrt(q.shape[-1])
    weights = scores.flatten(-3, -2).softmax(dim=-2).reshape(scores.shape)
    return torch.einsum("...ijh,...jhe->...ihe", weights, v)


def wrong_heads_mixed(q, k, v):
    """You mended the softmax and sum the scores of all heads: in your first einsum the heads are
    not in the result's letters. Keep h in it, so that each head has its own.
    """
    scores = torch.einsum("...ihd,...jhd->...ij", q, k) / math.sqrt(q.shape[-1])
    return torch.einsum("...ij,...jhe->...ihe", scores.softmax(dim=-1), v)


def wrong_scaled_by_all_heads(q, k, v):
    """You mended the softmax and divide by the root of h times d, the width of all heads. A score
    is a sum over the d features of one head: divide by the root of d.
    """
    scores = torch.einsum("...ihd,...jhd->...ijh", q, k)
    weights = (scores / math.sqrt(q.shape[-1] * q.shape[-2])).softmax(dim=-2)
    return torch.einsum("...ijh,...jhe->...ihe", weights, v)


def right_heads_in_front(q, k, v):
    """transposed, attended to, and transposed back"""
    return attention(*(x.transpose(-3, -2) for x in (q, k, v))).transpose(-3, -2)


def right_head_by_head(q, k, v):
    """one head after the other"""
    heads = zip(*(x.unbind(-2) for x in (q, k, v)), strict=True)
    return torch.stack([attention(*head) for head in heads], dim=-2)


def _inputs(*lead, sizes, seed):
    n, m, h, d, e = sizes
    return (
        gaussian(*lead, n, h, d, seed=seed),
        gaussian(*lead, m, h, d, seed=seed + 1),
        gaussian(*lead, m, h, e, seed=seed + 2),
    )
