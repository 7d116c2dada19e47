r"""# A window and global tokens

Build the mask of Longformer: a sliding window, and a few global tokens that see everyone and are
seen by everyone,

$$M_{ij} = \text{True} \iff |i - j| \le \mathrm{window} \quad
\text{or } \ i \in G \ \text{ or } \ j \in G .$$

- `n`, the length, and `window` are numbers; `global_tokens`, the set G, is a list or a tuple of
  positions from 0 to n - 1, in any order, and may be empty. The result is a Boolean (n, n) tensor,
  True where a query *may attend*.
- `window` counts one side, as in your `sliding_window_mask`, which you may use.
"""

import torch

from attncourse.core.patterns import longformer_mask as solution
from attncourse.core.patterns import sliding_window_mask
from attncourse.testing import assert_same, assert_that

difficulty, minutes = 2, 15
hints = (
    "Three rules join by *or*: near enough, the query is global, the key is global. What does a "
    "global query look like in the matrix, what a global key?",
    "A global key fills its column and a global query fills its row. Begin with the window, and "
    "set rows and columns of the positions to True; or make one Boolean vector of length n.",
)


def check_matches_the_rule(student):
    """a window, and positions that see everyone and are seen by everyone"""
    for n, window, positions in ((9, 1, [4]), (13, 2, [0, 7]), (11, 0, [10, 3])):
        assert_same(student(n, window, positions), _by_rule(n, window, positions))


def check_global_tokens_see_everyone(student):
    """a global token sees all keys, and all queries see it"""
    for n, position in ((8, 6), (10, 0)):
        mask = student(n, 1, [position])
        assert_that(mask[position].all(), "the global token must see all keys; yours does not.")
        assert_that(mask[:, position].all(), "all queries must see the global token; here not all.")
        assert_same(mask, _by_rule(n, 1, [position]))


def check_takes_any_number_of_global_tokens(student):
    """no global token leaves the window, and all of them hide nothing"""
    for n, window in ((7, 2), (10, 1)):
        assert_same(student(n, window, []), sliding_window_mask(n, window))
        assert_same(student(n, window, list(range(n))), torch.ones(n, n, dtype=torch.bool))


def check_takes_a_tuple_in_any_order(student):
    """the positions may be a tuple, in any order, one of them named twice"""
    for positions in ((6, 2), (2, 6), (6, 2, 6)):
        assert_same(student(9, 1, positions), _by_rule(9, 1, (2, 6)))


def check_takes_any_window(student):
    """a window of 0, one that is longer than the text, and a text of one token"""
    for n, window, positions in ((6, 0, [2]), (5, 9, [1]), (1, 0, [0]), (1, 2, [])):
        assert_same(student(n, window, positions), _by_rule(n, window, positions))


def _by_rule(n, window, positions):
    return torch.tensor(
        [
            [abs(i - j) <= window or i in positions or j in positions for j in range(n)]
            for i in range(n)
        ]
    )


def _everyone(n, positions):
    everyone = torch.zeros(n, dtype=torch.bool)
    everyone[list(positions)] = True
    return everyone


def wrong_seen_but_blind(n, window, global_tokens):
    """Your global tokens are seen by everyone, but see their own window alone. Fill their rows as
    well as their columns.
    """
    return sliding_window_mask(n, window) | _everyone(n, global_tokens)


def wrong_seeing_but_hidden(n, window, global_tokens):
    """Your global tokens see everyone, but are seen in their own window alone. Fill their columns
    as well as their rows.
    """
    return sliding_window_mask(n, window) | _everyone(n, global_tokens)[:, None]


def wrong_among_themselves(n, window, global_tokens):
    """You let the global tokens see each other alone. One of the two suffices: *or*, where you have
    *and*.
    """
    everyone = _everyone(n, global_tokens)
    return sliding_window_mask(n, window) | (everyone & everyone[:, None])


def wrong_window_lost(n, window, global_tokens):
    """Your mask has the global tokens and no window. Join both by `|`."""
    everyone = _everyone(n, global_tokens)
    return everyone | everyone[:, None]


def wrong_both_needed(n, window, global_tokens):
    """You joined window and global tokens by *and*, so that almost nothing is left. Who is near may
    be seen, and who is global may be seen: `|`.
    """
    everyone = _everyone(n, global_tokens)
    return sliding_window_mask(n, window) & (everyone | everyone[:, None])


def wrong_first_tokens(n, window, global_tokens):
    """You made the first tokens global, as many as there are positions. The positions say which
    ones: use them as an index.
    """
    everyone = torch.arange(n) < len(global_tokens)
    return sliding_window_mask(n, window) | everyone | everyone[:, None]


def wrong_first_position_only(n, window, global_tokens):
    """You made one position global, the first of the list. Each of them is: index with the whole
    list.
    """
    everyone = _everyone(n, list(global_tokens)[:1])
    return sliding_window_mask(n, window) | everyone | everyone[:, None]


def wrong_both_sides_together(n, window, global_tokens):
    """You gave half of `window` to each side, as the paper counts. Here it counts one side, as in
    `sliding_window_mask`.
    """
    everyone = _everyone(n, global_tokens)
    return sliding_window_mask(n, window // 2) | everyone | everyone[:, None]


def wrong_causal_window(n, window, global_tokens):
    """Your window has the keys before the query and none after it. Longformer reads both ways."""
    everyone = _everyone(n, global_tokens)
    return sliding_window_mask(n, window, causal=True) | everyone | everyone[:, None]


def wrong_global_windows(n, window, global_tokens):
    """You show everyone the neighbours of the global tokens too. Global are the positions
    themselves, not their windows.
    """
    near = sliding_window_mask(n, window)
    everyone = near[list(global_tokens)].any(dim=0) if len(global_tokens) else near[0] & False
    return near | everyone | everyone[:, None]


def wrong_inverted(n, window, global_tokens):
    """You marked the hidden pairs with True. Here True means *may attend*: leave out the last
    negation.
    """
    everyone = _everyone(n, global_tokens)
    return ~(sliding_window_mask(n, window) | everyone | everyone[:, None])


def wrong_numbers(n, window, global_tokens):
    """You returned a matrix of ones and zeros, which adds where rules meet. A mask is Boolean:
    begin with `dtype=torch.bool`.
    """
    return solution(n, window, global_tokens).float()


def right_by_rows_and_columns(n, window, global_tokens):
    """fills rows and columns of the window's mask"""
    mask = (torch.arange(n)[:, None] - torch.arange(n)).abs() <= window
    for position in global_tokens:
        mask[position] = True
        mask[:, position] = True
    return mask


def right_by_one_vector(n, window, global_tokens):
    """a Boolean vector, once as a row and once as a column"""
    everyone = torch.tensor([i in global_tokens for i in range(n)])
    near = torch.ones(n, n, dtype=torch.bool).tril(window).triu(-window)
    return near | everyone[None] | everyone[:, None]


def right_pair_by_pair(n, window, global_tokens):
    """the rule for each pair"""
    mask = torch.zeros(n, n, dtype=torch.bool)
    for i in range(n):
        for j in range(n):
            mask[i, j] = abs(i - j) <= window or i in global_tokens or j in global_tokens
    return mask


shown = right_by_rows_and_columns
