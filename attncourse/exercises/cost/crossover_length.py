r"""# Where the pairs overtake

A self-attention block of width d has two kinds of work. Projections are products with a weight
matrix; pairs are products between tokens. Short inputs pay for the first, long ones for the second.

$$\underbrace{X W_q,\; X W_k,\; X W_v,\; Z W_o}_{\text{projections}} \qquad
\underbrace{Q K^\top,\; W V}_{\text{pairs}}$$

- All four weight matrices are (d, d), and nothing is masked. `d` is at least 1.
- The result is the number n of tokens at which both kinds take the same number of FLOPs, an `int`.
"""

import functools

from attncourse.measure.analytic import crossover_length as solution
from attncourse.measure.cost import flops
from attncourse.testing import assert_same, gaussian

difficulty, minutes = 1, 10
hints = (
    "Both kinds grow with n, so one n falls out of the equation. How many numbers of the weight "
    "matrices does one token meet? How many numbers of keys and values?",
    "A token meets four matrices of d times d, and n keys and n values of width d.",
)


def check_makes_both_counts_equal(student):
    """at this length as much is counted for pairs as for projections"""
    for d in (5, 8):
        n = _length(d)
        assert_same(student(d), n, f"the length for d = {d}")


def check_serves_width_one(student):
    """tokens of width one"""
    assert_same(student(1), 2)


def check_serves_odd_widths(student):
    """odd widths, to the token"""
    for d, expected in ((7, 14), (333, 666)):
        assert_same(student(d), expected, f"the length for d = {d}")


def check_serves_real_models(student):
    """right for BERT-base and GPT-3"""
    assert_same(student(768), 1536, "the length for BERT-base, d = 768")
    assert_same(student(12_288), 24_576, "the length for GPT-3, d = 12288")


@functools.cache
def _length(d):
    """The first length at which the counted pairs reach the counted projections."""
    w = gaussian(d, d, seed=1)
    for n in range(1, 10 * d):
        x = gaussian(n, d)
        if flops(_pairs, x) >= 4 * flops(_projection, x, w):
            return n
    raise ValueError(f"the pairs never reach the projections at d = {d}")


def _projection(x, w):
    return x @ w


def _pairs(x):
    return (x @ x.mT) @ x


def wrong_the_width(d):
    """You found d. Either you counted two of the four projections, or a multiply-add as one
    operation in one part and as two in the other: write both counts beneath each other.
    """
    return d


def wrong_scores_alone(d):
    """You left half of the pairs out: the weighted sum, or what a causal mask hides, which is
    computed all the same. Count both products over all pairs.
    """
    return 4 * d


def wrong_no_output_projection(d):
    """You counted three projections. The output has one of its own: count four."""
    return 3 * d // 2


def wrong_one_projection(d):
    """You counted one projection. Queries, keys, values and output have one each: count four."""
    return d // 2


def wrong_with_the_network(d):
    """You set the pairs against a whole layer with its feed-forward network. Here only the four
    projections stand on the other side: leave the network out.
    """
    return 6 * d


def wrong_a_step_for_each_score(d):
    """You counted one step for each score and each weight. Both meet d numbers: multiply the pairs
    by d.
    """
    return 2 * d**2


def wrong_ratio_upside_down(d):
    """You solved for the number of tokens and turned the fraction over. The wider the tokens, the
    *later* pairs overtake: multiply, do not divide.
    """
    return max(1, d // 4)


def wrong_two_whatever_the_width(d):
    """Your length does not depend on d, but weight matrices grow with d squared and pairs with d:
    one d is left over.
    """
    return 2


def right_by_one_token(d):
    """what one token meets: weights on one side, keys and values on the other"""
    weights = 4 * d * d
    for_each_other_token = d + d
    return weights // for_each_other_token


def right_by_search(d):
    """the first n whose pairs cost as much"""
    return next(n for n in range(1, 8 * d) if 4 * n**2 * d >= 8 * n * d**2)
