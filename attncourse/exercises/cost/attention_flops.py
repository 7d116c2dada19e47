r"""# Count an attention block

How many floating-point operations does a self-attention block take, projections included?

$$Q = X W_q, \quad K = X W_k, \quad V = X W_v, \qquad
Z = \mathrm{softmax}\!\left(\frac{Q K^\top}{\sqrt{d}}\right) V, \qquad Y = Z W_o .$$

- `n` tokens of width `d`: X is (n, d), each of the four weight matrices (d, d). The result is an
  `int`.
- A product of an (a, b) with a (b, c) matrix takes 2 *abc* FLOPs: a multiplication and an addition
  for each of its *abc* steps. Softmax, the scale and other element-wise work are not counted.
- Nothing is masked, and with several heads the answer is the same.
"""

import math

import torch

from attncourse.measure.analytic import attention_flops as solution
from attncourse.measure.cost import flops
from attncourse.testing import assert_same, gaussian

difficulty, minutes = 1, 10
hints = (
    "Write the shapes of all six products beneath each other: four with a weight matrix, two "
    "between tokens. What are a, b and c in each?",
    "The four are alike. Of the other two, the scores are (n, d) times (d, n); what is the shape "
    "of the weights, and what do they meet?",
)


def check_equals_the_count(student):
    """equals what is counted while a block runs"""
    for n, d in ((5, 8), (37, 6)):
        x, *w = (gaussian(*shape, seed=i) for i, shape in enumerate([(n, d), *[(d, d)] * 4]))
        assert_same(student(n, d), flops(_block, x, *w), f"the count for n = {n}, d = {d}")


def check_serves_one_token_and_width_one(student):
    """one token, and tokens of width one"""
    for n, d, expected in ((1, 1, 12), (1, 16, 2112), (16, 1, 1152)):
        assert_same(student(n, d), expected, f"the count for n = {n}, d = {d}")


def check_serves_long_and_wide_inputs(student):
    """a hundred thousand tokens, and the width of GPT-3"""
    assert_same(student(100_000, 576), 23_305_420_800_000, "the count for 100,000 tokens")
    assert_same(student(2048, 12_288), 2_680_059_592_704, "the count for n = 2048, d = 12288")


def check_is_exact(student):
    """exact to the last digit where a float is not"""
    expected = 78_735_100_466_181_699_405_252
    assert_same(student(10**9 + 7, 3**9), expected, "the count for n = 10**9 + 7, d = 3**9")


def _block(x, w_q, w_k, w_v, w_o):
    scores = (x @ w_q) @ (x @ w_k).mT / math.sqrt(x.shape[-1])
    return torch.softmax(scores, dim=-1) @ (x @ w_v) @ w_o


def wrong_pairs_only(n, d):
    """You counted scores and weighted sum, and no projections. They are four products with a (d, d)
    matrix, and for short inputs most of the work: add them.
    """
    return 4 * n**2 * d


def wrong_projections_only(n, d):
    """You counted the projections alone, so your count is linear in n. The quadratic part is
    missing: add the scores and the weighted sum.
    """
    return 8 * n * d**2


def wrong_multiply_adds(n, d):
    """You counted multiply-adds. Each is two operations, a multiplication and an addition: double
    your count.
    """
    return 4 * n * d**2 + 2 * n**2 * d


def wrong_scores_alone(n, d):
    """You counted half of the pairs: the scores without the weighted sum, or multiply-adds where
    two operations are meant. Scores and sum take 2 n^2 d each: count both.
    """
    return 8 * n * d**2 + 2 * n**2 * d


def wrong_no_output_projection(n, d):
    """You counted three projections. The output has one of its own, `w_o`: make it four."""
    return 6 * n * d**2 + 4 * n**2 * d


def wrong_one_projection(n, d):
    """You counted one projection. Queries, keys, values and output have one each: make it four."""
    return 2 * n * d**2 + 4 * n**2 * d


def wrong_a_step_for_each_score(n, d):
    """You counted n^2 steps for the scores and as many for the sum. Each score is a dot product of
    width d, and each weight meets a value of width d: multiply by d.
    """
    return 8 * n * d**2 + 4 * n**2


def wrong_softmax_counted(n, d):
    """You counted an operation for each entry that the softmax makes. Here only products of
    matrices count: leave element-wise work out.
    """
    return 8 * n * d**2 + 4 * n**2 * d + n**2


def wrong_visible_pairs(n, d):
    """You counted the pairs of a causal mask. Nothing is masked here, and a mask by itself saves no
    work: count all n^2 pairs.
    """
    return 8 * n * d**2 + 2 * n * (n + 1) * d


def wrong_letters_exchanged(n, d):
    """You exchanged n and d: the weight matrices are (d, d), the table of pairs is (n, n). Write
    the shapes of each product beneath each other.
    """
    return 8 * n**2 * d + 4 * n * d**2


def wrong_network_counted(n, d):
    """You counted a feed-forward network as well. That is the other half of a layer: leave its two
    products with (d, 4 d) matrices out.
    """
    return 24 * n * d**2 + 4 * n**2 * d


def wrong_training(n, d):
    """You counted the way back as well, which takes twice as much as the way forward. Here the
    block only runs: divide by three.
    """
    return 3 * (8 * n * d**2 + 4 * n**2 * d)


def right_product_by_product(n, d):
    """adds the six products, each by its three sizes"""
    products = [(n, d, d)] * 4 + [(n, d, n), (n, n, d)]
    return sum(2 * a * b * c for a, b, c in products)


def right_by_token(n, d):
    """what one token meets, times the tokens"""
    weights = 4 * d * d
    keys_and_values = n * d + n * d
    return n * 2 * (weights + keys_and_values)
