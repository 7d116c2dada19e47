r"""# A causal mask

Build the mask in which a query sees itself and what came before it, never the future.

- `n` queries and `m` keys are numbers; the result is a Boolean (n, m) tensor, True where a query
  *may attend*.
- The n queries are the **last** n of the m positions, as in decoding, where new queries follow
  keys that are already cached. So the last query sees every key:

$$M_{ij} = \text{True} \iff j \le i + m - n .$$

- For n > m the first n - m queries come before every key and see nothing.
"""

import math

import torch

from attncourse.core.masks import causal_mask as solution
from attncourse.testing import assert_same, assert_that

difficulty, minutes = 1, 10
hints = (
    "Give the last query the position m - 1. Which position does query i have, and which keys lie "
    "at or before it?",
    "Compare a column of query positions with a row of key positions, both made by `arange`; or "
    "cut a matrix of True with `tril`, which takes the number of the last diagonal to keep.",
)


def check_matches_the_rule_on_a_square(student):
    """as many queries as keys: query i sees the keys 0 to i"""
    for n in (6, 11):
        assert_same(student(n, n), _by_rule(n, n))


def check_aligns_to_the_last_key(student):
    """fewer queries than keys: the last query sees every key"""
    for n, m in ((5, 37), (8, 10)):
        mask = student(n, m)
        assert_that(mask[-1].all(), "the last query must see every key; yours does not.")
        assert_same(mask, _by_rule(n, m))


def check_leaves_early_queries_empty(student):
    """more queries than keys: the first ones see nothing"""
    for n, m in ((7, 4), (13, 3)):
        assert_same(student(n, m), _by_rule(n, m))


def check_serves_one_new_query(student):
    """one query after many keys sees all of them, one key is seen by the last query"""
    for n, m in ((1, 9), (6, 1), (1, 1)):
        assert_same(student(n, m), _by_rule(n, m))


def check_agrees_with_the_whole_sequence(student):
    """the mask of the last n queries is the end of the mask of all of them"""
    whole = student(11, 11)
    for n in (2, 8):
        assert_same(student(n, 11), whole[-n:], f"the mask of the last {n} of 11 queries")


def _by_rule(n, m):
    return torch.tensor([[j <= i + m - n for j in range(m)] for i in range(n)])


def _filled(n, m):
    return torch.ones(n, m, dtype=torch.bool)


def wrong_top_left(n, m):
    """You aligned the mask to the first key, so with more keys than queries the last query misses
    some. Its position is m - 1: shift the diagonal by m - n.
    """
    return _filled(n, m).tril()


def wrong_shift_the_other_way(n, m):
    """You shifted the diagonal by n - m. It is m - n: more keys than queries means that every query
    sees more.
    """
    return _filled(n, m).tril(n - m)


def wrong_strict(n, m):
    """You hid the query's own position. A query may attend to itself: use `<=`, not `<`."""
    return _filled(n, m).tril(m - n - 1)


def wrong_one_key_of_the_future(n, m):
    """You let each query see one key of the future. The last key it may see is its own position."""
    return _filled(n, m).tril(m - n + 1)


def wrong_inverted(n, m):
    """You marked the future with True. Here True means *may attend*; it is `nn.Transformer` where
    True means masked.
    """
    return _filled(n, m).triu(m - n + 1)


def wrong_inverted_top_left(n, m):
    """You marked the future with True, as `nn.Transformer` wants it, and aligned to the first key.
    Here True means *may attend*, and the last query sees every key.
    """
    return _filled(n, m).triu(1)


def wrong_past_hidden(n, m):
    """Your mask shows the future and hides the past. Keep what is on and below the diagonal."""
    return _filled(n, m).triu(m - n)


def wrong_transposed(n, m):
    """Your mask has a row for each key. Rows belong to queries, columns to keys: (n, m)."""
    return _filled(n, m).tril(m - n).mT


def wrong_square_of_queries(n, m):
    """You built an (n, n) mask. Keys may be more or fewer than queries: the columns are the m
    keys.
    """
    return _filled(n, n).tril()


def wrong_square_of_keys(n, m):
    """You built an (m, m) mask. Queries may be more or fewer than keys: the rows are the n
    queries.
    """
    return _filled(m, m).tril()


def wrong_last_rows_of_the_square(n, m):
    """You took the last n rows of the square mask of the keys, which has only m rows. More queries
    than keys are allowed: the first of them see nothing.
    """
    return _filled(m, m).tril()[-n:]


def wrong_everything_visible(n, m):
    """Your mask hides nothing. A query must not see the keys after its own position."""
    return _filled(n, m)


def wrong_numbers(n, m):
    """You returned ones and zeros as floating-point numbers. A mask is Boolean: start from
    `torch.ones(n, m, dtype=torch.bool)`.
    """
    return torch.ones(n, m).tril(m - n)


def wrong_integers(n, m):
    """You returned ones and zeros as integers. A mask is Boolean: a comparison gives one."""
    return torch.ones(n, m, dtype=torch.int64).tril(m - n)


def wrong_additive(n, m):
    """You returned the numbers to add to the scores, 0 and -inf. The mask itself is Boolean; the
    -inf comes later, where it is applied.
    """
    return torch.full((n, m), -math.inf).triu(m - n + 1)


def right_by_positions(n, m):
    """compares the positions of queries and keys"""
    return torch.arange(m) <= torch.arange(m - n, m)[:, None]


def right_by_rows(n, m):
    """a loop over the queries, each with its number of visible keys"""
    mask = torch.zeros(n, m, dtype=torch.bool)
    for i in range(n):
        mask[i, : max(0, i + 1 + m - n)] = True
    return mask


def right_by_the_end_of_the_square(n, m):
    """the last rows of a square mask, below empty rows where queries come first"""
    whole = torch.ones(m, m).triu(1) == 0
    empty = torch.zeros(max(0, n - m), m, dtype=torch.bool)
    return torch.cat([empty, whole[max(0, m - n) :]])
