r"""# Find the heads that copy

A text says *Mrs Dursley* once. Later it says *Mrs*, and a head that looks at what came behind *Mrs*
last time can propose *Dursley*. Such a head is found by its map, on any text in which tokens come
twice. Measure how much weight it gives to these keys.

Query i has key j + 1 as such a key if j < i and `tokens[j] == tokens[i]`. Sum its weights on all
keys of that kind. The score is the mean of these sums over the queries that have at least one such
key.

- `maps` is (..., n, n): the weights of any number of heads, a row for each query. `tokens` (n,)
  holds integers.
- The result is (...), in the dtype of `maps`: one number for each head. Where no token comes twice
  it is 0.
"""

import torch

from attncourse.measure.roles import induction_score as solution
from attncourse.testing import assert_same, gaussian, gradients

difficulty, minutes = 3, 20
hints = (
    "Make a Boolean matrix (n, n) first: does token j equal token i, and is it earlier? That is a "
    "comparison of a column with a row, and a triangle.",
    "The keys that you want stand one column to the right of those. A query counts if its row has "
    "at least one; divide by the number of such rows.",
)
forbidden = ("induction_score",)

TEXTS = (
    (3, 1, 4, 3, 1, 4, 3),
    (7, 7, 2, 7, 5),
    (0, 1, 2, 0, 3, 1, 0, 2, 9),
)


def check_a_copy_by_hand(student):
    """a sentence with one word twice, by hand"""
    tokens = torch.tensor([5, 8, 6, 5])  # the last token has seen what follows a 5: key 1
    maps = torch.zeros(2, 4, 4).double()
    maps[0, 3], maps[1, 3] = _row(0.1, 0.6, 0.2, 0.1), _row(0.0, 0.0, 0.0, 1.0)
    maps[:, :3, 0] = 1.0
    assert_same(student(maps, tokens), _row(0.6, 0.0), "the scores")


def check_perfect_copying(student):
    """a head that does nothing else has 1"""
    tokens = torch.tensor([4, 9, 2, 4, 9, 2])
    maps = torch.zeros(6, 6).double()
    maps[:3, 0] = 1.0
    for i in range(3, 6):
        maps[i, i - 2] = 1.0
    assert_same(student(maps, tokens), torch.tensor(1.0).double(), "the score")


def check_equals_the_loop(student):
    """equals the loop over pairs, also where a token comes three times or twice in a row"""
    for seed, text in enumerate(TEXTS):
        args = _maps(3, len(text), seed=seed), torch.tensor(text)
        assert_same(student(*args), right_by_pairs(*args))


def check_only_queries_that_can(student):
    """only queries that have such a key count for the mean"""
    text = (1, 2, 3, 4, 5, 6, 1)
    args = _maps(2, 7, seed=20), torch.tensor(text)
    assert_same(student(*args), args[0][:, 6, 1], "the scores where one query has such a key")


def check_no_token_twice(student):
    """0 where no token comes twice"""
    for text in ((8, 1, 6, 0, 3), (7,)):
        found = student(_maps(4, len(text), seed=30), torch.tensor(text))
        assert_same(found, torch.zeros(4).double(), f"the scores of {len(text)} tokens")


def check_takes_leading_axes(student):
    """one head or many layers of heads at once"""
    for lead in ((), (1,), (3, 2), (2, 1, 4)):
        args = _maps(*lead, 7, seed=40), torch.tensor(TEXTS[0])
        assert_same(student(*args), right_by_pairs(*args))


def check_keeps_the_dtype(student):
    """float32 maps give float32"""
    args = _maps(3, 5, seed=50).float(), torch.tensor(TEXTS[1])
    assert_same(student(*args), right_by_pairs(*args))


def check_has_the_right_gradient(student):
    """the gradient of the maps is right"""
    maps, tokens = _maps(2, 9, seed=60), torch.tensor(TEXTS[2])
    expected = gradients(right_by_pairs, maps, tokens)
    assert_same(gradients(student, maps, tokens), expected, "the gradient")


def _row(*numbers):
    return torch.tensor(numbers).double()


def _maps(*sizes, seed):
    """Weights (..., n, n), not causal, so that a key on the wrong side shows."""
    return torch.softmax(gaussian(*sizes, sizes[-1], seed=seed), dim=-1)


def _same(tokens):
    """Which tokens (n, n) are the same and earlier."""
    return (tokens[:, None] == tokens).tril(-1)


def _scored(maps, keys):
    """The mean, over queries with a key, of the weights on the keys."""
    total = (maps * keys).sum(dim=(-1, -2))
    return total / keys.any(dim=-1).sum().clamp(min=1)


