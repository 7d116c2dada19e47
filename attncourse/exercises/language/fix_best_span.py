r"""# Mend a span that is second best

A reader has two scores for each token of a passage: how likely an answer starts there, and how
likely it ends there. This function is to return the likeliest answer: of all spans with

$$\mathrm{start} \le \mathrm{end} < \mathrm{start} + \mathrm{longest}$$

the one whose start logit and end logit have the largest sum. What it returns is a span, it is never
too long, and often enough it is the right one. Find an input on which another span has a larger
sum, and mend the function.

- `start_logits` and `end_logits` are (..., m), `longest` is a whole number, at least 1. The result
  is the pair `(start, end)`, each of whole numbers (...), places counted from 0, end included.
- Of several spans with the same sum it is the one that starts first, and of those the shortest.
- No gradient is asked for: places are whole numbers.
- A token that can be neither has the logits minus infinity; some token of each passage has others.
"""

import torch

from attncourse.models.reading import best_span as solution
from attncourse.testing import assert_same, assert_that, gaussian

difficulty, minutes = 2, 15
hints = (
    "Give a passage two good starts. After the better one no good end is near. What should come "
    "out?",
    "There are at most m times `longest` spans. A matrix of all sums has a row for each start and "
    "a column for each end; hide what is no span, and look for the largest of all entries.",
)
forbidden = ("best_span",)

SIZES = ((7, 3), (11, 4))  # m, longest


def check_five_tokens_by_hand(student):
    """five tokens by hand"""
    start = torch.tensor([0.0, 3.0, 0.0, 4.0, 0.0]).double()
    end = torch.tensor([0.0, 0.0, 5.0, -2.0, -1.0]).double()
    _assert_pair(student(start, end, longest=2), (torch.tensor(1), torch.tensor(2)))


def check_equals_the_search(student):
    """equals the search through all spans"""
    for seed, (m, longest) in enumerate(SIZES):
        args = gaussian(6, m, seed=10 * seed), gaussian(6, m, seed=10 * seed + 1)
        expected = right_span_by_span(*args, longest=longest)
        _assert_pair(student(*args, longest=longest), expected)


def check_every_length(student):
    """spans of one token, and a bound longer than the passage"""
    args = gaussian(5, 6, seed=30), gaussian(5, 6, seed=31)
    for longest in (1, 5, 6, 40):
        expected = right_span_by_span(*args, longest=longest)
        _assert_pair(student(*args, longest=longest), expected)


def check_takes_leading_axes(student):
    """many passages at once, or one of one token; no axis is lost"""
    for lead, m in (((), 8), ((1,), 8), ((2, 1, 3), 5), ((2,), 1)):
        args = gaussian(*lead, m, seed=40), gaussian(*lead, m, seed=41)
        _assert_pair(student(*args, longest=3), right_span_by_span(*args, longest=3))


def check_equal_sums(student):
    """of equal sums the one that starts first, then the shortest"""
    start = torch.tensor([[0.0, 2, 0, 2, 0, 0], [0, 0, 0, 0, 0, 0], [-1, 1, 0, 2, 0, 0]]).double()
    end = torch.tensor([[0.0, 1, 3, 0, 3, 3], [0, 0, 0, 0, 0, 0], [0, 0, 3, 0, 2, 2]]).double()
    _assert_pair(student(start, end, longest=3), right_span_by_span(start, end, longest=3))


def check_tokens_that_cannot_be(student):
    """padding and questions have minus infinity, and are no answer"""
    start, end = gaussian(4, 7, seed=50), gaussian(4, 7, seed=51)
    for x in (start, end):
        x[:, :2] = x[:, 5:] = -torch.inf
    _assert_pair(student(start, end, longest=2), right_span_by_span(start, end, longest=2))


def check_logits_of_any_size(student):
    """only sums count: large logits, or all negative ones, and float32"""
    start, end = gaussian(5, 6, seed=60), gaussian(5, 6, seed=61)
    for args in ((1000 * start, 1000 * end), (start - 50, end - 50), (start.float(), end.float())):
        _assert_pair(student(*args, longest=3), right_span_by_span(*args, longest=3))


def _assert_pair(actual, expected):
    whole = isinstance(actual, tuple) and len(actual) == 2
    assert_that(whole, "the result must be a pair: start and end.")
    for name, a, b in zip(("start", "end"), actual, expected):  # noqa: B905
        assert_same(a, b, f"the {name}")


def _allowed(m, shortest, longest):
    """Which pairs are spans of so many tokens, (m, m)."""
    length = torch.arange(m) - torch.arange(m)[:, None] + 1
    return (length >= shortest) & (length <= longest)


def _best(sums, allowed):
    """The first of the largest allowed entries, as a pair of places."""
    m = sums.shape[-1]
    best = sums.masked_fill(~allowed, -torch.inf).flatten(-2).argmax(dim=-1)
    return best // m, best % m


def _sums(start_logits, end_logits):
    return start_logits[..., :, None] + end_logits[..., None, :]


