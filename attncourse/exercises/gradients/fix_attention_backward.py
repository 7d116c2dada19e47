r"""# Mend a backward pass

This function computes the gradients of attention. Models were trained with it: the loss fell, a bit
more slowly than it should, and nobody asked why. In a stack of 30 layers the gradient at the lowest
one points somewhere else. Find the step, and mend it, so that again, with $W$ the weights and G the
incoming gradient,

$$\bar V = W^\top G, \qquad \bar S = \text{softmax, backwards, of } G\,V^\top, \qquad
\bar Q = \frac{\bar S K}{\sqrt d}, \qquad \bar K = \frac{\bar S^\top Q}{\sqrt d} .$$

- `q` is (..., n, d), `k` is (..., m, d), `v` is (..., m, e), `grad` is (..., n, e); the result is
  `(dq, dk, dv)`. Shapes and dtypes are right already, and stay so.
- No autograd inside.
"""

import math

import torch

from attncourse.exercises import Borrow, itself
from attncourse.exercises.gradients import attention_backward
from attncourse.mechanisms.exact.backward import attention_backward as solution

difficulty, minutes = 3, 25
hints = (
    "Compare the three results with autograd's for small inputs. One of them is right: which lines "
    "does it not need?",
    "Give it values that are all alike. Then the output does not depend on the weights at all, and "
    "queries and keys must get zeros. Which line does not know that the weights sum to one?",
)
forbidden = attention_backward.forbidden


def wrong_row_not_centred(q, k, v, grad):
    """Your way back through the softmax is weights times gradient. That forgets that the weights of
    a row sum to one: subtract the row's dot product of the two before you multiply.
    """
    root = math.sqrt(q.shape[-1])
    weights = torch.softmax(q @ k.mT / root, dim=-1)
    d_weights = grad @ v.mT
    d_scores = weights * d_weights
    return d_scores @ k / root, d_scores.mT @ q / root, weights.mT @ grad


stub = wrong_row_not_centred


def wrong_centred_after_the_product(q, k, v, grad):
    """You subtracted the row's dot product after the product with the weights, the same from each
    key. It comes off the gradient at the weights, before that is multiplied by them.
    """
    product = attention_backward._weights(q, k) * (grad @ v.mT)
    centred = product - product.sum(dim=-1, keepdim=True)
    return attention_backward._from_scores(q, k, v, grad, centred)


def wrong_centred_to_sum_to_zero(q, k, v, grad):
    """You took the plain mean off the products, so that each row sums to zero, as it should, and is
    wrong all the same. What comes off is each weight's own share of the dot product.
    """
    product = attention_backward._weights(q, k) * (grad @ v.mT)
    centred = product - product.mean(dim=-1, keepdim=True)
    return attention_backward._from_scores(q, k, v, grad, centred)


borrowed = (
    Borrow(
        attention_backward,
        itself,
        (
            "check_equals_autograd",
            "check_is_what_a_small_step_does",
            "check_takes_leading_axes",
            "check_survives_large_scores",
            "check_gives_zeros_where_the_weights_cannot_move",
            "check_can_be_differentiated",
            "check_keeps_the_dtype",
            "wrong_scale_forgotten",
            "wrong_scale_twice",
            "wrong_softmax_skipped",
            "wrong_each_weight_alone",
            "wrong_plain_mean_subtracted",
            "wrong_plain_sum_subtracted",
            "wrong_dot_product_added",
            "wrong_dot_product_over_the_queries",
            "wrong_dot_product_of_the_whole_matrix",
            "wrong_sign_of_the_queries_and_keys",
            "wrong_weights_without_gradient",
            "wrong_float64_returned",
            "right_by_einsum",
            "right_by_the_output",
            "right_by_scaled_queries",
        ),
    ),
)
