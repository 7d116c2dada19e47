r"""# Landmarks

Let r landmarks stand for the queries, and r for the keys, and put the map together from three
small ones:

$$Z = L \, A^{+} R \, V, \qquad
L = \mathrm{softmax}\!\left(\frac{Q \tilde K^\top}{\sqrt d}\right), \qquad
A = \mathrm{softmax}\!\left(\frac{\tilde Q \tilde K^\top}{\sqrt d}\right), \qquad
R = \mathrm{softmax}\!\left(\frac{\tilde Q K^\top}{\sqrt d}\right) .$$

- The landmarks $\tilde Q$, $\tilde K$ are the means of r consecutive segments of the queries, of
  the keys. Where r does not divide the length, the first segments are longer by one token; none is
  filled up or left out. `torch.tensor_split` cuts so.
- $A^{+}$ stands for six steps towards the inverse of the r by r matrix $A$. Begin with
  $A^\top$ divided by the largest column sum of $A$ times its largest row sum; a step turns $z$ into
  $\tfrac14 \, z \, (13 - y \, (15 - y \, (7 - y)))$ with $y = A z$, where numbers stand for
  multiples of the identity. Each matrix of a batch has sums of its own.
- `q` is (..., n, d), `k` is (..., m, d), `v` is (..., m, e), and `landmarks`, r, is at most n and
  at most m. The result is (..., n, e) in the dtype of `v`, and its gradient is right.
- At twice the length it takes twice the FLOPs, and its largest tensor is twice as large: nothing
  is n by m.
"""

import math

import torch

from attncourse.measure.cost import flops, largest_tensor
from attncourse.mechanisms.low_rank.nystrom import nystrom_attention as solution
from attncourse.mechanisms.low_rank.nystrom import nystrom_attention_by_definition as by_definition
from attncourse.testing import assert_same, assert_that, attention_inputs, gradients, levels

difficulty, minutes = 4, 40
hints = (
    "Write three functions: the means of the segments, a softmax of scaled scores, the six steps. "
    "Test the steps alone: for a matrix near the identity, z @ a is near the identity, too.",
    "Four matrices are multiplied, and the order is yours. right @ v is (r, e): begin there, and "
    "end with the one that has n rows. keepdim=True keeps each batch entry's own sums.",
)
forbidden = ("nystrom_attention", "nystrom_attention_exact_inverse", "iterative_inverse")

SIZES = (13, 37, 8, 6)  # n, m, d, e; none is a multiple of the landmarks
OTHER_SIZES = (11, 9, 3, 7)


def check_equals_the_four_matrices(student):
    """equals the product of the four matrices, with segments that are not all of one length"""
    for sizes, r in ((SIZES, 4), (OTHER_SIZES, 5)):
        q, k, v = attention_inputs(sizes=sizes, seed=10)
        assert_same(student(q, k, v, landmarks=r), by_definition(q, k, v, landmarks=r))


def check_takes_any_number_of_landmarks(student):
    """one landmark, which is the mean of all, and as many as there are tokens"""
    for sizes, r in ((SIZES, 1), (SIZES, 13), (OTHER_SIZES, 9), ((1, 1, 3, 2), 1)):
        q, k, v = attention_inputs(sizes=sizes, seed=20)
        assert_same(student(q, k, v, landmarks=r), by_definition(q, k, v, landmarks=r))


def check_takes_leading_axes(student):
    """works for any batch and head axes, those of length one too, for each by itself"""
    for lead, sizes in (((2, 3), SIZES), ((1,), OTHER_SIZES), ((4, 1), OTHER_SIZES)):
        q, k, v = attention_inputs(*lead, sizes=sizes, seed=30)
        assert_same(student(q, k, v, landmarks=4), by_definition(q, k, v, landmarks=4))


def check_survives_a_large_spread(student):
    """scores far apart within a row are weighed right"""
    q, k, v = attention_inputs(sizes=SIZES, seed=40)
    for heights in ((1.0, 300.0, 20.0), (1e3, 1.0)):
        wide = k * levels(37, *heights)[:, None]
        assert_same(student(q, wide, v, landmarks=4), by_definition(q, wide, v, landmarks=4))


def check_has_the_right_gradient(student):
    """the gradients of q, k and v are right"""
    for sizes, r in ((SIZES, 4), (OTHER_SIZES, 3)):
        q, k, v = attention_inputs(sizes=sizes, std=1.0, seed=50)
        expected = gradients(by_definition, q, k, v, landmarks=r)
        found = gradients(student, q, k, v, landmarks=r)
        for name, a, b in zip("qkv", found, expected, strict=True):
            assert_same(a, b, f"the gradient of {name}")


