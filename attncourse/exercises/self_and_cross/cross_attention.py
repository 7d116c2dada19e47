r"""# Cross-attention

Let one sequence read another. The tokens of x ask, and a memory of other tokens answers:

$$Q = X W_q, \quad K = Y W_k, \quad V = Y W_v, \qquad
Z = \mathrm{softmax}\!\left(\frac{Q K^\top}{\sqrt d}\right) V .$$

- `x` is (..., n, d_x), `memory` (the Y of the formula) is (..., m, d_y), `w_q` is (d_x, d), `w_k`
  (d_y, d), `w_v` (d_y, e). The result is (..., n, e), one row for each row of x, in the dtype of
  `x`.
- The two sequences may differ in length and in width. Leading axes are batches, shared by both.
- Every token of x sees the whole memory, and no other token of x.
"""

import math

import torch

from attncourse.exercises import Borrow
from attncourse.exercises.scores_and_scaling import attention, softmax
from attncourse.mechanisms.dense.self_attention import (
    cross_attention as solution,
)
from attncourse.mechanisms.dense.self_attention import cross_attention_by_definition
from attncourse.testing import assert_same, assert_that, gaussian, gradients

difficulty, minutes = 2, 10
hints = (
    "Which of the two sequences has a row for each row of the result? It gives the queries.",
    "Write the shapes beside the products: queries (n, d) from x, keys (m, d) and values (m, e) "
    "both from the memory. Then it is the attention that you have.",
)
forbidden = ("scaled_dot_product_attention", "MultiheadAttention")

SIZES = (5, 9, 10, 7, 8, 6)  # n, m, d_x, d_y, d, e
OTHER_SIZES = (11, 4, 3, 9, 2, 5)


def check_matches_the_definition(student):
    """equals the loop over pairs, for sequences of different length and width"""
    inputs = _inputs()
    assert_same(student(*inputs), cross_attention_by_definition(*inputs))
    assert_same(student(*_inputs(sizes=OTHER_SIZES)), solution(*_inputs(sizes=OTHER_SIZES)))


def check_reads_from_the_memory(student):
    """queries are of x, keys and values of the memory, where the shapes would allow anything"""
    for size in (6, 4):
        inputs = _inputs(sizes=(size,) * 6, seed=10)
        assert_same(student(*inputs), solution(*inputs))
    inputs = _inputs(sizes=(9, 9, 4, 4, 4, 4), seed=15)
    assert_same(student(*inputs), solution(*inputs))


def check_minds_no_order_of_the_memory(student):
    """the memory in another order gives the same, and a token of x alone gives what it gave"""
    x, memory, *weights = _inputs(seed=20)
    out = student(x, memory, *weights)
    order = torch.tensor([4, 0, 8, 2, 6, 1, 7, 3, 5])
    assert_same(student(x, memory[order], *weights), out, "the result for a shuffled memory")
    assert_same(student(x[2:3], memory, *weights), out[2:3], "the result for one token of x alone")
    assert_same(out, solution(x, memory, *weights))


def check_takes_leading_axes(student):
    """works for any batch axes, those of length one too, for one query and for a memory of one"""
    one_query, one_key = (1, 8, 3, 5, 4, 2), (6, 1, 3, 5, 4, 2)
    cases = (((2, 3), SIZES), ((1,), SIZES), ((4, 1), one_query), ((2,), one_key))
    for lead, sizes in cases:
        inputs = _inputs(*lead, sizes=sizes, seed=30)
        assert_same(student(*inputs), solution(*inputs))


def check_survives_large_scores(student):
    """scores in the thousands do not overflow"""
    x, memory, *weights = _inputs(seed=40)
    assert_same(student(900.0 * x, memory, *weights), solution(900.0 * x, memory, *weights))


def check_has_the_right_gradient(student):
    """the gradients of x, the memory and the three weights are right"""
    for sizes in (SIZES, OTHER_SIZES, (40, 30, 3, 4, 2, 5)):
        inputs = _inputs(sizes=sizes, seed=50)
        ours, theirs = gradients(student, *inputs), gradients(solution, *inputs)
        names = ("x", "memory", "w_q", "w_k", "w_v")
        for name, a, b in zip(names, ours, theirs, strict=True):
            assert_that(a.isfinite().all(), f"the gradient of {name} is not finite.")
            assert_same(a, b, f"the gradient of {name}")


def check_keeps_the_dtype(student):
    """float32 tokens give float32 outputs"""
    inputs = [x.float() for x in _inputs(seed=60)]
    exact = solution(*(x.double() for x in inputs))
    assert_same(student(*inputs), exact.float())


