r"""# A padding mask

Sequences of different lengths share a batch because the short ones are filled up at the end.
Build the mask that hides the filling from every query,

$$M_j = \text{True} \iff j < \mathrm{length} .$$

- `lengths` is an integer tensor (...) with the number of real tokens of each sequence, from 0 to
  `m`; `m` is the number of key positions.
- The result is Boolean and (..., 1, m): True means *may attend*, and the axis of length one stands
  for the queries, so that the mask broadcasts against scores (..., n, m).
"""

import torch

from attncourse.core.masks import padding_mask as solution
from attncourse.testing import assert_same, assert_that, gaussian

difficulty, minutes = 1, 15
hints = (
    "Compare the key positions 0, 1, ..., m - 1 with the lengths; broadcasting makes one row for "
    "each sequence.",
    "`lengths[..., None, None]` has room for the queries and for the keys. Which comparison with "
    "`torch.arange(m)` leaves exactly `length` positions?",
)


def check_hides_the_padding(student):
    """each sequence shows as many positions as it has tokens, the first ones"""
    for lengths, m in ((torch.tensor([7, 3, 1, 6]), 9), (torch.tensor([2, 11, 12, 5, 8]), 13)):
        assert_same(student(lengths, m), _by_rule(lengths, m))


def check_takes_empty_and_full_sequences(student):
    """length 0 hides everything, length m nothing"""
    for lengths, m in (
        (torch.tensor([0, 9, 4]), 9),
        (torch.tensor([0, 0]), 5),
        (torch.tensor([1, 0]), 1),
    ):
        assert_same(student(lengths, m), _by_rule(lengths, m))


def check_takes_any_leading_axes(student):
    """works for one length alone, for any number of axes, those of length one too"""
    for numbers in (5, [[2, 8, 1], [4, 5, 7]], [6], [[3], [7], [5], [2]]):
        lengths = torch.tensor(numbers)
        assert_same(student(lengths, 8), _by_rule(lengths, 8))


def check_takes_any_integers(student):
    """the lengths may be int32"""
    lengths = torch.tensor([4, 7, 1], dtype=torch.int32)
    assert_same(student(lengths, 8), _by_rule(lengths, 8))


def check_broadcasts_against_scores(student):
    """hides the padding of its own sequence, also when there are as many queries as sequences"""
    lengths, scores = torch.tensor([4, 9, 2, 7, 11]), gaussian(5, 5, 11)
    hidden = student(lengths, 11) & torch.ones_like(scores, dtype=torch.bool)
    assert_that(hidden.shape == scores.shape, "the mask must broadcast to (batch, queries, keys).")
    counts = hidden.sum(dim=-1)
    assert_same(counts, lengths[:, None].expand(5, 5), "the number of keys that each query sees")


def _by_rule(lengths, m):
    rows = [[[j < length for j in range(m)]] for length in lengths.flatten().tolist()]
    return torch.tensor(rows).reshape(*lengths.shape, 1, m)


def _positions(m):
    return torch.arange(m)


def wrong_inverted(lengths, m):
    """You marked the padding with True. Here True means *may attend*; it is the
    `key_padding_mask` of `nn.MultiheadAttention` where True means masked.
    """
    return _positions(m) >= lengths[..., None, None]


def wrong_one_position_too_many(lengths, m):
    """You used `<=`, so that each sequence shows one position of padding. Positions count from 0:
    the last real one is length - 1.
    """
    return _positions(m) <= lengths[..., None, None]


def wrong_one_position_too_few(lengths, m):
    """You hid the last real token of each sequence. Positions count from 0, so all positions below
    the length are real.
    """
    return _positions(m) < lengths[..., None, None] - 1


def wrong_no_axis_for_queries(lengths, m):
    """Your mask has no axis for the queries. Against scores (batch, n, m) it would be read as
    (n, m) and hide the padding of the wrong sequences: insert an axis in front of m.
    """
    return _positions(m) < lengths[..., None]


def wrong_axis_for_queries_last(lengths, m):
    """Your axis of length one stands after the keys. The mask then hides queries instead of keys:
    put it in front of m.
    """
    return (_positions(m) < lengths[..., None])[..., None]


def wrong_axis_in_front_of_the_batch(lengths, m):
    """Your axis of length one stands in front of the batch. Queries come between batch and keys:
    (..., 1, m).
    """
    return (_positions(m) < lengths[..., None])[None]


def wrong_axis_at_place_one(lengths, m):
    """You inserted the axis at place 1 from the left, which is right for one batch axis only. Count
    from the right: `unsqueeze(-2)`.
    """
    return (_positions(m) < lengths[..., None]).unsqueeze(1)


def wrong_axes_counted_from_the_left(lengths, m):
    """You indexed the lengths as if they had exactly one axis. They may have several or none: count
    from the right, `lengths[..., None, None]`.
    """
    return _positions(m) < lengths[:, None, None]


def wrong_queries_hidden_too(lengths, m):
    """You hid the padded queries as well, so that they may attend to nothing. Only keys need the
    mask: what padded queries compute is never used.
    """
    real = _positions(m) < lengths[..., None]
    return real[..., :, None] & real[..., None, :]


def wrong_filled_from_the_left(lengths, m):
    """You hid positions at the beginning. Here the sequences are filled up at the end."""
    return _positions(m) >= m - lengths[..., None, None]


def wrong_only_the_last_token(lengths, m):
    """You compared with `==`, which leaves a single position or none. All positions below the
    length are real.
    """
    return _positions(m) == lengths[..., None, None] - 1


def wrong_longest_for_all(lengths, m):
    """You used the longest length for every sequence. Each has its own."""
    return (_positions(m) < lengths.max()).expand(*lengths.shape, 1, m)


def wrong_cut_to_the_longest(lengths, m):
    """Your mask ends at the longest sequence. The keys are m positions, whether or not a sequence
    reaches that far.
    """
    return _positions(int(lengths.max())) < lengths[..., None, None]


def wrong_numbers(lengths, m):
    """You returned ones and zeros as floating-point numbers. A mask is Boolean: a comparison gives
    one, keep it.
    """
    return (_positions(m) < lengths[..., None, None]).float()


def wrong_integers(lengths, m):
    """You returned ones and zeros as integers. A mask is Boolean: a comparison gives one, keep
    it.
    """
    return (_positions(m) < lengths[..., None, None]).long()


def wrong_loop_over_one_axis(lengths, m):
    """You looped over the first axis of the lengths. They may have several axes or none: let
    broadcasting do the comparison.
    """
    return torch.stack([_positions(m) < length for length in lengths])[:, None, :]


def right_by_rows_of_a_triangle(lengths, m):
    """picks the row of a lower triangle that has as many entries as the sequence"""
    triangle = torch.ones(m + 1, m, dtype=torch.bool).tril(-1)
    return triangle[lengths].unsqueeze(-2)


def right_by_sequences(lengths, m):
    """a loop over the sequences"""
    mask = torch.zeros(lengths.numel(), 1, m, dtype=torch.bool)
    for row, length in zip(mask, lengths.flatten().tolist(), strict=True):
        row[:, :length] = True
    return mask.reshape(*lengths.shape, 1, m)


def right_by_counting(lengths, m):
    """counts positions from one, and turns the comparison round"""
    count = torch.ones(*lengths.shape, 1, m, dtype=torch.int64).cumsum(dim=-1)
    return ~(count > lengths.reshape(*lengths.shape, 1, 1))
