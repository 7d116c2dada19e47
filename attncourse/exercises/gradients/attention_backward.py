r"""# Attention, backwards

Attention was computed as $O = W V$ with $W = \mathrm{softmax}(S)$ and $S = Q K^\top / \sqrt{d}$.
Somebody further on tells the gradient G of the loss at the output, `grad`. Go back one step after
the other, to the gradients at the three inputs:

$$\bar V = W^\top G, \qquad \bar W = G\, V^\top, \qquad
\bar S_i = W_i \odot (\bar W_i - W_i \cdot \bar W_i),$$

$$\bar Q = \frac{\bar S K}{\sqrt d}, \qquad \bar K = \frac{\bar S^\top Q}{\sqrt d} .$$

A bar marks the gradient of the loss at a tensor; i is a row, one query.

- `q` is (..., n, d), `k` is (..., m, d), `v` is (..., m, e), `grad` is (..., n, e). The result is
  the triple `(dq, dk, dv)`, each of the shape and dtype of its tensor.
- By hand: no autograd inside. Use your `softmax` and `softmax_backward`, or write them here.
- Scores in the thousands do not overflow.
"""

import math

import torch

from attncourse.mechanisms.exact.backward import attention_backward as solution
from attncourse.mechanisms.exact.backward import attention_backward_by_definition as by_autograd
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

difficulty, minutes = 3, 25
hints = (
    "Write down the shape of each gradient first: it is that of its tensor. Then each product of "
    "matrices can be put together in one way only.",
    "Compute the weights again from q and k. Then the four lines: values, weights, scores, and "
    "queries with keys; the factor of the scores comes back in the last one, twice.",
)
forbidden = ("scaled_dot_product_attention", "MultiheadAttention")


def check_equals_autograd(student):
    """equals the gradients of attention by autograd, whatever the sizes"""
    for sizes in (SIZES, OTHER_SIZES):
        given = _inputs(sizes=sizes, seed=10)
        _assert_three(student(*given), by_autograd(*given))


def check_is_what_a_small_step_does(student):
    """a small step of queries, keys or values changes the loss as its gradient says"""
    q, k, v, g = _inputs(std=1.0, seed=20)
    told = student(q, k, v, g)
    assert_that(len(told) == 3, "the result must be three gradients: of q, of k, of v.")
    for place, name in enumerate("qkv"):
        step = 1e-5 * gaussian(*(q, k, v)[place].shape, std=1.0, seed=30 + place)
        above, below = ([q, k, v] for _ in range(2))
        above[place], below[place] = above[place] + step, below[place] - step
        changed = ((_attention(*above) - _attention(*below)) * g).sum() / 2
        what = f"the change of the loss with {name}, over the step,"
        assert_same((told[place] * step).sum() / 1e-5, changed / 1e-5, what)


def check_takes_leading_axes(student):
    """works for any batch and head axes, those of length one too, for one query and one key"""
    one_query, one_key = (1, 9, 3, 7), (11, 1, 3, 7)
    for lead, sizes in (((2, 3), SIZES), ((1,), SIZES), ((4, 1), one_query), ((2,), one_key)):
        given = _inputs(*lead, sizes=sizes, seed=40)
        _assert_three(student(*given), by_autograd(*given))


def check_survives_large_scores(student):
    """scores in the thousands, or far apart within a row, neither overflow nor vanish"""
    q, k, v, g = _inputs(std=100.0, seed=50)
    _assert_three(student(q, k, v, g), by_autograd(q, k, v, g))
    q, k, v, g = _inputs(seed=55)
    q[:, 0], k[:, 0] = 10.0, levels(37, 0.0, -3000.0, 1000.0) * math.sqrt(8) / 10.0
    _assert_three(student(q, k, v, g), by_autograd(q, k, v, g))