def _inputs(*lead, sizes=SIZES, seed=0):
    """Tokens (..., n, d_x), a memory (..., m, d_y), weights (d_x, d), (d_y, d), (d_y, e)."""
    n, m, d_x, d_y, d, e = sizes
    shapes = ((d_x, d), (d_y, d), (d_y, e))
    x = gaussian(*lead, n, d_x, std=1.0, seed=seed)
    memory = gaussian(*lead, m, d_y, std=1.0, seed=seed + 1)
    return (
        x,
        memory,
        *(
            gaussian(*shape, std=2.0 / math.sqrt(shape[0]), seed=seed + 2 + i)
            for i, shape in enumerate(shapes)
        ),
    )


def _projected(attention):
    """The cross-attention that projects rightly, and then is the learner's attention."""

    def cross_attention(x, memory, w_q, w_k, w_v):
        return attention(x @ w_q, memory @ w_k, memory @ w_v)

    return cross_attention


def _with_softmax(softmax):
    """The cross-attention whose weights are the learner's softmax of the scores."""

    def cross_attention(x, memory, w_q, w_k, w_v):
        scores = x @ w_q @ (memory @ w_k).mT / math.sqrt(w_q.shape[-1])
        return softmax(scores) @ (memory @ w_v)

    return cross_attention


borrowed = (
    Borrow(
        attention,
        _projected,
        (
            "wrong_no_scale",
            "wrong_scale_by_d",
            "wrong_multiplied_by_sqrt_d",
            "wrong_scaled_after_softmax",
            "wrong_scale_by_the_value_width",
            "wrong_raw_scores_as_weights",
            "wrong_scores_times_softmax",
            "wrong_softmax_over_the_matrix",
            "wrong_argmax",
            "wrong_uniform_average",
            "wrong_weights_returned",
            "wrong_axes_of_length_one_dropped",
            "wrong_float64_returned",
        ),
    ),
    Borrow(
        softmax,
        _with_softmax,
        ("wrong_no_maximum_subtracted", "wrong_over_the_axis_before_the_last"),
    ),
)


def wrong_x_and_memory_exchanged(x, memory, w_q, w_k, w_v):
    """You let the memory ask and x answer: your queries come from the memory. The result has a row
    for each row of x, so the queries are x @ w_q, and keys and values come from the memory.
    """
    return _attend(memory @ w_q, x @ w_k, x @ w_v)


def wrong_everything_from_x(x, memory, w_q, w_k, w_v):
    """You took keys and values from x, so the memory is never read: that is self-attention. They
    are memory @ w_k and memory @ w_v.
    """
    return _attend(x @ w_q, x @ w_k, x @ w_v)


def wrong_everything_from_the_memory(x, memory, w_q, w_k, w_v):
    """You took the queries from the memory, too, so x is never read: that is self-attention. They
    are x @ w_q.
    """
    return _attend(memory @ w_q, memory @ w_k, memory @ w_v)


def wrong_values_from_x(x, memory, w_q, w_k, w_v):
    """You compared with the memory and averaged x. A key and its value belong to the same token:
    values are memory @ w_v.
    """
    return _attend(x @ w_q, memory @ w_k, x @ w_v)


def wrong_keys_from_x(x, memory, w_q, w_k, w_v):
    """You compared x with itself and averaged the memory. A key and its value belong to the same
    token: keys are memory @ w_k.
    """
    return _attend(x @ w_q, x @ w_k, memory @ w_v)


def wrong_memory_and_x_together(x, memory, w_q, w_k, w_v):
    """You let x read itself and the memory in one row, as keys and values of both. Here x asks and
    the memory alone answers.
    """
    both = torch.cat([memory, x], dim=-2)
    return _attend(x @ w_q, both @ w_k, both @ w_v)


def wrong_values_not_projected(x, memory, w_q, w_k, w_v):
    """You averaged the tokens of the memory themselves. What is averaged are their values,
    memory @ w_v, and their width is e.
    """
    return _attend(x @ w_q, memory @ w_k, memory)


def wrong_nothing_projected(x, memory, w_q, w_k, w_v):
    """You used no weights at all. Queries, keys and values are projections: x @ w_q, memory @ w_k,
    memory @ w_v.
    """
    return _attend(x, memory, memory)


def wrong_weights_exchanged(x, memory, w_q, w_k, w_v):
    """You exchanged w_q and w_k: each fits its own sequence, w_q that of x and w_k the memory's."""
    return _attend(x @ w_k, memory @ w_q, memory @ w_v)


