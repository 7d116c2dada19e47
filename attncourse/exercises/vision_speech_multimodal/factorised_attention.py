r"""# Time first, then space

A clip has t frames of n places each. Let every token look at its own place in all frames, and then,
with what came of that, at all places of its own frame:

$$u_{s,i} = \sum_{s'} a_{s s'}\, v_{s',i}, \qquad o_{s,i} = \sum_{i'} b_{i i'}\, u_{s,i'} ,$$

where $a$ is the softmax over the frames s' of $q_{s,i} \cdot k_{s',i} / \sqrt d$, and $b$ the
softmax over the places i' of $q_{s,i} \cdot k_{s,i'} / \sqrt d$.

- `q` and `k` are (..., t, n, d), `v` is (..., t, n, e). The result is (..., t, n, e).
- The second step uses the same q and k; its values are what the first step gave.
- No scores between different places of different frames are computed: of t n tokens, t n (t + n)
  pairs, and not (t n)^2. Leading axes are any. The dtype stays as it is.
"""

import torch

from attncourse.measure.cost import largest_tensor
from attncourse.models.senses.clips import factorised_attention as solution
from attncourse.testing import assert_same, assert_that, gaussian, gradients

difficulty, minutes = 3, 20
hints = (
    "Attention works on the last two axes and takes any in front. Which two axes should be last in "
    "the first step, and which in the second?",
    "`transpose(-3, -2)` brings the frames next to d. Do it to q, k and v, attend, and bring the "
    "result back before you attend over the places.",
)
forbidden = ("factorised_attention", "scaled_dot_product_attention", "MultiheadAttention")

SIZES = ((3, 5, 8, 6), (6, 2, 5, 7))  # t, n, d, e


def _drawn(*sizes, lead=(), seed=0):
    t, n, d, e = sizes
    return tuple(gaussian(*lead, t, n, w, seed=seed + i) for i, w in enumerate((d, d, e)))


def check_a_dot_by_hand(student):
    """with equal scores: over time the half, then over both places the quarter"""
    v = torch.zeros(2, 2, 3).double()
    v[1, 1] = 8.0
    q, k = torch.zeros(2, 2, 5).double(), gaussian(2, 2, 5, seed=1)
    assert_same(student(q, k, v), torch.full((2, 2, 3), 2.0).double())


def check_equals_the_loops(student):
    """equals the two sums, written as loops, for any numbers of frames and places"""
    for seed, sizes in enumerate(SIZES):
        args = _drawn(*sizes, seed=10 * seed)
        assert_same(student(*args), right_by_loops(*args))


def check_scores_far_apart(student):
    """scores far apart give what they should, and nothing infinite"""
    q, k, v = _drawn(4, 3, 6, 5, seed=30)
    assert_same(student(30 * q, 30 * k, v), right_by_loops(30 * q, 30 * k, v))


def check_takes_leading_axes(student):
    """works for any leading axes, those of length one too"""
    for lead in ((1,), (2, 1, 3)):
        args = _drawn(3, 4, 5, 6, lead=lead, seed=40)
        assert_same(student(*args), right_by_loops(*args))


def check_one_frame_and_one_place(student):
    """one frame is attention over space, one place attention over time"""
    for sizes in ((1, 5, 6, 3), (5, 1, 6, 3)):
        args = _drawn(*sizes, seed=50)
        assert_same(student(*args), right_by_loops(*args))


def check_has_the_right_gradient(student):
    """the gradients of q, k and v are right"""
    args = _drawn(3, 4, 5, 2, seed=60)
    assert_same(gradients(student, *args), gradients(right_by_loops, *args), "a gradient")


def check_no_pairs_across(student):
    """of 12 frames of 11 places never all pairs of tokens at once"""
    args = _drawn(12, 11, 6, 5, seed=70)
    assert_same(student(*args), right_by_loops(*args))
    held = largest_tensor(student, *args)
    assert_that(
        held <= 2 * 12 * 12 * 11,
        f"the largest tensor held {held:,} numbers; scores over time are 11 x 12 x 12.",
    )