def check_gives_zeros_where_the_weights_cannot_move(student):
    """where a query sees one key only, or all values are alike, queries and keys get zeros"""
    alone, few = _inputs(sizes=(5, 1, 8, 6), seed=60), _inputs(sizes=OTHER_SIZES, seed=61)
    even = (*few[:2], few[2][:1].expand_as(few[2]).contiguous(), few[3])
    for given in (alone, even):
        _assert_three(student(*given), by_autograd(*given))


def check_can_be_differentiated(student):
    """its own gradients are right, of all four inputs"""
    given = _inputs(std=1.0, seed=70)
    ours, theirs = gradients(student, *given), gradients(solution, *given)
    for name, a, b in zip(("q", "k", "v", "grad"), ours, theirs, strict=True):
        assert_same(a, b, f"the gradient of {name}")


def check_keeps_the_dtype(student):
    """float32 inputs give float32 gradients, bfloat16 inputs bfloat16 ones"""
    given = [x.float() for x in _inputs(sizes=(5, 9, 8, 6), std=1.0, seed=80)]
    exact = by_autograd(*(x.double() for x in given))
    _assert_three(student(*given), tuple(x.float() for x in exact))
    given = [x.bfloat16() for x in given]
    exact = by_autograd(*(x.double() for x in given))
    for ours, theirs in zip(student(*given), exact, strict=True):
        assert_that(ours.dtype == torch.bfloat16, "bfloat16 inputs must give bfloat16 gradients.")
        error = (ours.double() - theirs).abs().max()
        assert_that(error < 0.3, "bfloat16 inputs must give about the same gradients.")


def _inputs(*lead, sizes=SIZES, std=2.0, seed=0):
    n, _, _, e = sizes
    three = attention_inputs(*lead, sizes=sizes, std=std, seed=seed)
    return *three, gaussian(*lead, n, e, seed=seed + 5)


def _assert_three(actual, expected):
    assert_that(
        isinstance(actual, tuple) and len(actual) == 3,
        "the result must be a tuple of three gradients: of q, of k, of v.",
    )
    for name, a, b in zip("qkv", actual, expected, strict=True):
        assert_same(a, b, f"the gradient of {name}")


def _attention(q, k, v):
    return torch.softmax(q @ k.mT / math.sqrt(q.shape[-1]), dim=-1) @ v


def _weights(q, k):
    return torch.softmax(q @ k.mT / math.sqrt(q.shape[-1]), dim=-1)


def _from_scores(q, k, v, grad, d_scores):
    """The three gradients from that at the scores."""
    scale = 1 / math.sqrt(q.shape[-1])
    return d_scores @ k * scale, d_scores.mT @ q * scale, _weights(q, k).mT @ grad


def _backward(weights, grad, dim=-1):
    return weights * (grad - (weights * grad).sum(dim=dim, keepdim=True))


def _of_scores(q, k, v, grad):
    return _backward(_weights(q, k), grad @ v.mT)


def wrong_dot_product_forgotten(q, k, v, grad):
    """On the way back through the softmax you multiplied by the weights and stopped. Subtract the
    row's dot product of weights and gradient first: to raise one weight lowers the others.
    """
    return _from_scores(q, k, v, grad, _weights(q, k) * (grad @ v.mT))


def wrong_scale_forgotten(q, k, v, grad):
    """Your gradients of q and k lack the factor of the scores. Scores are q k^T over the root of d,
    so that the way back divides by it too, once for each of the two.
    """
    d_scores = _of_scores(q, k, v, grad)
    return d_scores @ k, d_scores.mT @ q, _weights(q, k).mT @ grad


def wrong_scale_in_the_queries_only(q, k, v, grad):
    """You divided the gradient of q by the root of d, but not that of k. The scores are a product
    of both, over the root of d: each way back has the factor.
    """
    dq, dk, dv = solution(q, k, v, grad)
    return dq, dk * math.sqrt(q.shape[-1]), dv


