"""The largest entries of each row, exactly as many as asked for."""

import math

import torch
from torch import Tensor

from attncourse.core.numbers import holds_numbers
from attncourse.mechanisms.content._row_blocks import holds_anywhere


def largest_entries(scores: Tensor, top: int) -> tuple[Tensor, Tensor]:
    """Values and indices of the `top` largest entries of each row; ties go to the lowest index.

    ``torch.topk`` leaves open which of equal entries it returns. Ties matter only where the entry
    after the last chosen one equals it: one entry more is looked for, and only rows with such a
    tie are decided anew; all rows where torch.compile makes one graph, which cannot depend on what
    the rows hold. The order of the entries within a row is left open.
    """
    if top == scores.shape[-1]:
        return scores, torch.arange(top, device=scores.device).expand(scores.shape)
    values, indices = _sorted(scores, top + 1)
    tied = values[..., top - 1] == values[..., top]
    values, indices = values[..., :top], indices[..., :top]
    if not holds_numbers(tied):
        return values, _lowest(scores, values, indices)
    if holds_anywhere(tied):
        indices[tied] = _lowest(scores[tied], values[tied], indices[tied])
    return values, indices


def _sorted(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """``topk``, first among the maxima of groups and then within the best `count` groups.

    The largest `count` values lie in the `count` groups with the largest maxima: any other group
    holds nothing larger than `count` entries that are there already. With groups of sqrt(m / count)
    columns, 2 sqrt(m count) entries are searched instead of m.
    """
    m = scores.shape[-1]
    size = math.isqrt(m // count)
    if size < 4:
        return torch.topk(scores, count)
    groups = m // size  # group i holds the columns i, i + groups, i + 2 groups, ...
    maxima = torch.unflatten(scores[..., : size * groups], -1, (size, groups)).amax(dim=-2)
    best = torch.topk(maxima, count, sorted=False).indices  # (..., count) groups
    members = torch.arange(0, size * groups, groups, device=scores.device)
    columns = (best[..., None, :] + members[:, None]).flatten(-2)  # (..., size count)
    rest = torch.arange(size * groups, m, device=scores.device)
    columns = torch.cat([columns, rest.expand(*columns.shape[:-1], -1)], dim=-1)
    values, places = torch.topk(scores.gather(-1, columns), count)
    return values, columns.gather(-1, places)


def _lowest(scores: Tensor, values: Tensor, indices: Tensor) -> Tensor:
    """The indices, where those equal to the last value give way to the first such in the row.

    The k-th entry of a level stands where k of its entries have been seen for the first time.
    """
    last = values[..., -1:]
    seen = (scores == last).cumsum(dim=-1, dtype=torch.int32)
    level = values == last
    number = level.cumsum(dim=-1, dtype=torch.int32)
    return torch.where(level, torch.searchsorted(seen, number), indices)
