r"""# Merge two halves

Attention over some of the keys gives, for each query, an output and one number more: the logsumexp
of its scores. From two such parts, over different keys, make the attention over both:

$$\mathrm{lse} = \ln\left(e^{\mathrm{lse}_a} + e^{\mathrm{lse}_b}\right), \qquad
\mathrm{out} = e^{\mathrm{lse}_a - \mathrm{lse}} \, \mathrm{out}_a
+ e^{\mathrm{lse}_b - \mathrm{lse}} \, \mathrm{out}_b .$$

- `out_a` and `out_b` are (..., n, e), `lse_a` and `lse_b` are (..., n); the result is the pair
  `(out, lse)` of the same shapes and dtype, and its gradient is right.
- A logsumexp may be in the thousands, or minus that; so may the distance of the two.
- A part with no key at all has a logsumexp of $-\infty$ and an output of zeros: it changes nothing.
  Two such parts give zeros and $-\infty$, with finite gradients.
"""

import math

import torch

from attncourse.mechanisms.exact.merging import attention_and_lse
from attncourse.mechanisms.exact.merging import merge_attention as solution
from attncourse.testing import (
    OTHER_SIZES,
    SIZES,
    assert_same,
    assert_that,
    attention_inputs,
    gaussian,
    gradients,
)

difficulty, minutes = 2, 20
hints = (
    "Two classes with their means and their numbers of pupils: what is the mean of all, and how "
    "many are they? exp(lse) is the number of pupils.",
    "Take the larger of the two logsumexps from both before `exp`, and add it again after the "
    "logarithm. Where both are -inf, take 0 instead: -inf less -inf is NaN.",
)


def check_joins_two_halves(student):
    """attention over the first keys and over the others, merged, is attention over all"""
    for sizes, cut in ((SIZES, 3), (SIZES, 30), (OTHER_SIZES, 1), (OTHER_SIZES, 8)):
        q, k, v = attention_inputs(sizes=sizes, seed=10)
        merged = student(*_part(q, k, v, slice(cut)), *_part(q, k, v, slice(cut, None)))
        _assert_pair(merged, attention_and_lse(q, k, v))


def check_joins_parts_in_any_order(student):
    """three parts give the same in any order, each of the keys counted once"""
    q, k, v = attention_inputs(seed=20)
    parts = [_part(q, k, v, keys) for keys in (slice(20), slice(20, 22), slice(22, None))]
    whole = attention_and_lse(q, k, v)
    for first, second, third in ((0, 1, 2), (2, 0, 1), (1, 2, 0)):
        both = student(*parts[first], *parts[second])
        _assert_pair(student(*both, *parts[third]), whole)


def check_takes_leading_axes(student):
    """works for any batch and head axes, those of length one too, and for one query"""
    for lead, sizes in (((2, 3), SIZES), ((1,), OTHER_SIZES), ((4, 1), (1, 9, 3, 7))):
        parts = _random_parts(*lead, sizes=sizes, seed=30)
        _assert_pair(student(*parts), solution(*parts))


def check_survives_large_scores(student):
    """logsumexps in the thousands, below and above zero, neither overflow nor vanish"""
    for middle, spread in ((3000.0, 2.0), (-3000.0, 2.0), (0.0, 900.0), (800.0, 30.0)):
        out_a, lse_a, out_b, lse_b = _random_parts(seed=40)
        parts = out_a, middle + spread * lse_a, out_b, middle + spread * lse_b
        _assert_pair(student(*parts), solution(*parts))


def check_leaves_out_empty_parts(student):
    """a part without keys changes nothing; two give zeros and -inf, with finite gradients"""
    out_a, lse_a, out_b, lse_b = _random_parts(3, seed=50)
    for lost_a, lost_b in ((0, None), (None, 4), (2, 2)):
        parts = (*_emptied(out_a, lse_a, lost_a), *_emptied(out_b, lse_b, lost_b))
        _assert_pair(student(*parts), solution(*parts))
        for name, gradient in zip(_NAMES, gradients(student, *parts), strict=True):
            assert_that(
                gradient.isfinite().all(),
                f"with an empty part the gradient of {name} is not finite.",
            )