def wrong_scale_in_the_keys_only(q, k, v, grad):
    """You divided the gradient of k by the root of d, but not that of q. The scores are a product
    of both, over the root of d: each way back has the factor.
    """
    dq, dk, dv = solution(q, k, v, grad)
    return dq * math.sqrt(q.shape[-1]), dk, dv


def wrong_scale_twice(q, k, v, grad):
    """Your gradients of q and k are too small by the root of d: you divided by d, or by its root
    twice. The scores were divided by the root once, so the way back divides by it once.
    """
    dq, dk, dv = solution(q, k, v, grad)
    root = math.sqrt(q.shape[-1])
    return dq / root, dk / root, dv


def wrong_scale_by_the_number_of_keys(q, k, v, grad):
    """On the way back you divided by the root of the number of keys. The scores were divided by the
    root of the width of q and k: it is that factor which comes back.
    """
    d_scores = _of_scores(q, k, v, grad) / math.sqrt(k.shape[-2])
    return d_scores @ k, d_scores.mT @ q, _weights(q, k).mT @ grad


def wrong_scale_by_the_value_width(q, k, v, grad):
    """On the way back you divided by the root of the width of the *values*. The scores were divided
    by the root of the width of q and k: it is that factor which comes back.
    """
    d_scores = _of_scores(q, k, v, grad) / math.sqrt(v.shape[-1])
    return d_scores @ k, d_scores.mT @ q, _weights(q, k).mT @ grad


def wrong_weights_not_scaled(q, k, v, grad):
    """You computed the weights again without the scale, so that they are those of another function.
    Divide the scores by the root of d, as the way forward did.
    """
    weights = torch.softmax(q @ k.mT, dim=-1)
    scale = 1 / math.sqrt(q.shape[-1])
    d_scores = _backward(weights, grad @ v.mT)
    return d_scores @ k * scale, d_scores.mT @ q * scale, weights.mT @ grad


def wrong_softmax_skipped(q, k, v, grad):
    """You took the gradient at the weights for that at the scores. Between the two stands the
    softmax: multiply by its Jacobian, row by row.
    """
    return _from_scores(q, k, v, grad, grad @ v.mT)


def wrong_each_weight_alone(q, k, v, grad):
    """You went back through the softmax by p (1 - p), as through a sigmoid. The weights of a row
    share one sum, so that each score moves all of them: subtract the row's dot product.
    """
    weights = _weights(q, k)
    return _from_scores(q, k, v, grad, weights * (1 - weights) * (grad @ v.mT))


def wrong_plain_mean_subtracted(q, k, v, grad):
    """On the way back through the softmax you subtracted the plain mean of the row's gradient. The
    mean is taken with the weights: the sum of weight times gradient.
    """
    d_weights = grad @ v.mT
    centred = d_weights - d_weights.mean(dim=-1, keepdim=True)
    return _from_scores(q, k, v, grad, _weights(q, k) * centred)


def wrong_plain_sum_subtracted(q, k, v, grad):
    """On the way back through the softmax you subtracted the plain sum of the row's gradient. What
    comes off is its mean, taken with the weights: the sum of weight times gradient.
    """
    d_weights = grad @ v.mT
    centred = d_weights - d_weights.sum(dim=-1, keepdim=True)
    return _from_scores(q, k, v, grad, _weights(q, k) * centred)


def wrong_dot_product_added(q, k, v, grad):
    """You added the row's dot product of weights and gradient. The softmax's Jacobian has a minus
    in front of p p^T: subtract it.
    """
    weights, d_weights = _weights(q, k), grad @ v.mT
    added = d_weights + (weights * d_weights).sum(dim=-1, keepdim=True)
    return _from_scores(q, k, v, grad, weights * added)


def wrong_dot_product_over_the_queries(q, k, v, grad):
    """You summed weights times gradient over the queries. A softmax belongs to one query: sum over
    its keys, `dim=-1`.
    """
    return _from_scores(q, k, v, grad, _backward(_weights(q, k), grad @ v.mT, dim=-2))


