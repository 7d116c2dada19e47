r"""# Mend a test that nothing fails

This function is somebody's whole test of an attention: it gets what was put out, and queries, keys
and values, and says whether that is

$$\mathrm{softmax}\!\left(\frac{Q K^\top}{\sqrt{d}}\right) V .$$

It said *yes* to everything that stands on this page. Find out what it looks at, and make a test of
it.

- `q` is (..., n, d), `k` is (..., m, d), `v` is (..., m, e); `out` is any tensor, in the dtype of
  `v`. The answer is `True` or `False`.
- Yes to every right output, however its rounding fell: up to 1e-6 of the right number and 1e-6 on
  top in float64, 1e-3 of each in float32.
- No to a wrong number anywhere, to NaN, to another shape, even to one that would broadcast.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from attncourse.testing import assert_same, attention_inputs, gradients

difficulty, minutes = 2, 15
hints = (
    "Call it with zeros of the right shape. What would have to be computed to notice?",
    "Compute the right output by yourself, compare shapes first, then numbers with a tolerance. "
    "What does a comparison with NaN say?",
)
forbidden = ("scaled_dot_product_attention", "MultiheadAttention")


def solution(
    out: Float[Tensor, "... p"],
    q: Float[Tensor, "... n d"],
    k: Float[Tensor, "... m d"],
    v: Float[Tensor, "... m e"],
) -> bool:
    """Is `out` the attention of q, k and v, up to rounding?

    >>> q, k, v = torch.zeros(1, 2), torch.eye(2), torch.tensor([[1.0], [3.0]])
    >>> [solution(torch.tensor([[x]]), q, k, v) for x in (2.0, 3.0)]
    [True, False]
    """
    expected = torch.softmax(q @ k.mT / math.sqrt(q.shape[-1]), dim=-1) @ v
    if out.shape != expected.shape:
        return False
    room = 1e-6 if out.dtype == torch.float64 else 1e-3
    return bool(torch.isclose(out, expected, rtol=room, atol=room).all())


def check_says_yes_to_what_is_right(student):
    """yes to attention, one sentence or many, and however its rounding fell"""
    for lead, sizes in (((), (5, 9, 8, 6)), ((2, 3), (4, 7, 3, 5)), ((1,), (1, 6, 5, 2))):
        q, k, v = attention_inputs(*lead, sizes=sizes, std=1.0, seed=1)
        right = _attention(q, k, v)
        _says(student, True, (right, q, k, v), "the right output")
        _says(student, True, (right * (1 + 1e-9), q, k, v), "one that rounds otherwise")
    q, k, v = (x.float() for x in attention_inputs(sizes=(5, 9, 8, 6), std=1.0, seed=2))
    rounded = _attention(q.double(), k.double(), v.double()).float()
    _says(student, True, (rounded, q, k, v), "the right output in float32")
    given = rounded, q, k, v
    flat = tuple(torch.zeros_like(x) for x in given)
    assert_same(gradients(student, *given), flat, "the gradient of a verdict")


def check_says_no_to_the_patients(student):
    """no to what the other patients put out: unscaled, over the queries, blind to the keys"""
    for sizes in ((5, 9, 8, 6), (9, 9, 3, 5)):
        q, k, v = attention_inputs(sizes=sizes, std=1.0, seed=10)
        scores = q @ k.mT / math.sqrt(q.shape[-1])
        weights = torch.softmax(scores, dim=-1)
        patients = {
            "a hundred times as much": 100 * (weights @ v),
            "scores that were not scaled": torch.softmax(q @ k.mT, dim=-1) @ v,
            "a softmax over the queries": torch.softmax(scores, dim=-2) @ v,
            "a mean that reads no key": v.mean(dim=0).expand(len(q), -1),
            "weights times scores": (scores * weights) @ v,
            "zeros": torch.zeros_like(weights @ v),
        }
        for name, out in patients.items():
            _says(student, False, (out, q, k, v), name)


def check_says_no_to_one_wrong_number(student):
    """no where one number of all is off, above or below, or is NaN"""
    for sizes, place in (((5, 9, 8, 6), (3, 4)), ((4, 7, 3, 5), (0, 0))):
        q, k, v = attention_inputs(sizes=sizes, std=1.0, seed=20)
        for name, wrong in (("too large", 1.0), ("too small", -1.0), ("NaN", math.nan)):
            out = _attention(q, k, v)
            out[place] += 0.01 * wrong
            _says(student, False, (out, q, k, v), f"an output with one number that is {name}")
            given = [x.float() for x in (out, q, k, v)]
            _says(student, False, given, f"a float32 output with one number that is {name}")


def check_says_no_to_another_shape(student):
    """no to a shape that would broadcast, and to rows in another order"""
    for sizes in ((5, 9, 8, 6), (4, 7, 3, 5)):
        q, k, v = attention_inputs(sizes=sizes, std=1.0, seed=30)
        same_queries = q[:1].expand(len(q), -1)
        right = _attention(same_queries, k, v)
        _says(student, True, (right.clone(), same_queries, k, v), "equal queries")
        _says(student, False, (right[:1], same_queries, k, v), "one row for all queries")
        _says(student, False, (right[None], same_queries, k, v), "an axis more")
        _says(student, False, (right[0], same_queries, k, v), "a row without its axis")
        turned = _attention(q, k, v).flip(0)
        _says(student, False, (turned, q, k, v), "rows in another order")


def _says(student, expected, given, what):
    assert_same(student(*given), expected, f"the verdict on {what}")


def _attention(q, k, v):
    return torch.softmax(q @ k.mT / math.sqrt(q.shape[-1]), dim=-1) @ v


def _room(out):
    return 1e-6 if out.dtype == torch.float64 else 1e-3


def wrong_shape_alone(out, q, k, v):
    """You look at the shape alone. Every wrong attention has the right shape: compute what should
    be there, and compare the numbers.
    """
    return out.shape == (*q.shape[:-1], v.shape[-1])


stub = wrong_shape_alone


def wrong_equal_to_the_last_bit(out, q, k, v):
    """You ask for equality to the last bit, so that right answers fail which round otherwise.
    Allow for rounding: a tolerance, relative and absolute.
    """
    return torch.equal(out, _attention(q, k, v))


def wrong_mean_of_the_errors(out, q, k, v):
    """You look at the mean of the errors, in which one wrong number among many drowns. Every number
    has to be near its own.
    """
    expected = _attention(q, k, v)
    return out.shape == expected.shape and bool((out - expected).mean().abs() < _room(out))


def wrong_blind_to_nan(out, q, k, v):
    """Your test fails where a difference is too large, and no comparison with NaN is true: NaN
    passes. Ask whether each is small enough.
    """
    expected = _attention(q, k, v)
    if out.shape != expected.shape:
        return False
    return not bool(((out - expected).abs() > _room(out) * (1 + expected.abs())).any())


def wrong_broadcast(out, q, k, v):
    """You compare without looking at the shape: one row is compared with all of them, by
    broadcasting, and passes. Compare the shapes first.
    """
    return bool(torch.isclose(out, _attention(q, k, v), rtol=_room(out), atol=_room(out)).all())


def wrong_one_sided(out, q, k, v):
    """Your differences keep their sign, so that what is too small passes. Take absolute values."""
    expected = _attention(q, k, v)
    if out.shape != expected.shape:
        return False
    return bool((out - expected <= _room(out) * (1 + expected.abs())).all())


def right_by_the_largest_error(out, q, k, v):
    """shapes, then the largest error over what is allowed"""
    expected = _attention(q, k, v)
    if out.shape != expected.shape:
        return False
    return bool(((out - expected).abs() / (1 + expected.abs())).max() <= _room(out))


def right_by_allclose(out, q, k, v):
    """PyTorch's own comparison, after the shapes"""
    expected = _attention(q, k, v)
    return out.shape == expected.shape and torch.allclose(
        out, expected, rtol=_room(out), atol=_room(out)
    )