def check_keeps_the_dtype(student):
    """float32 values give float32 outputs"""
    q, k, v = (x.float() for x in attention_inputs(sizes=SIZES, std=1.0, seed=60))
    expected = by_definition(q.double(), k.double(), v.double(), landmarks=3).float()
    assert_same(student(q, k, v, landmarks=3), expected)


def check_costs_grow_with_the_length(student):
    """at twice the length twice the FLOPs, and a largest tensor twice as large"""
    found = []
    for n in (64, 128):
        q, k, v = attention_inputs(sizes=(n, n + 6, 8, 6), seed=70)
        assert_same(student(q, k, v, landmarks=4), by_definition(q, k, v, landmarks=4))
        counts = [measure(student, q, k, v, landmarks=4) for measure in (flops, largest_tensor)]
        found.append(counts)
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


def _means(x, r):
    return torch.stack([part.mean(dim=-2) for part in x.tensor_split(r, dim=-2)], dim=-2)


def _softmax(q, k, scale=None):
    scale = math.sqrt(q.shape[-1]) if scale is None else scale
    return (q @ k.mT / scale).softmax(dim=-1)


def _steps(a, norms, count=6, start=None):
    z = (a.mT if start is None else start) / norms
    eye = torch.eye(a.shape[-1], dtype=a.dtype)
    for _ in range(count):
        y = a @ z
        z = z @ (13 * eye - y @ (15 * eye - y @ (7 * eye - y))) / 4
    return z


def _own_norms(a):
    columns, rows = a.sum(dim=-2), a.sum(dim=-1)
    return (columns.amax(dim=-1) * rows.amax(dim=-1))[..., None, None]


def _inverse(a):
    return _steps(a, _own_norms(a))


def _nystrom(q, k, v, r, *, means=_means, inverse=_inverse, scale=None):
    few_q, few_k = means(q, r), means(k, r)
    left, middle = _softmax(q, few_k, scale), _softmax(few_q, few_k, scale)
    return left @ (inverse(middle) @ (_softmax(few_q, k, scale) @ v))


def wrong_all_pairs(q, k, v, *, landmarks):
    """Your values are right, but the first three matrices multiplied are n by m. Begin at the other
    end, with the values: every product is thin then.
    """
    few_q, few_k = _means(q, landmarks), _means(k, landmarks)
    whole = _softmax(q, few_k) @ _inverse(_softmax(few_q, few_k)) @ _softmax(few_q, k)
    return whole @ v


def wrong_no_inverse(q, k, v, *, landmarks):
    """You left the matrix in the middle out. Two softmaxes alone smooth twice: what the landmarks
    have in common has to be divided out by its inverse.
    """
    return _nystrom(q, k, v, landmarks, inverse=lambda a: torch.eye(len(a.mT), dtype=a.dtype))


def wrong_not_inverted(q, k, v, *, landmarks):
    """You multiplied by the matrix in the middle itself. It is its inverse that belongs there: six
    steps towards it.
    """
    return _nystrom(q, k, v, landmarks, inverse=lambda a: a)


def wrong_exact_inverse(q, k, v, *, landmarks):
    """You inverted the matrix in the middle exactly. That magnifies what is nearly nothing in it,
    and is another function: take the six steps.
    """
    return _nystrom(q, k, v, landmarks, inverse=torch.linalg.pinv)


def wrong_five_steps(q, k, v, *, landmarks):
    """You take five steps towards the inverse. There are six, after the start."""
    return _nystrom(q, k, v, landmarks, inverse=lambda a: _steps(a, _own_norms(a), 5))


def wrong_seven_steps(q, k, v, *, landmarks):
    """You take seven steps towards the inverse. There are six: the start is none of them."""
    return _nystrom(q, k, v, landmarks, inverse=lambda a: _steps(a, _own_norms(a), 7))


def wrong_another_iteration(q, k, v, *, landmarks):
    """You take Newton's step, z (2 - y). It leads to the same inverse more slowly, and six of its
    steps are elsewhere: the step here has the third power of y in it.
    """

    def newton(a):
        z = a.mT / _own_norms(a)
        for _ in range(6):
            z = z @ (2 * torch.eye(a.shape[-1], dtype=a.dtype) - a @ z)
        return z

    return _nystrom(q, k, v, landmarks, inverse=newton)


def wrong_exact_attention(q, k, v, *, landmarks):
    """You computed attention itself, all n times m weights. The landmarks are to stand for queries
    and keys: put the map together from three small ones.
    """
    return _softmax(q, k) @ v


def wrong_start_not_transposed(q, k, v, *, landmarks):
    """You begin the steps with the matrix in place of its transpose. The steps lead to the inverse
    from the transpose only: a.mT.
    """
    return _nystrom(q, k, v, landmarks, inverse=lambda a: _steps(a, _own_norms(a), start=a))


