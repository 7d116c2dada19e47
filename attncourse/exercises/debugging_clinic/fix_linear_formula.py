r"""# Mend a linear attention that is not

Somewhere linearised attention was printed as $\mathrm{softmax}(Q K^\top) V$, and here it stands as
code. Somebody put it into a model "for long texts" and wondered: at twice the length it takes four
times the work. Compare it with attention, find what is linear in it, and mend it:

$$z_i = \frac{\sum_j \left(\phi(q_i) \cdot \phi(k_j)\right) v_j}{\sum_j \phi(q_i) \cdot \phi(k_j)},
\qquad \phi(x) = \mathrm{elu}(x) + 1 .$$

- `q` is (..., n, d), `k` is (..., m, d), `v` is (..., m, e); the result is (..., n, e), in the
  dtype of `v`, and its gradient is right. No scale.
- FLOPs and the largest tensor grow with the length and no faster.
"""

import torch

from attncourse.exercises import Borrow, itself
from attncourse.exercises.linear import linear_attention
from attncourse.mechanisms.linear.linear_transformer import linear_attention as solution

difficulty, minutes = 2, 15
hints = (
    "Count: `flops(f, q, k, v)` for 64 and for 128 tokens. Which tensor has n × m numbers?",
    "Without a function around it, a product of three matrices may be bracketed at will. What "
    "takes the place of the softmax, so that the second bracket can come first?",
)
forbidden = linear_attention.forbidden


def wrong_ordinary_attention(q, k, v):
    """You left the softmax: this is ordinary attention, not even scaled, and linear in the values
    alone. A softmax over keys holds the bracket shut: give each side features of its own.
    """
    scores = q @ k.mT
    weights = torch.softmax(scores, dim=-1)
    return weights @ v


stub = wrong_ordinary_attention


def wrong_two_softmaxes(q, k, v):
    """You took a softmax of queries and of keys and moved the bracket: cheap, and another mechanism
    than the one asked for. The features here are elu + 1, and a sum divides.
    """
    return torch.softmax(q, dim=-1) @ (torch.softmax(k, dim=-2).mT @ v)


shown = linear_attention.shown

borrowed = (
    Borrow(
        linear_attention,
        itself,
        (
            "check_equals_the_weighted_mean",
            "check_takes_leading_axes",
            "check_has_the_right_gradient",
            "check_keeps_the_dtype",
            "check_costs_grow_with_the_length",
            "wrong_all_weights",
            "wrong_no_features",
            "wrong_not_divided",
            "right_by_moving_the_bracket",
            "right_by_einsum",
        ),
    ),
)
