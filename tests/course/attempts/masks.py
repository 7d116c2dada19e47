"""Attempts at the masks."""

import torch

NONE: set[str] = set()


def _filled(n, m):
    return torch.ones(n, m, dtype=torch.bool)


def never_shifted_to_the_left(n, m):
    return _filled(n, m).tril(max(0, m - n))


def shifted_by_the_absolute_difference(n, m):
    return _filled(n, m).tril(abs(m - n))


def strict_and_top_left(n, m):
    return _filled(n, m).tril(-1)


def inverted_and_strict(n, m):
    return _filled(n, m).triu(m - n)


def inverted_transposed(n, m):
    return _filled(m, n).tril(n - m).mT


def flipped(n, m):
    return _filled(n, m).tril(m - n).flip(-1)


def upside_down(n, m):
    return _filled(n, m).tril(m - n).flip(0)


def last_query_only(n, m):
    mask = torch.zeros(n, m, dtype=torch.bool)
    mask[-1] = True
    return mask


def nothing_visible(n, m):
    return torch.zeros(n, m, dtype=torch.bool)


def only_the_diagonal(n, m):
    return torch.eye(n, m, dtype=torch.bool)


def seven_columns(n, m):
    return torch.arange(7) <= torch.arange(m - n, m)[:, None]


def width_of_the_second_example(n, m):
    return torch.arange(37) <= torch.arange(m - n, m)[:, None]


def first_query_sees_one_key(n, m):
    mask = _filled(n, m).tril(m - n)
    mask[:, 0] = True
    return mask


def uint8(n, m):
    return torch.ones(n, m, dtype=torch.uint8).tril(m - n)


def half_numbers(n, m):
    return torch.ones(n, m, dtype=torch.float64).tril(m - n)


def minus_a_billion(n, m):
    return torch.full((n, m), -1e9).triu(m - n + 1)


def with_a_batch_axis(n, m):
    return _filled(n, m).tril(m - n)[None]


def two_keys_of_the_future(n, m):
    return _filled(n, m).tril(m - n + 2)


def squares_only(n, m):
    return _filled(n, m).tril() if n == m else _filled(n, m)


def wrong_where_more_queries(n, m):
    return _filled(n, m).tril(m - n) if n <= m else _filled(n, m)


def window(n, m):
    return _filled(n, m).tril(m - n).triu(m - n - 4)


def _row(lengths, m):
    return torch.arange(m) < lengths[..., None, None]


def sum_of_lengths(lengths, m):
    return torch.arange(m) < lengths.sum()


def shortest_for_all(lengths, m):
    return (torch.arange(m) < lengths.min()).expand(*lengths.shape, 1, m)


def inverted_one_too_many(lengths, m):
    return torch.arange(m) > lengths[..., None, None]


def shown_from_the_end(lengths, m):
    return torch.arange(m) >= m - 1 - lengths[..., None, None]


def first_token_hidden(lengths, m):
    return _row(lengths, m) & (torch.arange(m) > 0)


def empty_sequences_full(lengths, m):
    return _row(lengths, m) | (lengths[..., None, None] == 0)


def inverted_without_axis(lengths, m):
    return torch.arange(m) >= lengths[..., None]


def square_of_the_padding(lengths, m):
    real = torch.arange(m) < lengths[..., None]
    return real[..., :, None] | real[..., None, :]


def nine_positions(lengths, m):
    return torch.arange(9) < lengths[..., None, None]


def as_strings(lengths, m):
    return str(_row(lengths, m))


def two_axes_for_queries(lengths, m):
    return _row(lengths, m)[..., None, :, :]


def everything(lengths, m):
    return torch.ones(*lengths.shape, 1, m, dtype=torch.bool)


ATTEMPTS = {
    "causal_mask": [
        (never_shifted_to_the_left, NONE),
        (shifted_by_the_absolute_difference, NONE),
        (strict_and_top_left, NONE),
        (inverted_and_strict, {"past_hidden"}),
        (inverted_transposed, {"past_hidden"}),
        (flipped, NONE),
        (upside_down, NONE),
        (last_query_only, NONE),
        (nothing_visible, NONE),
        (only_the_diagonal, NONE),
        (seven_columns, NONE),
        (width_of_the_second_example, NONE),
        (first_query_sees_one_key, NONE),
        (uint8, NONE),
        (half_numbers, NONE),
        (minus_a_billion, NONE),
        (with_a_batch_axis, NONE),
        (two_keys_of_the_future, NONE),
        (squares_only, NONE),
        (wrong_where_more_queries, NONE),
        (window, NONE),
    ],
    "padding_mask": [
        (sum_of_lengths, NONE),
        (shortest_for_all, NONE),
        (inverted_one_too_many, NONE),
        (shown_from_the_end, NONE),
        (first_token_hidden, NONE),
        (empty_sequences_full, NONE),
        (inverted_without_axis, NONE),
        (square_of_the_padding, NONE),
        (nine_positions, NONE),
        (as_strings, NONE),
        (two_axes_for_queries, NONE),
        (everything, NONE),
    ],
}
