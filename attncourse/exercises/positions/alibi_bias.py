r"""# A penalty for distance

Build the bias that ALiBi adds to the scores: for each token between query and key a head takes off
a fixed amount, its slope. The slopes are a geometric sequence,

$$B_{i,\,q,\,j} = -\, 2^{-8 (i + 1) / h} \; |p_q - j| , \qquad p_q = q + m - n ,
\qquad i = 0, \dots, h - 1 .$$

- `h` heads, `n` queries and `m` keys are numbers, any from 1 on; the result is (h, n, m), in the
  default dtype, ready to be added to scores.
- The n queries are the **last** n of the m positions, as in `causal_mask`: the last query stands at
  the last key.
- Keys after the query have a distance like any other. To hide them is the mask's work.
"""

import math

import torch

from attncourse.core.positions import alibi_bias as solution
from attncourse.testing import assert_same, assert_that

difficulty, minutes = 2, 15
hints = (
    "Two parts: a table of distances (n, m), the same for all heads, and h slopes. For the "
    "distances give the last query the position m - 1, as you did in `causal_mask`.",
    "The slopes need two more axes behind them, `[:, None, None]`, to be multiplied with the table "
    "of distances.",
)


def check_matches_the_formula(student):
    """equals the formula, for fewer queries than keys"""
    for h, n, m in ((4, 5, 37), (3, 7, 11)):
        assert_same(student(h, n, m), _by_formula(h, n, m))


def check_has_the_slopes_of_the_paper(student):
    """eight heads have the slopes 1/2, 1/4 and so on down to 1/256"""
    bias = student(8, 5, 5)
    assert_same(bias[:, 4, 3], torch.tensor([-(2.0**-i) for i in range(1, 9)]), "minus the slopes")


def check_takes_any_number_of_heads(student):
    """numbers of heads that are no power of two follow the same formula"""
    for h in (1, 6, 12):
        assert_same(student(h, 2, 9), _by_formula(h, 2, 9), f"the bias of {h} heads")


def check_aligns_to_the_last_key(student):
    """the last query has distance 0 to the last key, and one query alone is the last"""
    for h, n, m in ((4, 1, 9), (2, 6, 1), (5, 8, 3)):
        bias = student(h, n, m)
        assert_that(
            (bias[:, -1, -1] == 0).all(), "the last query stands at the last key; yours does not."
        )
        assert_same(bias, _by_formula(h, n, m))


def check_agrees_with_the_whole_sequence(student):
    """the bias of the last n queries is the end of the bias of all of them"""
    whole = student(4, 11, 11)
    for n in (2, 7):
        assert_same(student(4, n, 11), whole[:, -n:], f"the bias of the last {n} of 11 queries")


def check_penalises_both_sides(student):
    """a key after the query is as far as one before, and none gets a bonus"""
    bias = student(3, 10, 10)
    assert_same(bias, bias.mT, "the bias with queries and keys exchanged")
    assert_that((bias <= 0).all(), "a bias must not be positive.")


def _by_formula(h, n, m):
    return torch.tensor(
        [
            [[-(2 ** (-8 * (i + 1) / h)) * abs(q + m - n - j) for j in range(m)] for q in range(n)]
            for i in range(h)
        ]
    )


def _slopes(h):
    return 2.0 ** (-8.0 * torch.arange(1, h + 1, dtype=torch.float64) / h)


def _away(n, m):
    return torch.arange(m - n, m)[:, None] - torch.arange(m)


def _bias(slopes, distance):
    return (-slopes[:, None, None] * distance).to(torch.get_default_dtype())


def wrong_top_left(h, n, m):
    """You counted queries from 0, so that the first query stands at the first key. The queries are
    the last n of m positions: add m - n.
    """
    away = torch.arange(n)[:, None] - torch.arange(m)
    return _bias(_slopes(h), away.abs())


def wrong_shift_the_other_way(h, n, m):
    """You moved the queries by n - m. It is m - n: the more keys there are, the further back the
    first of them is.
    """
    away = torch.arange(n)[:, None] + n - m - torch.arange(m)
    return _bias(_slopes(h), away.abs())


def wrong_slopes_from_one(h, n, m):
    """You began the slopes with 1. The first head has 2^(-8/h), the last 2^(-8): the exponent is
    i + 1, for heads counted from 0.
    """
    return _bias(_slopes(h) * 2.0 ** (8.0 / h), _away(n, m).abs())


def wrong_halved_for_each_head(h, n, m):
    """You halved the slope from head to head. That is right for eight heads only: the exponent is
    -8 (i + 1) / h.
    """
    return _bias(2.0 ** -torch.arange(1.0, h + 1, dtype=torch.float64), _away(n, m).abs())


def wrong_published_slopes(h, n, m):
    """You took the slopes of the paper's code, which go another way where h is no power of two.
    Here the same formula holds for any h.
    """
    return _bias(torch.tensor(_published(h), dtype=torch.float64), _away(n, m).abs())