def wrong_dot_product_of_the_whole_matrix(q, k, v, grad):
    """You subtracted one dot product for the whole matrix. Each query has its own softmax: sum over
    its keys, `sum(dim=-1, keepdim=True)`.
    """
    weights, d_weights = _weights(q, k), grad @ v.mT
    whole = (weights * d_weights).sum(dim=(-2, -1), keepdim=True)
    return _from_scores(q, k, v, grad, weights * (d_weights - whole))


def wrong_sign_of_the_queries_and_keys(q, k, v, grad):
    """Your gradients of q and k have the opposite sign. In the softmax's Jacobian the diagonal is
    positive: weights times the gradient *less* its mean.
    """
    dq, dk, dv = solution(q, k, v, grad)
    return -dq, -dk, dv


def wrong_queries_and_keys_exchanged(q, k, v, grad):
    """You returned the gradient of k first and that of q second. The order is that of the inputs:
    dq, dk, dv.
    """
    dq, dk, dv = solution(q, k, v, grad)
    return dk, dq, dv


def wrong_values_first(q, k, v, grad):
    """You returned the gradients in the order in which they are found, values first. The order is
    that of the inputs: dq, dk, dv.
    """
    dq, dk, dv = solution(q, k, v, grad)
    return dv, dq, dk


def wrong_gradient_of_the_sum(q, k, v, grad):
    """You gave the gradients of the *sum* of the output: `grad` is not used. Each output counts as
    much as the gradient that comes in says.
    """
    return solution(q, k, v, torch.ones_like(grad))


def wrong_values_by_the_gradient_at_the_scores(q, k, v, grad):
    """For the values you multiplied the incoming gradient by the gradient at the scores. A value
    was multiplied by its weights on the way forward: dv is W^T g.
    """
    dq, dk, _ = solution(q, k, v, grad)
    return dq, dk, _of_scores(q, k, v, grad).mT @ grad


def wrong_even_weights_for_the_values(q, k, v, grad):
    """You gave each value the same share of the gradient. A value gets from each query as much as
    its weight there: dv is W^T g.
    """
    dq, dk, _ = solution(q, k, v, grad)
    return dq, dk, (torch.ones_like(_weights(q, k)) / k.shape[-2]).mT @ grad


def wrong_through_the_queries_of_the_keys(q, k, v, grad):
    """You multiplied the gradient at the scores by the tensor itself, q with q and k with k. A
    score is a product: the gradient of one factor has the *other* factor in it.
    """
    d_scores = _of_scores(q, k, v, grad) / math.sqrt(q.shape[-1])
    return d_scores @ d_scores.mT @ q, d_scores.mT @ d_scores @ k, _weights(q, k).mT @ grad


def wrong_no_maximum_subtracted(q, k, v, grad):
    """You took the exponentials of the scores as they are, and for large scores they are infinite.
    Subtract the largest score of each row first.
    """
    raised = (q @ k.mT / math.sqrt(q.shape[-1])).exp()
    weights = raised / raised.sum(dim=-1, keepdim=True)
    scale = 1 / math.sqrt(q.shape[-1])
    d_scores = _backward(weights, grad @ v.mT)
    return d_scores @ k * scale, d_scores.mT @ q * scale, weights.mT @ grad


def wrong_width_written_down(q, k, v, grad):
    """You divided by the root of a number that you wrote down. The width is another for other
    inputs: take it from `q.shape[-1]`.
    """
    scale = 1 / math.sqrt(8)
    weights = torch.softmax(q @ k.mT * scale, dim=-1)
    d_scores = _backward(weights, grad @ v.mT)
    return d_scores @ k * scale, d_scores.mT @ q * scale, weights.mT @ grad


