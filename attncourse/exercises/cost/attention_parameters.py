r"""# The parameters of attention

Count the numbers that the four projections hold. There are `h` query heads, and `g` heads of keys
and values: with g < h several query heads share one, which is *grouped-query* attention.

$$W_q\ (d,\ h c), \qquad W_k\ (d,\ g c), \qquad W_v\ (d,\ g c), \qquad W_o\ (h c,\ d),
\qquad c = \frac{d}{h} .$$

- `d` is the width of the tokens; `h` divides d, and `g` divides h. The result is an `int`.
- There are no biases. The attention itself, scores, softmax and sum, has no parameters.
"""

import torch

from attncourse.measure.analytic import attention_parameters as solution
from attncourse.testing import assert_same

difficulty, minutes = 1, 10
hints = (
    "How wide is one head? Then how wide are all query heads together, and all key heads?",
    "Two of the four matrices do not depend on g. The other two shrink with it.",
)


def check_counts_the_entries(student):
    """equals the number of entries of four such matrices"""
    for d, h, g in ((24, 6, 2), (40, 4, 4), (36, 12, 3)):
        each = d // h
        shapes = ((d, h * each), (d, g * each), (d, g * each), (h * each, d))
        counted = sum(torch.empty(*shape, device="meta").numel() for shape in shapes)
        assert_same(student(d, h=h, g=g), counted, f"the count for d = {d}, h = {h}, g = {g}")


def check_does_not_grow_with_the_heads(student):
    """as many key heads as query heads: how many there are does not matter"""
    for h in (1, 2, 8, 16):
        assert_same(student(512, h=h, g=h), 1_048_576, f"the count for d = 512, h = g = {h}")


def check_serves_one_shared_head(student):
    """all query heads share one head of keys and values"""
    for d, h, expected in ((512, 8, 589_824), (6, 3, 96), (7, 7, 112)):
        assert_same(student(d, h=h, g=1), expected, f"the count for d = {d}, h = {h}, g = 1")


def check_serves_real_models(student):
    """right for SmolLM2, Llama 2 70B and GPT-3"""
    for d, h, g, expected in (
        (576, 9, 3, 884_736),
        (8192, 64, 8, 150_994_944),
        (12_288, 96, 96, 603_979_776),
    ):
        assert_same(student(d, h=h, g=g), expected, f"the count for d = {d}, h = {h}, g = {g}")


def wrong_groups_ignored(d, *, h, g):
    """Your count does not depend on g, as if every query head had keys of its own. Keys and values
    have g heads, each d / h wide: make two of the matrices narrower.
    """
    return 4 * d**2


def wrong_times_the_heads(d, *, h, g):
    """You multiplied by the number of heads. Heads share the width d between them, so that each is
    d / h wide: many heads cost no more than one.
    """
    return h * (2 * d**2 + 2 * d * g * (d // h))


def wrong_heads_of_full_width(d, *, h, g):
    """You gave each head of keys and values the whole width d. A head is d / h wide: divide."""
    return 2 * d**2 + 2 * d**2 * g


def wrong_no_output_projection(d, *, h, g):
    """You counted three matrices. The heads' outputs go through a fourth, `w_o`: add its d^2."""
    return d**2 + 2 * d * g * (d // h)


def wrong_keys_shared_only(d, *, h, g):
    """You shared the keys and not the values. Both have g heads: make both matrices narrower."""
    return 3 * d**2 + d * g * (d // h)


def wrong_output_shared_too(d, *, h, g):
    """You made the output projection narrower as well. It takes the outputs of all h query heads:
    it stays (d, d).
    """
    return d**2 + 3 * d * g * (d // h)


def wrong_queries_shared_too(d, *, h, g):
    """You made all four matrices narrower. Queries keep their h heads and so does the output: only
    keys and values have g.
    """
    return 4 * d * g * (d // h)


def wrong_sharers_for_heads(d, *, h, g):
    """You took g for the number of query heads that share a key head. It is the number of key heads
    themselves: each of the g is d / h wide.
    """
    return 2 * d**2 + 2 * d * (h // g) * (d // h)


def wrong_biases_counted(d, *, h, g):
    """You counted biases. There are none here: count the entries of the four matrices."""
    wide = g * (d // h)
    return 2 * d**2 + 2 * d * wide + 2 * d + 2 * wide


def wrong_one_head_alone(d, *, h, g):
    """You counted the matrices of one head. There are h of queries and output, g of keys and
    values: add them up.
    """
    return 4 * d * (d // h)


def right_by_shape(d, *, h, g):
    """adds rows times columns, matrix by matrix"""
    each = d // h
    return sum(a * b for a, b in ((d, h * each), (d, g * each), (d, g * each), (h * each, d)))


def right_by_share(d, *, h, g):
    """two square matrices, and two of which a part g / h is there"""
    return 2 * d * d + 2 * d * d * g // h
