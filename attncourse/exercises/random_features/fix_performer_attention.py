r"""# Mend the stabiliser

This Performer never overflows, its weights are positive and sum to one, it costs what it should,
and a colleague has trained with it. Yet with more and more directions it does not come nearer to
softmax attention. Find out which keys it favours, and mend it:

$$o_i = \frac{\sum_j \left(\phi(q_i) \cdot \phi(k_j)\right) v_j}{\sum_j \phi(q_i) \cdot \phi(k_j)},
\qquad \phi(x)_l = \exp\left(w_l \cdot y - \frac{|y|^2}{2}\right), \quad y = \frac{x}{d^{1/4}} .$$

- `q` is (..., n, d), `k` is (..., m, d), `v` is (..., m, e), `w` is (r, d); the result is
  (..., n, e). Shapes, dtype, scale and cost are right already, and stay so.
- Long vectors stay safe, and nothing is added to the sum of the weights.
"""

from attncourse.exercises import Borrow, itself
from attncourse.exercises.random_features import performer_attention
from attncourse.mechanisms.linear.performer import performer_attention as solution

difficulty, minutes = 3, 15
hints = (
    "Take a query of zeros and two keys, one of zeros and one of length 3, and directions enough. "
    "Softmax weighs both alike. What does this function do, and which number made the difference?",
    "Three numbers are taken out of exponents here. One of them belongs to a query and cancels in "
    "the quotient. For which set of keys must another be the same number, to cancel as well?",
)
forbidden = performer_attention.forbidden


def wrong_each_key_by_its_own_largest(q, k, v, w):
    """You let each key be divided by its own largest feature. That factor does not cancel: every
    key is weighed anew. What is subtracted must be the same number for all keys.
    """

    def features(x):
        y = x / x.shape[-1] ** 0.25
        exponents = y @ w.mT - y.square().sum(dim=-1, keepdim=True) / 2
        return (exponents - exponents.amax(dim=-1, keepdim=True)).exp()

    of_queries = features(q)
    of_keys = features(k)
    above = of_queries @ (of_keys.mT @ v)
    below = of_queries @ of_keys.sum(dim=-2, keepdim=True).mT
    return above / below


stub = wrong_each_key_by_its_own_largest
shown = performer_attention.shown


borrowed = (
    Borrow(
        performer_attention,
        itself,
        (
            "check_equals_the_weighted_mean",
            "check_takes_leading_axes",
            "check_long_queries_are_weighed_right",
            "check_long_keys_are_weighed_right",
            "check_keys_of_different_lengths_are_weighed_right",
            "check_has_the_right_gradient",
            "check_keeps_the_dtype",
            "check_costs_grow_with_the_length",
            "wrong_all_weights",
            "wrong_exact_attention",
            "wrong_each_feature_by_its_own_largest",
            "wrong_nothing_taken_out",
            "wrong_only_the_queries_made_safe",
            "wrong_only_the_keys_made_safe",
            "wrong_a_little_added",
            "wrong_length_of_keys_forgotten",
            "right_by_a_common_largest",
            "right_by_a_largest_of_each_feature",
            "right_by_a_column_of_ones",
        ),
    ),
)