def wrong_transpose_of_axes_zero_and_one(q, k, v, grad):
    """You transposed axes 0 and 1, which is right for matrices alone and wrong for a batch of them.
    Count from the right: `transpose(-2, -1)`, or `.mT`.
    """
    scale = 1 / math.sqrt(q.shape[-1])
    weights = torch.softmax(q @ k.transpose(0, 1) * scale, dim=-1)
    d_scores = _backward(weights, grad @ v.transpose(0, 1))
    d_k = d_scores.transpose(0, 1) @ q * scale
    return d_scores @ k * scale, d_k, weights.transpose(0, 1) @ grad


def wrong_weights_without_gradient(q, k, v, grad):
    """Your values are right, but the weights were cut off from the gradient (`detach`, `no_grad`),
    so that a second derivative is not. Leave them as they are.
    """
    with torch.no_grad():
        weights = _weights(q, k)
    scale = 1 / math.sqrt(q.shape[-1])
    d_scores = _backward(weights, grad @ v.mT)
    return d_scores @ k * scale, d_scores.mT @ q * scale, weights.mT @ grad


def wrong_left_to_autograd(q, k, v, grad):
    """You let autograd do it, and what it gives cannot be differentiated again. Write the five
    products yourself; compare with autograd afterwards.
    """
    return by_autograd(q, k, v, grad.detach())


def wrong_float64_returned(q, k, v, grad):
    """You computed in float64 and returned float64. Each gradient has the dtype of its tensor: cast
    it back.
    """
    return solution(q.double(), k.double(), v.double(), grad.double())


def wrong_float32_throughout(q, k, v, grad):
    """You computed in float32, whatever came in, which rounds float64 numbers. Stay in the dtype of
    the inputs, or in a wider one.
    """
    found = solution(q.float(), k.float(), v.float(), grad.float())
    return tuple(x.to(y.dtype) for x, y in zip(found, (q, k, v), strict=True))


def right_by_einsum(q, k, v, grad):
    """einsum for each of the five products"""
    scale = q.shape[-1] ** -0.5
    weights = torch.softmax(torch.einsum("...nd,...md->...nm", q, k) * scale, dim=-1)
    d_weights = torch.einsum("...ne,...me->...nm", grad, v)
    d_scores = weights * (
        d_weights - torch.einsum("...nm,...nm->...n", weights, d_weights)[..., None]
    )
    dq = torch.einsum("...nm,...md->...nd", d_scores, k) * scale
    dk = torch.einsum("...nm,...nd->...md", d_scores, q) * scale
    return dq, dk, torch.einsum("...nm,...ne->...me", weights, grad)


def right_by_the_output(q, k, v, grad):
    """the row's dot product taken from output and gradient, as FlashAttention does"""
    weights = _weights(q, k)
    mean = ((weights @ v) * grad).sum(dim=-1, keepdim=True)
    d_scores = weights * (grad @ v.mT - mean) / math.sqrt(q.shape[-1])
    return d_scores @ k, d_scores.mT @ q, weights.mT @ grad


def right_by_one_query_at_a_time(q, k, v, grad):
    """a loop over the queries, which adds to the gradients of keys and values"""
    root = math.sqrt(q.shape[-1])
    rows, dk, dv = [], torch.zeros_like(k), torch.zeros_like(v)
    for i in range(q.shape[-2]):
        query, g = q[..., i, :, None], grad[..., i, :, None]
        p = torch.softmax((k @ query) / root, dim=-2)
        up = v @ g
        d_scores = p * (up - (p * up).sum(dim=-2, keepdim=True)) / root
        rows.append((d_scores.mT @ k)[..., 0, :])
        dk, dv = dk + d_scores @ query.mT, dv + p @ g.mT
    return torch.stack(rows, dim=-2), dk, dv


def right_by_scaled_queries(q, k, v, grad):
    """scales the queries once, forwards and backwards"""
    scaled = q / math.sqrt(q.shape[-1])
    weights = torch.softmax(scaled @ k.mT, dim=-1)
    d_scores = _backward(weights, grad @ v.mT)
    return d_scores @ k / math.sqrt(q.shape[-1]), d_scores.mT @ scaled, weights.mT @ grad