def check_has_the_right_gradient(student):
    """the gradients of both outputs and both logsumexps are right"""
    for sizes in (SIZES, OTHER_SIZES):
        parts = _random_parts(sizes=sizes, seed=60)
        ours, theirs = gradients(student, *parts), gradients(solution, *parts)
        for name, a, b in zip(_NAMES, ours, theirs, strict=True):
            assert_same(a, b, f"the gradient of {name}")


def check_keeps_the_dtype(student):
    """float32 parts give a float32 output and a float32 logsumexp"""
    parts = [x.float() for x in _random_parts(seed=70)]
    out, lse = solution(*(x.double() for x in parts))
    _assert_pair(student(*parts), (out.float(), lse.float()))


_NAMES = ("out_a", "lse_a", "out_b", "lse_b")


def _part(q, k, v, keys):
    return attention_and_lse(q, k[..., keys, :], v[..., keys, :])


def _random_parts(*lead, sizes=SIZES, seed):
    """Two outputs and two logsumexps that no keys need to have given."""
    n, _, _, e = sizes
    outs = [gaussian(*lead, n, e, seed=seed + i) for i in (0, 1)]
    lses = [gaussian(*lead, n, seed=seed + i) for i in (2, 3)]
    return outs[0], lses[0], outs[1], lses[1]


def _emptied(out, lse, row):
    """The part in which one query, or none, had no key to attend to."""
    if row is None:
        return out, lse
    out, lse = out.clone(), lse.clone()
    out[..., row, :], lse[..., row] = 0.0, -math.inf
    return out, lse


def _assert_pair(actual, expected):
    assert_that(
        isinstance(actual, tuple) and len(actual) == 2,
        "the result must be a pair: the output and its logsumexp.",
    )
    for name, a, b in zip(("the output", "the logsumexp"), actual, expected, strict=True):
        assert_same(a, b, name)


def _shares(lse_a, lse_b):
    """The parts' shares of the whole and its logsumexp; two empty parts have zeros to share."""
    empty = (lse_a == -math.inf) & (lse_b == -math.inf)
    one, two = lse_a.masked_fill(empty, 0.0), lse_b.masked_fill(empty, 0.0)
    lse = torch.logaddexp(one, two)
    part_a, part_b = ((x - lse).exp()[..., None] for x in (one, two))
    return part_a, part_b, lse.masked_fill(empty, -math.inf)


def wrong_mean_of_the_outputs(out_a, lse_a, out_b, lse_b):
    """You took the plain mean of the outputs, as if both halves weighed the same. Each counts by
    its sum of exponentials: its share is exp(lse_a - lse).
    """
    return (out_a + out_b) / 2, torch.logaddexp(lse_a, lse_b)


def wrong_sum_of_the_outputs(out_a, lse_a, out_b, lse_b):
    """You added the outputs. Each is a mean already, and a sum of means is none: give each the
    share of its half, exp(lse_a - lse) and exp(lse_b - lse).
    """
    return out_a + out_b, torch.logaddexp(lse_a, lse_b)


def wrong_shares_of_the_logarithms(out_a, lse_a, out_b, lse_b):
    """You weighed the outputs by the logsumexps themselves. They are logarithms, and may be
    negative: take their exponentials, which are the sums that count.
    """
    total = (lse_a + lse_b)[..., None]
    out = (lse_a[..., None] * out_a + lse_b[..., None] * out_b) / total
    return out, torch.logaddexp(lse_a, lse_b)


def wrong_shares_exchanged(out_a, lse_a, out_b, lse_b):
    """You gave each output the share of the other half. The part with the larger logsumexp counts
    more: `lse_a` goes with `out_a`.
    """
    part_a, part_b, lse = _shares(lse_a, lse_b)
    return part_b * out_a + part_a * out_b, lse


