r"""# A mask with holes

Build the mask in which a query sees every `stride`-th key, counted from itself, before it and after
it:

$$M_{ij} = \text{True} \iff (i - j) \bmod \mathrm{stride} = 0 .$$

- `n`, the length, and `stride`, at least 1, are numbers; the result is a Boolean (n, n) tensor,
  True where a query *may attend*.
- A stride of 1 hides nothing. A stride that is longer than the text leaves a query itself.
- There is no window: however far away, every `stride`-th key is seen.
"""

import torch

from attncourse.core.patterns import dilated_mask as solution
from attncourse.testing import assert_same, assert_that

difficulty, minutes = 1, 10
hints = (
    "Which keys does query 4 see with a stride of 3? Write down a few rows, and look at what i and "
    "j have in common wherever there is a True.",
    "`%` works on whole tensors: on a table of distances, or on positions, of which those with the "
    "same remainder see each other.",
)


def check_matches_the_rule(student):
    """a query sees every `stride`-th key, counted from itself, on both sides"""
    for n, stride in ((7, 2), (11, 3), (12, 5)):
        assert_same(student(n, stride), _by_rule(n, stride))


def check_hides_the_neighbours(student):
    """the neighbours of a query are hidden, with a stride of 2 or more"""
    for n, stride in ((9, 2), (13, 4)):
        neighbours = student(n, stride).diagonal(1)
        assert_that(not neighbours.any(), "a query sees the key next to it, which is no multiple.")
        assert_same(student(n, stride), _by_rule(n, stride))


def check_a_stride_of_one_hides_nothing(student):
    """a stride of 1 hides nothing"""
    for n in (1, 6):
        assert_same(student(n, 1), torch.ones(n, n, dtype=torch.bool))


def check_takes_a_stride_longer_than_the_text(student):
    """a stride as long as the text, or longer, leaves each query itself"""
    for n, stride in ((5, 5), (6, 7), (4, 100)):
        assert_same(student(n, stride), torch.eye(n, dtype=torch.bool))


def _by_rule(n, stride):
    return torch.tensor([[(i - j) % stride == 0 for j in range(n)] for i in range(n)])


def _distance(n):
    return torch.arange(n)[:, None] - torch.arange(n)


def wrong_columns_for_all(n, stride):
    """You show every query the same keys, those at multiples of `stride`. Count from the query: it
    is i - j that is a multiple, not j.
    """
    return (torch.arange(n) % stride == 0).expand(n, n).clone()


def wrong_sum(n, stride):
    """You took the sum of the positions. It is their distance that counts: i - j, so that every
    query sees itself.
    """
    return (torch.arange(n)[:, None] + torch.arange(n)) % stride == 0


def wrong_blocks(n, stride):
    """You cut the text into blocks of `stride` neighbours. Here it is the remainder that two
    positions share, `%`, and not the quotient, `//`.
    """
    number = torch.arange(n) // stride
    return number[:, None] == number


def wrong_one_step(n, stride):
    """You show the keys that are one stride away, and no further ones. Two strides away, and three,
    are seen too: ask for the remainder.
    """
    return (_distance(n) == 0) | (_distance(n).abs() == stride)


def wrong_window_added(n, stride):
    """You added a window of neighbours, which makes it the strided pattern. The dilated one is the
    multiples alone.
    """
    return (_distance(n).abs() <= stride) | (_distance(n) % stride == 0)


def wrong_causal(n, stride):
    """You hide the keys that come later. This mask has both sides; where the future has to be
    hidden it is joined with `causal_mask` by `&`.
    """
    return (_distance(n) % stride == 0) & (_distance(n) >= 0)


def wrong_gaps_of_stride(n, stride):
    """You leave `stride` keys out between two that are seen. From one that is seen to the next it
    is `stride` steps, so that stride - 1 lie between them.
    """
    return _distance(n) % (stride + 1) == 0


def wrong_without_itself(n, stride):
    """You hide the query itself. A distance of 0 is a multiple of every stride."""
    return (_distance(n) % stride == 0) & (_distance(n) != 0)


def wrong_inverted(n, stride):
    """You marked with True what is to be hidden. Here True means *may attend*: keep the
    multiples.
    """
    return _distance(n) % stride != 0


def wrong_remainders(n, stride):
    """You returned the remainders themselves. A mask is Boolean: ask which of them are 0."""
    return _distance(n) % stride


def wrong_numbers(n, stride):
    """You returned ones and zeros. A mask is Boolean: leave the comparison as it is."""
    return (_distance(n) % stride == 0).float()


def right_by_distance(n, stride):
    """the remainder of the distance of each pair"""
    return (torch.arange(n)[:, None] - torch.arange(n)) % stride == 0


def right_by_classes(n, stride):
    """positions with the same remainder see each other"""
    residue = torch.arange(n) % stride
    return residue[:, None] == residue


def right_by_rows(n, stride):
    """a loop over the queries, each with a slice that has a step"""
    mask = torch.zeros(n, n, dtype=torch.bool)
    for i in range(n):
        mask[i, i % stride :: stride] = True
    return mask


shown = right_by_distance
