r"""# Mend the mask that nearly does nothing

A mask comes in one of two kinds. A **Boolean** one says who may be seen. A **floating point** one
is a bias, added to the scores, and hides with minus infinity:

$$s_{ij} = \frac{q_i \cdot k_j}{\sqrt d} + b_{ij} \qquad \text{or} \qquad
s_{ij} = \begin{cases} q_i \cdot k_j / \sqrt d & \text{where } M_{ij} \\
-\infty & \text{elsewhere} \end{cases}$$

This function takes both without complaint. With a bias it is right. Find out what it does with True
and False, and mend it.

- `q` is (..., n, d), `k` is (..., m, d), `v` is (..., m, e); `mask` is Boolean, True where a query
  *may attend*, or a bias in the dtype of the scores, and broadcasts to the scores (..., n, m).
- The kind is the mask's dtype and nothing else: a bias that holds only 0 and 1 is a bias.
- Each query may see at least one key. The result has the dtype of `v`.
"""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from attncourse.testing import (
    OTHER_SIZES,
    SIZES,
    assert_same,
    attention_inputs,
    gaussian,
    gradients,
    levels,
    random_mask,
)

difficulty, minutes = 2, 10
hints = (
    "What are True and False as numbers, and what do they add to a score? Compute e to the power "
    "of each.",
    "Ask for `mask.dtype` first. A Boolean mask is filled in, where it is False, with minus "
    "infinity; a bias is added.",
)


def attention_with_either_mask(
    q: Float[Tensor, "... n d"],
    k: Float[Tensor, "... m d"],
    v: Float[Tensor, "... m e"],
    mask: Bool[Tensor, "... #n #m"] | Float[Tensor, "... #n #m"],
) -> Float[Tensor, "... n e"]:
    """Attention with a Boolean mask, True where a query may attend, or with a bias.

    >>> q, k, v = torch.zeros(1, 2), torch.eye(2), torch.tensor([[1.0], [3.0]])
    >>> attention_with_either_mask(q, k, v, torch.tensor([[True, False]])).tolist()
    [[1.0]]
    >>> attention_with_either_mask(q, k, v, torch.tensor([[0.0, 0.0]])).tolist()
    [[2.0]]
    """
    if mask.dtype == torch.bool:
        mask = torch.zeros_like(mask, dtype=q.dtype).masked_fill(~mask, -math.inf)
    return torch.softmax(q @ k.mT / math.sqrt(q.shape[-1]) + mask, dim=-1) @ v


solution = attention_with_either_mask


def check_a_boolean_mask_hides(student):
    """with a Boolean mask, hidden keys have no weight at all"""
    for sizes in (SIZES, OTHER_SIZES):
        args = attention_inputs(sizes=sizes, seed=10)
        mask = random_mask(*sizes[:2], seed=13)
        assert_same(student(*args, mask), attention_with_either_mask(*args, mask))


def check_a_bias_is_added(student):
    """a bias is added to the scaled scores, and minus infinity in it hides"""
    for sizes in (SIZES, OTHER_SIZES):
        args = attention_inputs(sizes=sizes, seed=20)
        bias = gaussian(*sizes[:2], seed=23).masked_fill(~random_mask(*sizes[:2]), -math.inf)
        assert_same(student(*args, bias), attention_with_either_mask(*args, bias))


def check_a_bias_of_zeros_and_ones_is_a_bias(student):
    """a floating point mask of 0 and 1 is added, too"""
    args = attention_inputs(sizes=SIZES, seed=30)
    bias = random_mask(*SIZES[:2], seed=33).double()
    assert_same(student(*args, bias), attention_with_either_mask(*args, bias))


def check_survives_hidden_scores_far_above(student):
    """hidden scores thousands above the visible ones change nothing"""
    q, k, v = attention_inputs(sizes=SIZES, std=30.0, seed=40)
    heights = levels(SIZES[1], 9.0, -9.0, 0.0)
    q, k = q.abs(), k + 1000 * heights[:, None]
    mask = (heights < 9).expand(*SIZES[:2])
    assert_same(student(q, k, v, mask), attention_with_either_mask(q, k, v, mask))