def wrong_larger_half_alone(out_a, lse_a, out_b, lse_b):
    """You kept the half with the larger logsumexp and dropped the other. Both have a share, and
    only where they lie far apart is one of them nothing.
    """
    first = (lse_a >= lse_b)[..., None]
    return torch.where(first, out_a, out_b), torch.logaddexp(lse_a, lse_b)


def wrong_logsumexps_added(out_a, lse_a, out_b, lse_b):
    """You added the logsumexps, which multiplies the sums of exponentials. The sums are added:
    ln(exp(lse_a) + exp(lse_b)), `torch.logaddexp`.
    """
    part_a, part_b, _ = _shares(lse_a, lse_b)
    return part_a * out_a + part_b * out_b, lse_a + lse_b


def wrong_larger_logsumexp(out_a, lse_a, out_b, lse_b):
    """You returned the larger of the two logsumexps. The whole weighs more than its larger half,
    and the next merge would give it too little: return the logarithm of the sum.
    """
    part_a, part_b, _ = _shares(lse_a, lse_b)
    return part_a * out_a + part_b * out_b, torch.maximum(lse_a, lse_b)


def wrong_base_two(out_a, lse_a, out_b, lse_b):
    """You computed with powers of two. A logsumexp is a natural logarithm: use `exp` and `log`, or
    multiply by ln 2 on the way in and out.
    """
    scale = math.log(2)
    part_a, part_b, lse = _shares(lse_a * scale, lse_b * scale)
    return part_a * out_a + part_b * out_b, lse / scale


def wrong_sum_instead_of_its_logarithm(out_a, lse_a, out_b, lse_b):
    """You returned the sum of exponentials. The next merge expects its logarithm, which does not
    overflow either: take `log` of it.
    """
    part_a, part_b, lse = _shares(lse_a, lse_b)
    return part_a * out_a + part_b * out_b, lse.exp()


def wrong_maximum_not_added_again(out_a, lse_a, out_b, lse_b):
    """You subtracted the larger logsumexp and did not put it back after the logarithm. The shares
    do not feel it, the logsumexp does: add it again.
    """
    part_a, part_b, lse = _shares(lse_a, lse_b)
    top = torch.maximum(lse_a, lse_b)
    return part_a * out_a + part_b * out_b, (lse - top.masked_fill(top == -math.inf, 0.0))


def wrong_shares_not_divided(out_a, lse_a, out_b, lse_b):
    """Your shares do not sum to one: the larger half counts whole, the other on top of it. Divide
    by the sum of both exponentials.
    """
    top = torch.maximum(lse_a, lse_b)
    safe = top.masked_fill(top == -math.inf, 0.0)
    out = (lse_a - safe).exp()[..., None] * out_a + (lse_b - safe).exp()[..., None] * out_b
    return out, torch.logaddexp(lse_a, lse_b)


def wrong_no_maximum_subtracted(out_a, lse_a, out_b, lse_b):
    """You took the exponentials as they are, and from a logsumexp of 710 on they are infinite.
    Subtract the larger of the two from both first.
    """
    part_a, part_b = lse_a.exp()[..., None], lse_b.exp()[..., None]
    total = part_a + part_b
    out = (part_a * out_a + part_b * out_b) / total.masked_fill(total == 0, 1.0)
    return out, total.squeeze(-1).log()


def wrong_one_maximum_for_all(out_a, lse_a, out_b, lse_b):
    """You subtracted the largest logsumexp of all queries from each of them, and where a query lies
    far below it both its halves vanish. Each query has a maximum of its own.
    """
    top = torch.maximum(lse_a, lse_b).amax()
    part_a, part_b = (lse_a - top).exp()[..., None], (lse_b - top).exp()[..., None]
    total = part_a + part_b
    out = (part_a * out_a + part_b * out_b) / total.masked_fill(total == 0, 1.0)
    return out, top + total.squeeze(-1).log()