def wrong_start_first(start_logits, end_logits, *, longest):
    """You choose the best start first and then the best end for it. A start that is a little worse
    may have a much better end: compare the sums of all pairs.
    """
    start = start_logits.argmax(dim=-1)
    after = torch.arange(start_logits.shape[-1]) - start[..., None]
    reachable = (after >= 0) & (after < longest)
    return start, end_logits.masked_fill(~reachable, -torch.inf).argmax(dim=-1)


stub = wrong_start_first


def wrong_end_first(start_logits, end_logits, *, longest):
    """You choose the best end first and then the best start for it. An end that is a little worse
    may have a much better start: compare the sums of all pairs.
    """
    m = start_logits.shape[-1]
    end = end_logits.argmax(dim=-1)
    before = end[..., None] - torch.arange(m)
    reachable = (before >= 0) & (before < longest)
    return start_logits.masked_fill(~reachable, -torch.inf).argmax(dim=-1), end


def wrong_each_alone(start_logits, end_logits, *, longest):
    """You choose start and end each for itself, so that an answer may end before it starts. Look
    for the best pair among those that are spans.
    """
    return start_logits.argmax(dim=-1), end_logits.argmax(dim=-1)


def wrong_one_too_long(start_logits, end_logits, *, longest):
    """You allow one token too many. A span from start to end has end - start + 1 tokens: end has to
    be less than start + `longest`.
    """
    m = start_logits.shape[-1]
    return _best(_sums(start_logits, end_logits), _allowed(m, 1, longest + 1))


def wrong_one_too_short(start_logits, end_logits, *, longest):
    """You allow one token too few where `longest` is more than 1. A span from start to end has
    end - start + 1 tokens, and as many as `longest` are allowed.
    """
    m = start_logits.shape[-1]
    return _best(_sums(start_logits, end_logits), _allowed(m, 1, max(longest - 1, 1)))


def wrong_any_length(start_logits, end_logits, *, longest):
    """You do not look at `longest`. A start here and an end far away is no answer: hide what is
    longer.
    """
    m = start_logits.shape[-1]
    return _best(_sums(start_logits, end_logits), _allowed(m, 1, m))


def wrong_two_tokens_at_least(start_logits, end_logits, *, longest):
    """You leave out answers of one token. Start and end may be the same: start <= end."""
    m = start_logits.shape[-1]
    return _best(_sums(start_logits, end_logits), _allowed(m, min(2, longest, m), longest))


def wrong_product(start_logits, end_logits, *, longest):
    """You multiply the logits, and two bad ones make a good one. Probabilities are multiplied,
    their logarithms are added: take the sum.
    """
    m = start_logits.shape[-1]
    product = start_logits[..., :, None] * end_logits[..., None, :]
    return _best(product.nan_to_num(nan=-torch.inf), _allowed(m, 1, longest))


def wrong_probabilities_added(start_logits, end_logits, *, longest):
    """You add probabilities, so that a sure start is enough, whatever the end. They have to be
    multiplied, which is the sum of the logits.
    """
    m = start_logits.shape[-1]
    p, q = start_logits.softmax(dim=-1), end_logits.softmax(dim=-1)
    return _best(_sums(p, q), _allowed(m, 1, longest))


def wrong_last_of_equals(start_logits, end_logits, *, longest):
    """You take the last of several spans with the same sum. Take the one that starts first, and of
    those the shortest.
    """
    m = start_logits.shape[-1]
    sums = _sums(start_logits, end_logits).flip(-1, -2)
    start, end = _best(sums, _allowed(m, 1, longest).flip(-1, -2))
    return m - 1 - start, m - 1 - end


def wrong_pair_turned_round(start_logits, end_logits, *, longest):
    """You return the end first. The pair is (start, end): exchange the two."""
    return right_by_a_matrix(start_logits, end_logits, longest=longest)[::-1]


def right_by_a_matrix(start_logits, end_logits, *, longest):
    """all sums in a matrix, what is no span hidden"""
    m = start_logits.shape[-1]
    sums = start_logits[..., :, None] + end_logits[..., None, :]
    spans = torch.ones(m, m, dtype=torch.bool).triu().tril(longest - 1)
    best = sums.masked_fill(~spans, -torch.inf).flatten(-2).argmax(dim=-1)
    return best // m, best % m


def right_span_by_span(start_logits, end_logits, *, longest):
    """a list of all spans, the first of the best"""
    m = start_logits.shape[-1]
    places = [(i, j) for i in range(m) for j in range(i, min(i + longest, m))]
    sums = [start_logits[..., i] + end_logits[..., j] for i, j in places]
    best = torch.tensor(places)[torch.stack(sums, dim=-1).argmax(dim=-1)]
    return best[..., 0], best[..., 1]


def right_by_windows(start_logits, end_logits, *, longest):
    """for each start the best end within reach, then the best start"""
    m = start_logits.shape[-1]
    found = [end_logits[..., i : min(i + longest, m)].max(dim=-1, keepdim=True) for i in range(m)]
    heights = torch.cat([best.values for best in found], dim=-1)
    offsets = torch.cat([best.indices for best in found], dim=-1)
    start = (start_logits + heights).argmax(dim=-1)
    return start, start + offsets.gather(-1, start[..., None])[..., 0]


shown = right_by_a_matrix