def wrong_one_norm_for_the_batch(q, k, v, *, landmarks):
    """You take the largest sums over the whole batch, so that a text's output depends on what else
    is in it. Take them over the last axis alone: each matrix has its own.
    """
    return _nystrom(
        q, k, v, landmarks, inverse=lambda a: _steps(a, a.sum(dim=-2).max() * a.sum(dim=-1).max())
    )


def wrong_first_tokens(q, k, v, *, landmarks):
    """Your landmarks are the first tokens. They are the means of r segments, so that each token
    has a part in one.
    """
    return _nystrom(q, k, v, landmarks, means=lambda x, r: x[..., :r, :])


def wrong_every_nth_token(q, k, v, *, landmarks):
    """Your landmarks are single tokens, one from each segment. They are the means of the segments:
    all tokens have a part in them.
    """

    def first_of_each(x, r):
        return torch.stack([part[..., 0, :] for part in x.tensor_split(r, dim=-2)], dim=-2)

    return _nystrom(q, k, v, landmarks, means=first_of_each)


def wrong_rest_dropped(q, k, v, *, landmarks):
    """You cut segments of equal length and leave the tokens at the end out. Where r does not divide
    the length the first segments are longer by one.
    """

    def whole_segments(x, r):
        size = x.shape[-2] // r
        return x[..., : r * size, :].unflatten(-2, (r, size)).mean(dim=-2)

    return _nystrom(q, k, v, landmarks, means=whole_segments)


def wrong_not_scaled(q, k, v, *, landmarks):
    """You did not scale the scores. Divide them by the square root of d, in all three softmaxes."""
    return _nystrom(q, k, v, landmarks, scale=1.0)


def wrong_middle_cut_out(q, k, v, *, landmarks):
    """You took the middle from the means of the left matrix's rows. It has a softmax of its own,
    over the scores of the landmarks.
    """
    few_q, few_k = _means(q, landmarks), _means(k, landmarks)
    left = _softmax(q, few_k)
    return left @ (_inverse(_means(left, landmarks)) @ (_softmax(few_q, k) @ v))


def wrong_softmax_over_the_landmarks(q, k, v, *, landmarks):
    """In the right matrix you took the softmax over the landmarks. Each landmark weighs all m keys:
    it goes over the last axis of (r, m).
    """
    few_q, few_k = _means(q, landmarks), _means(k, landmarks)
    right = _softmax(k, few_q).mT
    return _softmax(q, few_k) @ (_inverse(_softmax(few_q, few_k)) @ (right @ v))


def right_by_three_softmaxes(q, k, v, *, landmarks):
    """the four matrices from right to left"""

    def means(x):
        parts = x.tensor_split(landmarks, dim=-2)
        return torch.stack([part.mean(dim=-2) for part in parts], dim=-2)

    def weights(queries, keys):
        return (queries @ keys.mT / math.sqrt(q.shape[-1])).softmax(dim=-1)

    few_q, few_k = means(q), means(k)
    a = weights(few_q, few_k)
    columns = a.sum(dim=-2).amax(dim=-1)
    rows = a.sum(dim=-1).amax(dim=-1)
    z = a.mT / (columns * rows)[..., None, None]
    eye = torch.eye(landmarks, dtype=a.dtype)
    for _ in range(6):
        y = a @ z
        z = z @ (13 * eye - y @ (15 * eye - y @ (7 * eye - y))) / 4
    return weights(q, few_k) @ (z @ (weights(few_q, k) @ v))


def right_by_pytorch(q, k, v, *, landmarks):
    """PyTorch's attention for the outer two softmaxes"""
    few_q, few_k = _means(q, landmarks), _means(k, landmarks)
    attend = torch.nn.functional.scaled_dot_product_attention
    return attend(q, few_k, _inverse(_softmax(few_q, few_k)) @ attend(few_q, k, v))


def right_by_a_matrix_of_means(q, k, v, *, landmarks):
    """the means as a product, the steps written as a polynomial"""

    def means(x, r):
        length = x.shape[-2]
        place = torch.arange(length)
        short, longer = length // r, length % r
        cut = longer * (short + 1)
        segment = torch.where(place < cut, place // (short + 1), longer + (place - cut) // short)
        member = (segment == torch.arange(r)[:, None]).to(x.dtype)
        return member / member.sum(dim=-1, keepdim=True) @ x

    def inverse(a):
        z = a.mT / _own_norms(a)
        for _ in range(6):
            y = a @ z
            z = (13 * z - 15 * z @ y + 7 * z @ y @ y - z @ y @ y @ y) / 4
        return z

    return _nystrom(q, k, v, landmarks, means=means, inverse=inverse)


shown = right_by_three_softmaxes