def wrong_the_copy_itself(maps, tokens):
    """You score the weight on the earlier copy itself. An induction head looks at what came
    *behind* it: one column further to the right.
    """
    return _scored(maps, _same(tokens))


def wrong_one_to_the_left(maps, tokens):
    """You score the key before the earlier copy. What came next last time is the key behind it, one
    column to the right.
    """
    keys = torch.zeros_like(_same(tokens))
    keys[:, :-1] = _same(tokens)[:, 1:]
    return _scored(maps, keys)


def wrong_later_copies_too(maps, tokens):
    """You also count copies that come later than the query. Only what has been read can be copied:
    take j < i.
    """
    same = tokens[:, None] == tokens
    same = same & ~torch.eye(len(tokens), dtype=torch.bool)
    keys = torch.zeros_like(same)
    keys[:, 1:] = same[:, :-1]
    return _scored(maps, keys)


def wrong_itself_as_a_copy(maps, tokens):
    """You count a token as an earlier copy of itself, so that the key right behind each query
    counts. A copy has to be earlier: j < i.
    """
    same = (tokens[:, None] == tokens).tril()
    keys = torch.zeros_like(same)
    keys[:, 1:] = same[:, :-1]
    return _scored(maps, keys)


def wrong_mean_over_all_queries(maps, tokens):
    """You divide by the number of all queries. Those whose token is new have nothing to copy: take
    the mean over the queries that have such a key.
    """
    return right_by_a_shift(maps, tokens) * _follows(tokens).any(dim=-1).sum() / len(tokens)


def wrong_mean_over_keys(maps, tokens):
    """You divide by the number of keys, so that a query with two such keys counts twice. Sum them,
    and divide by the number of queries.
    """
    keys = _follows(tokens)
    return (maps * keys).sum(dim=(-1, -2)) / keys.sum().clamp(min=1)


def wrong_sum_for_the_mean(maps, tokens):
    """You add up what all queries give, so that a long text scores more than a short one. Divide by
    the number of queries that have such a key.
    """
    return (maps * _follows(tokens)).sum(dim=(-1, -2))


def wrong_latest_copy_alone(maps, tokens):
    """You look at the latest copy alone. A token may come more than twice: sum the weights on what
    follows each of its copies.
    """
    keys = _follows(tokens)
    last = torch.zeros_like(keys)
    for i in range(len(tokens)):
        if keys[i].any():
            last[i, keys[i].nonzero().max()] = True
    return _scored(maps, last)


def wrong_columns_for_rows(maps, tokens):
    """You read the maps by columns. A row is a query, and its entries are the weights on the keys:
    exchange the two.
    """
    return right_by_a_shift(maps.mT, tokens)


def wrong_nothing_twice_is_nan(maps, tokens):
    """You divide by zero where no token comes twice. The score is 0 there: let the divisor be at
    least 1.
    """
    keys = _follows(tokens)
    return (maps * keys).sum(dim=(-1, -2)) / keys.any(dim=-1).sum()


def wrong_one_number_for_all_heads(maps, tokens):
    """You return one number for all heads together. Sum over queries and keys, the last two axes,
    and leave the others.
    """
    return right_by_a_shift(maps, tokens).mean()


def _follows(tokens):
    keys = torch.zeros_like(_same(tokens))
    keys[:, 1:] = _same(tokens)[:, :-1]
    return keys


def right_by_a_shift(maps, tokens):
    """the earlier copies, one column to the right"""
    earlier = (tokens[:, None] == tokens).tril(-1)
    keys = torch.zeros_like(earlier)
    keys[:, 1:] = earlier[:, :-1]
    queries = keys.any(dim=-1).sum()
    return (maps * keys).sum(dim=(-1, -2)) / queries.clamp(min=1)


def right_by_pairs(maps, tokens):
    """a loop over queries and keys"""
    found, count = torch.zeros_like(maps[..., 0, 0]), 0
    words = tokens.tolist()
    for i in range(len(words)):
        keys = [j + 1 for j in range(i) if words[j] == words[i]]
        if keys:
            found, count = found + maps[..., i, keys].sum(dim=-1), count + 1
    return found / max(count, 1)


def right_by_rolling(maps, tokens):
    """the keys before them, compared with each query"""
    before = tokens.roll(1)
    keys = (tokens[:, None] == before).tril()
    keys[:, 0] = False
    rows = (maps * keys.to(maps.dtype)).sum(dim=-1)
    return rows.sum(dim=-1) / max(int(keys.any(dim=-1).sum()), 1)


shown = right_by_a_shift