def check_keeps_the_dtype(student):
    """float32 stays float32"""
    args = tuple(x.float() for x in _drawn(3, 4, 5, 6, seed=80))
    assert_same(student(*args), right_by_loops(*args))


def _attend(q, k, v):
    return torch.softmax(q @ k.mT / q.shape[-1] ** 0.5, dim=-1) @ v


def _turned(*parts):
    return tuple(x.transpose(-3, -2) for x in parts)


def wrong_all_pairs(q, k, v):
    """You let every token look at all tokens of all frames. Factorised means two steps, each along
    one axis: time at one place, then space in one frame.
    """
    flat = (x.flatten(-3, -2) for x in (q, k, v))
    return _attend(*flat).unflatten(-2, q.shape[-3:-1])


def wrong_space_first(q, k, v):
    """You attend over space first and then over time. Here time comes first; with a softmax the two
    orders differ.
    """
    return _attend(*_turned(q, k, _attend(q, k, v))).transpose(-3, -2)


def wrong_space_alone(q, k, v):
    """You attend over the places of each frame alone, so that no frame knows of another. The first
    step goes over time: bring the axis of frames next to d.
    """
    return _attend(q, k, v)


def wrong_time_alone(q, k, v):
    """You attend over time alone, so that no place knows of another. Attend once more, over the
    places of each frame.
    """
    return _attend(*_turned(q, k, v)).transpose(-3, -2)


def wrong_sum_of_both(q, k, v):
    """You add attention over time and attention over space, both of v. The second step takes what
    the first gave as its values.
    """
    return _attend(*_turned(q, k, v)).transpose(-3, -2) + _attend(q, k, v)


def wrong_mean_of_both(q, k, v):
    """You take the mean of attention over time and attention over space, both of v. The second step
    takes what the first gave as its values.
    """
    return (_attend(*_turned(q, k, v)).transpose(-3, -2) + _attend(q, k, v)) / 2


def wrong_not_scaled(q, k, v):
    """You did not divide the scores by the square root of d. Do it in both steps."""
    d = q.shape[-1] ** 0.5
    over_time = _attend(*_turned(q * d, k, v)).transpose(-3, -2)
    return _attend(q * d, k, over_time)


def wrong_softmax_over_queries(q, k, v):
    """Your softmax runs over the queries and not over the keys, so that the weights of a query do
    not sum to one. Normalise the last axis of the scores.
    """

    def attend(q, k, v):
        return torch.softmax(q @ k.mT / q.shape[-1] ** 0.5, dim=-2) @ v

    return attend(q, k, attend(*_turned(q, k, v)).transpose(-3, -2))


def right_by_turning(q, k, v):
    """the frames next to d and back, attention twice"""
    turned = (x.transpose(-3, -2) for x in (q, k, v))
    over_time = _attend(*turned).transpose(-3, -2)
    return _attend(q, k, over_time)


def right_by_einsum(q, k, v):
    """both steps as sums over named axes"""
    d = q.shape[-1] ** 0.5
    a = torch.einsum("...sid,...tid->...ist", q, k) / d
    u = torch.einsum("...ist,...tie->...sie", torch.softmax(a, dim=-1), v)
    b = torch.einsum("...sid,...sjd->...sij", q, k) / d
    return torch.einsum("...sij,...sje->...sie", torch.softmax(b, dim=-1), u)


def right_by_loops(q, k, v):
    """a loop over the places, then one over the frames"""
    t, n = q.shape[-3:-1]
    places = [_attend(*(x[..., :, i, :] for x in (q, k, v))) for i in range(n)]
    u = torch.stack(places, dim=-2)
    frames = [_attend(*(x[..., s, :, :] for x in (q, k, u))) for s in range(t)]
    return torch.stack(frames, dim=-3)


def plain_form(q, k, v):
    """attention over time, then over space"""
    scale = q.shape[-1] ** 0.5
    over_time = torch.softmax(
        q.transpose(-3, -2) @ k.transpose(-3, -2).mT / scale, dim=-1
    ) @ v.transpose(-3, -2)
    over_space = torch.softmax(q @ k.mT / scale, dim=-1)
    return over_space @ over_time.transpose(-3, -2)


shown = plain_form