def wrong_keys_by_the_query_weights(x, memory, w_q, w_k, w_v):
    """Your keys come from w_q. It is for the tokens of x; the memory has weights of its own, w_k,
    and a width of its own.
    """
    return _attend(x @ w_q, memory @ w_q, memory @ w_v)


def wrong_values_by_the_key_weights(x, memory, w_q, w_k, w_v):
    """Your values come from w_k. What a token is found by and what it hands over are made by
    different weights: values are memory @ w_v.
    """
    return _attend(x @ w_q, memory @ w_k, memory @ w_k)


def wrong_keys_and_values_exchanged(x, memory, w_q, w_k, w_v):
    """You exchanged w_k and w_v: you compare with what a token hands over, and hand over what it is
    found by. Keys are memory @ w_k, values memory @ w_v.
    """
    return _attend(x @ w_q, memory @ w_v, memory @ w_k)


def wrong_weights_transposed(x, memory, w_q, w_k, w_v):
    """You transposed the weights, as `nn.Linear` does, which keeps its own as (out, in). Here they
    are (in, out): x @ w_q, without a transpose.
    """
    return _attend(x @ w_q.mT, memory @ w_k.mT, memory @ w_v.mT)


def wrong_features_compared(x, memory, w_q, w_k, w_v):
    """You compared features with features: q.mT @ k sums over tokens, and runs only where both
    sequences are equally long. Scores are q @ k.mT, (n, m).
    """
    q, k, v = x @ w_q, memory @ w_k, memory @ w_v
    return v @ torch.softmax(q.mT @ k / math.sqrt(q.shape[-1]), dim=-1).mT


def wrong_scale_by_the_token_width(x, memory, w_q, w_k, w_v):
    """You divided by the root of a token's width. The dot product is over the width of queries and
    keys, the last axis of x @ w_q: divide by its root.
    """
    scale = math.sqrt(w_q.shape[-1] / x.shape[-1])
    return _attend(x @ w_q * scale, memory @ w_k, memory @ w_v)


def wrong_scale_by_the_memory_length(x, memory, w_q, w_k, w_v):
    """You divided by the root of the number of keys. The size of a dot product comes from its
    width: divide by the root of d.
    """
    scale = math.sqrt(w_q.shape[-1] / memory.shape[-2])
    return _attend(x @ w_q * scale, memory @ w_k, memory @ w_v)


def wrong_causal_mask(x, memory, w_q, w_k, w_v):
    """You hid the later tokens of the memory. It is there from the start: every token of x sees all
    of it, so no mask is needed.
    """
    q, k, v = x @ w_q, memory @ w_k, memory @ w_v
    mask = torch.ones(q.shape[-2], k.shape[-2], dtype=torch.bool).tril()
    return attention.solution(q, k, v, mask=mask)


def wrong_memory_detached(x, memory, w_q, w_k, w_v):
    """You cut the memory off from the gradient. What made it is to learn from what was read: leave
    out `detach`.
    """
    return _attend(x @ w_q, memory.detach() @ w_k, memory.detach() @ w_v)


def right_by_a_bilinear_form(x, memory, w_q, w_k, w_v):
    """queries and keys only through the product of their weights"""
    scores = x @ (w_q @ w_k.mT) @ memory.mT / math.sqrt(w_k.shape[-1])
    return torch.softmax(scores, dim=-1) @ (memory @ w_v)


def right_by_einsum(x, memory, w_q, w_k, w_v):
    """every product an einsum, the weights from logsumexp"""
    q = torch.einsum("...nc,cd->...nd", x, w_q)
    k = torch.einsum("...mc,cd->...md", memory, w_k)
    scores = torch.einsum("...nd,...md->...nm", q, k) / math.sqrt(q.shape[-1])
    weights = torch.exp(scores - scores.logsumexp(dim=-1, keepdim=True))
    return torch.einsum("...nm,...mc,ce->...ne", weights, memory, w_v)


def right_by_values_last(x, memory, w_q, w_k, w_v):
    """averages the memory first and projects the mean to values afterwards"""
    return _attend(x @ w_q, memory @ w_k, memory) @ w_v


def right_by_one_query_at_a_time(x, memory, w_q, w_k, w_v):
    """a loop over the tokens of x"""
    k, v = memory @ w_k, memory @ w_v
    rows = [_attend(x[..., i : i + 1, :] @ w_q, k, v) for i in range(x.shape[-2])]
    return torch.cat(rows, dim=-2)


def _attend(q, k, v):
    return attention.solution(q, k, v)
