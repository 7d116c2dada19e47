r"""# Scaled dot-product attention

Compute, for n queries at once,

$$\mathrm{attention}(Q, K, V) = \mathrm{softmax}\!\left(\frac{Q K^\top}{\sqrt{d}}\right) V .$$

- `q` is (..., n, d), `k` is (..., m, d), `v` is (..., m, e); the result is (..., n, e). The
  leading axes (batch, heads) are shared by all three.
- `mask`, if given, is Boolean and broadcasts to (..., n, m): True means *may attend*. A masked
  pair gets weight zero, and a query that may attend to nothing gets an output of zeros.
- The result has the dtype of `v`, and its gradient is right.
"""

import math

import torch

from attncourse.mechanisms.softmax import attention as solution
from attncourse.mechanisms.softmax import attention_by_definition
from attncourse.testing import (
    assert_same,
    assert_that,
    attention_inputs,
    gradients,
    random_mask,
)

chapter, difficulty, minutes = "scores-and-scaling", 3, 20
hints = (
    "Three lines: scores (n, m), weights (n, m), output (n, e). `k.mT` swaps the last two axes.",
    "Masked scores become -inf *before* the softmax: `scores.masked_fill(~mask, -math.inf)`. "
    "A row of -inf alone turns into NaN; set the weights of such rows to zero.",
)
forbidden = ("scaled_dot_product_attention", "MultiheadAttention")


def check_matches_the_definition(student):
    """Equals the loop over queries and keys"""
    q, k, v = attention_inputs()
    assert_same(student(q, k, v), attention_by_definition(q, k, v))


def check_takes_leading_axes(student):
    """Works for any batch and head axes"""
    q, k, v = attention_inputs(2, 3, seed=10)
    assert_same(student(q, k, v), attention_by_definition(q, k, v))


def check_obeys_the_mask(student):
    """A masked pair has no influence, whatever its score"""
    q, k, v = attention_inputs(seed=20)
    mask = random_mask(5, 37)
    assert_same(student(q, k, v, mask=mask), attention_by_definition(q, k, v, mask=mask))


def check_gives_zeros_for_an_empty_row(student):
    """A query that may attend to nothing gives zeros, and finite gradients"""
    q, k, v = attention_inputs(seed=30)
    mask = random_mask(5, 37, empty_row=2)
    assert_same(student(q, k, v, mask=mask), attention_by_definition(q, k, v, mask=mask))
    for name, gradient in zip("qkv", gradients(student, q, k, v, mask=mask), strict=True):
        assert_that(gradient.isfinite().all(), f"the gradient of {name} is not finite")


def check_survives_large_scores(student):
    """Scores in the thousands neither overflow nor lose the mask"""
    q, k, v = attention_inputs(std=100.0, seed=40)
    mask = random_mask(5, 37, seed=1)
    assert_same(student(q, k, v), attention_by_definition(q, k, v))
    assert_same(student(q, k, v, mask=mask), attention_by_definition(q, k, v, mask=mask))


def check_has_the_right_gradient(student):
    """The gradients of q, k and v are those of the definition"""
    q, k, v = attention_inputs(seed=50)
    ours = gradients(student, q, k, v)
    theirs = gradients(attention_by_definition, q, k, v)
    for name, a, b in zip("qkv", ours, theirs, strict=True):
        assert_same(a, b, f"the gradient of {name}")


def _scores(q, k):
    return q @ k.mT / math.sqrt(q.shape[-1])


def _weights(scores, mask):
    """Right weights: -inf where masked, zeros in empty rows."""
    if mask is None:
        return torch.softmax(scores, dim=-1)
    weights = torch.softmax(scores.masked_fill(~mask, -math.inf), dim=-1)
    return weights.masked_fill(~mask.any(dim=-1, keepdim=True), 0.0)


def wrong_no_scale(q, k, v, *, mask=None):
    """You did not divide the scores by the square root of d. Their variance is d, so without it
    the softmax is nearly one-hot.
    """
    return _weights(q @ k.mT, mask) @ v


def wrong_scale_by_d(q, k, v, *, mask=None):
    """You divided the scores by d. Their variance is d, so divide by its square root."""
    return _weights(q @ k.mT / q.shape[-1], mask) @ v


def wrong_multiplied_by_sqrt_d(q, k, v, *, mask=None):
    """You multiplied the scores by the square root of d. The scale goes the other way: divide."""
    return _weights(q @ k.mT * math.sqrt(q.shape[-1]), mask) @ v


def wrong_scale_by_sqrt_n(q, k, v, *, mask=None):
    """You scaled by the square root of the number of keys. The variance of a dot product comes
    from its width: divide by sqrt(d).
    """
    return _weights(q @ k.mT / math.sqrt(k.shape[-2]), mask) @ v


def right_by_einsum(q, k, v, *, mask=None):
    """Einsum for both products"""
    scores = torch.einsum("...nd,...md->...nm", q, k) / q.shape[-1] ** 0.5
    return torch.einsum("...nm,...me->...ne", _weights(scores, mask), v)


def right_by_one_key_at_a_time(q, k, v, *, mask=None):
    """A running maximum, sum and output over the keys"""
    seen = torch.zeros(*q.shape[:-1], 1, dtype=torch.bool)
    top = torch.zeros(*q.shape[:-1], 1, dtype=q.dtype)
    total, out = torch.zeros_like(top), torch.zeros(*q.shape[:-1], v.shape[-1], dtype=v.dtype)
    for j in range(k.shape[-2]):
        score = (q * k[..., j : j + 1, :]).sum(-1, keepdim=True) / math.sqrt(q.shape[-1])
        may = torch.ones_like(seen) if mask is None else mask[..., j : j + 1].expand_as(seen)
        new = torch.where(may, torch.where(seen, torch.maximum(top, score), score), top)
        keep = torch.where(seen, (top - new).exp(), torch.zeros_like(top))
        add = torch.where(may, (score - new).exp(), torch.zeros_like(top))
        total, out = total * keep + add, out * keep + add * v[..., j : j + 1, :]
        top, seen = new, seen | may
    return out / total.masked_fill(total == 0, 1.0)
