r"""# Mend the answer that is never twice the same

In training, a weight is left out with the probability p, and those that stay are enlarged, so that
their mean remains. In use, nothing is left out:

$$w'_{ij} = \begin{cases} \dfrac{b_{ij}}{1 - p}\, w_{ij} & \text{in training}, \quad
b_{ij} = 0 \text{ with probability } p, \text{ else } 1 \\ w_{ij} & \text{in use} \end{cases}$$

This function was part of a module. The module was told that it is in use, and told its parts; this
function has no parts. Its loss in training is right. Mend the rest.

- `q` is (..., n, d), `k` is (..., m, d), `v` is (..., m, e); `p` is at least 0 and below 1;
  `training` is a bool. `generator` is the source of randomness, or None for PyTorch's own.
- The result is (..., n, e) in the dtype of `v`. The b are independent, one for each weight of each
  query, also of each batch and head.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from attncourse.testing import (
    OTHER_SIZES,
    SIZES,
    assert_same,
    assert_that,
    attention_inputs,
    drawn,
    gaussian,
    gradients,
    levels,
)

difficulty, minutes = 1, 5
hints = (
    "Call it twice with the same arguments, and with `training=False`. Are the results equal?",
    "Which of the arguments does the function never look at?",
)


def dropout_attention(
    q: Float[Tensor, "... n d"],
    k: Float[Tensor, "... m d"],
    v: Float[Tensor, "... m e"],
    p: float,
    training: bool,
    *,
    generator: torch.Generator | None = None,
) -> Float[Tensor, "... n e"]:
    """Attention whose weights are left out with the probability p, in training only.

    >>> q, k, v = torch.zeros(1, 2), torch.eye(2), torch.tensor([[1.0], [3.0]])
    >>> dropout_attention(q, k, v, 0.5, False).tolist()
    [[2.0]]
    """
    weights = (q @ k.mT / math.sqrt(q.shape[-1])).softmax(dim=-1)
    if training:
        kept = torch.rand(weights.shape, generator=generator) >= p
        weights = weights * kept / (1 - p)
    return weights @ v


solution = dropout_attention


def check_in_use_nothing_is_left_out(student):
    """in use it is attention, whatever p is"""
    for sizes in (SIZES, OTHER_SIZES):
        args = attention_inputs(sizes=sizes, seed=10)
        for p in (0.0, 0.3, 0.9):
            assert_same(student(*args, p, False), dropout_attention(*args, p, False))


def check_in_training_weights_are_left_out(student):
    """in training each weight is 0, or enlarged by 1 / (1 - p), about as often as p says"""
    n, m = 30, 41
    q, k = gaussian(n, 8, std=0.5, seed=20), gaussian(m, 8, std=0.5, seed=21)
    same = torch.eye(m).double()
    whole = dropout_attention(q, k, same, 0.0, False)
    for p in (0.2, 0.6):
        both = drawn(student, q, k, torch.cat([same, same], dim=-1), p, True, seed=22)
        weights, again = both[:, :m], both[:, m:]
        assert_same(again, weights, "the second copy of each value")
        left_out = weights == 0
        assert_same(weights, (whole / (1 - p)).masked_fill(left_out, 0.0), "what is left")
        share = left_out.double().mean().item()
        assert_that(
            abs(share - p) < 0.08,
            f"p = {p}: {share:.0%} of {n * m:,} weights are left out.",
        )


def check_draws_for_each_weight(student):
    """queries, heads and batches do not leave out the same keys"""
    q, k = gaussian(2, 3, 5, 8, std=0.5, seed=30), gaussian(2, 3, 37, 8, std=0.5, seed=31)
    v = torch.eye(37).double().expand(2, 3, 37, 37)
    left_out = drawn(student, q, k, v, 0.5, True, seed=32) == 0
    for axis in (0, 1, 2):
        one, other = left_out.unbind(axis)[:2]
        assert_that((one != other).any(), "each weight is left out, or not, for itself.")


def check_without_dropout_training_is_no_different(student):
    """with p = 0 training is as use; also for one query, scores far apart, and in float32"""
    q, k, v = attention_inputs(1, sizes=SIZES, std=20.0, seed=40)
    k = k + 10 * levels(SIZES[1], 9.0, -9.0, 0.0)[:, None]
    one = q[0, :1], k[0], v[0]
    for given in ((q, k, v), one, (q.float(), k.float(), v.float())):
        for training in (True, False):
            expected = dropout_attention(*given, 0.0, False)
            assert_same(drawn(student, *given, 0.0, training, seed=43), expected)


def check_has_the_right_gradient(student):
    """in use the gradients of q, k and v are those of attention"""
    args = attention_inputs(2, sizes=SIZES, seed=50)
    expected = gradients(dropout_attention, *args, 0.4, False)
    assert_same(gradients(student, *args, 0.4, False), expected, "the gradient")


def wrong_training_never_asked(q, k, v, p, training, *, generator=None):
    """You leave weights out in use as well: a function has no mode, and nobody told it. Look at
    `training`, and leave all weights as they are where it is False.
    """
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    weights = torch.softmax(scores, dim=-1)
    left = torch.rand(weights.shape, generator=generator) >= p
    return (weights * left / (1 - p)) @ v


stub = wrong_training_never_asked


def _weights(q, k):
    return (q @ k.mT / math.sqrt(q.shape[-1])).softmax(dim=-1)


def wrong_the_other_way_round(q, k, v, p, training, *, generator=None):
    """You leave weights out in use and none in training. It is the other way round: where
    `training` is True they are left out.
    """
    return dropout_attention(q, k, v, p, not training, generator=generator)


def wrong_not_enlarged(q, k, v, p, training, *, generator=None):
    """You leave weights out and do not enlarge the others, so that in training the outputs are
    smaller than in use. Divide what stays by 1 - p.
    """
    weights = _weights(q, k)
    if training:
        weights = weights * (torch.rand(weights.shape, generator=generator) >= p)
    return weights @ v


def wrong_made_smaller_in_use(q, k, v, p, training, *, generator=None):
    """You multiply by 1 - p in use, as if nothing had been enlarged in training. One of the two is
    enough, and it is done in training: leave the weights in use.
    """
    out = dropout_attention(q, k, v, p, training, generator=generator)
    return out if training else (1 - p) * out


def wrong_p_stays(q, k, v, p, training, *, generator=None):
    """You keep a weight with the probability p. It is the probability to be left out: 1 - p of
    them stay.
    """
    weights = _weights(q, k)
    if training and p > 0:
        weights = weights * (torch.rand(weights.shape, generator=generator) < p) / (1 - p)
    return weights @ v


def wrong_whole_keys_left_out(q, k, v, p, training, *, generator=None):
    """You leave out the same keys for every query. Each weight is drawn for itself: draw as many
    numbers as there are weights.
    """
    weights = _weights(q, k)
    if training:
        kept = torch.rand(weights.shape[-1:], generator=generator) >= p
        weights = weights * kept / (1 - p)
    return weights @ v


def wrong_outputs_left_out(q, k, v, p, training, *, generator=None):
    """You leave out numbers of the output and not weights, which is another place for dropout.
    Draw for the weights, before they meet the values: a key is missing then, not a feature.
    """
    out = _weights(q, k) @ v
    if training:
        out = out * (torch.rand(out.shape, generator=generator) >= p) / (1 - p)
    return out


def right_by_bernoulli(q, k, v, p, training, *, generator=None):
    """zeros and ones from `bernoulli_`"""
    weights = _weights(q, k)
    if not training or p == 0:
        return weights @ v
    stays = torch.empty_like(weights).detach().bernoulli_(1 - p, generator=generator)
    return (weights * stays) @ v / (1 - p)


def right_by_filling_in_zeros(q, k, v, p, training, *, generator=None):
    """the probability set to 0 in use, zeros filled in"""
    rate = p if training else 0.0
    weights = _weights(q, k)
    gone = torch.rand(weights.shape, generator=generator) < rate
    return weights.masked_fill(gone, 0.0) @ v / (1 - rate)