def wrong_slopes_reversed(h, n, m):
    """You gave the first head the gentlest slope. It has the steepest, 2^(-8/h), and the last the
    gentlest.
    """
    return _bias(_slopes(h).flip(0), _away(n, m).abs())


def wrong_slopes_evenly_spaced(h, n, m):
    """You spaced the slopes evenly. They are a geometric sequence: each is the one before, times
    the same factor, so that some heads hardly mind the distance.
    """
    return _bias(torch.arange(h, 0, -1, dtype=torch.float64) / h, _away(n, m).abs())


def wrong_one_slope(h, n, m):
    """You gave all heads the same slope. Each has its own, 2^(-8 (i + 1) / h), so that some look
    near and some far.
    """
    return _bias(_slopes(h)[:1].expand(h), _away(n, m).abs())


def wrong_bonus(h, n, m):
    """You left out the minus sign, so that far keys get a bonus. Distance costs: the bias is
    negative.
    """
    return -_bias(_slopes(h), _away(n, m).abs())


def wrong_bonus_for_the_future(h, n, m):
    """You did not take the absolute value, so that keys after the query get a bonus. A distance has
    no sign.
    """
    return _bias(_slopes(h), _away(n, m))


def wrong_signed_from_the_key(h, n, m):
    """You subtracted the query's position from the key's and left the sign: the far past gets a
    bonus. A distance has no sign: take the absolute value.
    """
    return _bias(_slopes(h), -_away(n, m))


def wrong_future_at_no_cost(h, n, m):
    """You gave keys after the query a bias of 0. Their distance counts like any other: take the
    absolute value, do not cut at zero.
    """
    return _bias(_slopes(h), _away(n, m).clamp(min=0))


def wrong_future_hidden(h, n, m):
    """You put -inf on the keys after the query. Hiding is the mask's work: here they only cost
    their distance.
    """
    away = _away(n, m)
    return _bias(_slopes(h), away.abs()).masked_fill(away < 0, -math.inf)


def wrong_from_the_last_key(h, n, m):
    """You counted every query's distance from the last key, as published code does: under a causal
    mask a row of weights comes out the same. The bias itself starts at each query's own position.
    """
    return _bias(_slopes(h), torch.arange(m - 1, -1, -1).expand(n, m))


def wrong_one_place_short(h, n, m):
    """You put the last query at m - 2. It stands at the last key, m - 1, since keys count from 0:
    its distance to that key is 0.
    """
    away = _away(n, m) - 1
    return _bias(_slopes(h), away.abs())


def wrong_distance_squared(h, n, m):
    """You squared the distance. The penalty is linear: the same amount for each token."""
    return _bias(_slopes(h), _away(n, m).square())


def wrong_counted_from_one(h, n, m):
    """You counted a token's distance to itself as 1. It is 0, and softmax would not see the
    difference, but the bias is another.
    """
    return _bias(_slopes(h), _away(n, m).abs() + 1)


def wrong_heads_last(h, n, m):
    """You put the heads last. Scores are (h, n, m), and a bias must line up with them."""
    return _bias(_slopes(h), _away(n, m).abs()).movedim(0, -1).contiguous()


def wrong_float64_returned(h, n, m):
    """You returned float64. The bias has the default dtype: `.to(torch.get_default_dtype())`."""
    return _bias(_slopes(h), _away(n, m).abs()).double()


def _published(h):
    """The paper's code: the nearest power of two below, then every other slope of its double."""
    below = 2 ** math.floor(math.log2(h))
    slopes = [2 ** (-8 * (i + 1) / below) for i in range(below)]
    if below == h:
        return slopes
    return slopes + _published(2 * below)[0::2][: h - below]


def right_head_by_head(h, n, m):
    """three loops, over Python's own numbers"""
    bias = torch.zeros(h, n, m)
    for i in range(h):
        for query in range(n):
            for key in range(m):
                bias[i, query, key] = -abs(query + m - n - key) * 2 ** (-8 * (i + 1) / h)
    return bias


def right_by_powers_of_the_first(h, n, m):
    """the first slope, raised to 1, 2, 3 and so on"""
    first = 2.0 ** (-8.0 / h)
    distance = (torch.arange(m) - torch.arange(m - n, m)[:, None]).abs().float()
    return torch.stack([-(first ** (i + 1)) * distance for i in range(h)])


def right_from_the_end_of_the_square(h, n, m):
    """the last rows of the bias of a long enough square, its last columns"""
    size = max(n, m)
    positions = torch.arange(size)
    distance = (positions[:, None] - positions).abs()[size - n :, size - m :]
    return torch.einsum("h,nm->hnm", -_slopes(h), distance.double()).float()


shown = right_by_powers_of_the_first