def check_takes_leading_axes(student):
    """works for batch and head axes, with a mask for all or one each, and in float32"""
    for lead, shape in (((2, 3), (5, 37)), ((1,), (1, 37)), ((2, 3), (2, 1, 5, 37))):
        args = attention_inputs(*lead, sizes=SIZES, seed=50)
        mask = random_mask(5, 37, seed=53).expand(*shape[:-2], 5, 37)[..., : shape[-2], :]
        for given in (args, [x.float() for x in args]):
            bias = torch.zeros(mask.shape, dtype=given[0].dtype).masked_fill(~mask, -math.inf)
            for kind in (mask, bias):
                assert_same(student(*given, kind), attention_with_either_mask(*given, kind))


def check_has_the_right_gradient(student):
    """the gradients of q, k, v and of a bias are right"""
    args = attention_inputs(sizes=SIZES, seed=60)
    for mask in (random_mask(*SIZES[:2], seed=63), gaussian(*SIZES[:2], seed=64)):
        expected = gradients(attention_with_either_mask, *args, mask)
        assert_same(gradients(student, *args, mask), expected, "the gradient")


def wrong_boolean_added(q, k, v, mask):
    """You add True and False as 1 and 0: what should be hidden keeps its weight but for a factor
    of e. Ask for the dtype, and fill in minus infinity where a Boolean mask is False.
    """
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    scores = scores + mask.to(scores.dtype)
    return scores.softmax(dim=-1) @ v


stub = wrong_boolean_added


def wrong_everything_made_boolean(q, k, v, mask):
    """You make every mask Boolean. In a bias 0 means *seen* and minus infinity *hidden*, and made
    Boolean it says the opposite: add what is floating point.
    """
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    return scores.masked_fill(~mask.bool(), -math.inf).softmax(dim=-1) @ v


def wrong_boolean_inverted(q, k, v, mask):
    """You hide where the Boolean mask is True, which is the convention of `nn.MultiheadAttention`.
    Here True means that a query may attend: hide where it is False.
    """
    return attention_with_either_mask(q, k, v, ~mask if mask.dtype == torch.bool else mask)


def wrong_boolean_multiplied(q, k, v, mask):
    """You multiply the scores by a Boolean mask. A score of 0 is no hidden key, it has the weight
    that e to the power of 0 gives: fill in minus infinity.
    """
    if mask.dtype != torch.bool:
        return attention_with_either_mask(q, k, v, mask)
    return (q @ k.mT / math.sqrt(q.shape[-1]) * mask).softmax(dim=-1) @ v


def wrong_kind_guessed_from_the_numbers(q, k, v, mask):
    """You take a mask of 0 and 1 for a Boolean one, whatever its dtype. A bias may hold these
    numbers: only the dtype says of which kind a mask is.
    """
    guessed = mask.bool() if ((mask == 0) | (mask == 1)).all() else mask
    return attention_with_either_mask(q, k, v, guessed)


def wrong_bias_scaled(q, k, v, mask):
    """You divide the bias by the root of d together with the scores. It is added to scaled scores:
    divide first.
    """
    if mask.dtype == torch.bool:
        return attention_with_either_mask(q, k, v, mask)
    return ((q @ k.mT + mask) / math.sqrt(q.shape[-1])).softmax(dim=-1) @ v


def wrong_hidden_by_ten_thousand(q, k, v, mask):
    """You hide with a bias of -10,000. A hidden score that lies far above the others is still the
    largest: hide with minus infinity.
    """
    if mask.dtype == torch.bool:
        mask = (1 - mask.to(q.dtype)) * -10_000.0
    return attention_with_either_mask(q, k, v, mask)


def right_by_filling_in(q, k, v, mask):
    """minus infinity filled in where a Boolean mask is False"""
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    hide = mask.dtype == torch.bool
    scores = scores.masked_fill(~mask, -math.inf) if hide else scores + mask
    return scores.softmax(dim=-1) @ v


def right_by_pytorch(q, k, v, mask):
    """PyTorch's own function, which looks at the dtype, too"""
    return functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