def wrong_nan_in_empty_parts(out_a, lse_a, out_b, lse_b):
    """Where both parts are empty you subtract -inf from -inf, and that is NaN. There the whole is
    empty too: subtract 0 instead, and zeros come out.
    """
    lse = torch.logaddexp(lse_a, lse_b)
    part_a, part_b = (lse_a - lse).exp()[..., None], (lse_b - lse).exp()[..., None]
    return part_a * out_a + part_b * out_b, lse


def wrong_nan_removed_from_the_output(out_a, lse_a, out_b, lse_b):
    """You removed the NaN of empty parts from the output, but it comes back in the gradient. Keep
    it from being made: where both are -inf, subtract 0.
    """
    out, lse = wrong_nan_in_empty_parts(out_a, lse_a, out_b, lse_b)
    return out.nan_to_num(), lse


def wrong_nan_in_the_gradient_of_logaddexp(out_a, lse_a, out_b, lse_b):
    """Your values are right, but of two empty parts PyTorch's `logaddexp` has NaN as its gradient.
    Give it zeros there, and put -inf into what it returns.
    """
    lse = torch.logaddexp(lse_a, lse_b)
    safe = lse.masked_fill(lse == -math.inf, 0.0)
    part_a, part_b = (lse_a - safe).exp()[..., None], (lse_b - safe).exp()[..., None]
    return part_a * out_a + part_b * out_b, lse


def wrong_large_number_for_minus_infinity(out_a, lse_a, out_b, lse_b):
    """You put a large negative number in the place of -inf. Two empty parts then have a logsumexp
    like any other, and their half is handed on as if it had keys: return -inf for them.
    """
    lse_a, lse_b = lse_a.clamp(min=-1e9), lse_b.clamp(min=-1e9)
    part_a, part_b, lse = _shares(lse_a, lse_b)
    return part_a * out_a + part_b * out_b, lse


def wrong_float32_throughout(out_a, lse_a, out_b, lse_b):
    """You computed in float32 and rounded float64 parts on the way. Merging happens many times, and
    rounds each time: stay in the dtype that came in.
    """
    part_a, part_b, lse = _shares(lse_a.float(), lse_b.float())
    out = part_a * out_a.float() + part_b * out_b.float()
    return out.to(out_a.dtype), lse.to(lse_a.dtype)


def wrong_float64_returned(out_a, lse_a, out_b, lse_b):
    """You computed in float64 and returned float64. Output and logsumexp keep the dtype of the
    parts: cast them back.
    """
    return solution(out_a.double(), lse_a.double(), out_b.double(), lse_b.double())


def right_by_logaddexp(out_a, lse_a, out_b, lse_b):
    """logaddexp, with zeros in the place of two infinities"""
    part_a, part_b, lse = _shares(lse_a, lse_b)
    return part_a * out_a + part_b * out_b, lse


def right_by_a_softmax_over_the_parts(out_a, lse_a, out_b, lse_b):
    """stacks the parts: the shares are a softmax of the logsumexps"""
    lses = torch.stack([lse_a, lse_b])
    empty = (lses == -math.inf).all(dim=0)
    shares = lses.masked_fill(empty, 0.0).softmax(dim=0)
    out = (shares[..., None] * torch.stack([out_a, out_b])).sum(dim=0)
    return out, lses.masked_fill(empty, 0.0).logsumexp(dim=0).masked_fill(empty, -math.inf)


def right_by_a_sigmoid(out_a, lse_a, out_b, lse_b):
    """the share of one half is a sigmoid of the difference, the other's the rest"""
    empty = (lse_a == -math.inf) & (lse_b == -math.inf)
    one, two = lse_a.masked_fill(empty, 0.0), lse_b.masked_fill(empty, 0.0)
    share = torch.sigmoid(one - two)[..., None]
    out = share * out_a + torch.sigmoid(two - one)[..., None] * out_b
    lse = torch.logaddexp(one, two).masked_fill(empty, -math.inf)
    return out, lse
