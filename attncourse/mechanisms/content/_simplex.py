"""Thresholds on the simplex: where to cut a row so that what is left sums to one."""

from collections.abc import Callable

import torch
from torch import Tensor

from attncourse.mechanisms.content._row_blocks import holds_anywhere

GROUP = 8


def centred(scores: Tensor) -> Tensor:
    """The scores minus the largest of their row, in place; a row of -inf stays as it is."""
    largest = scores.amax(dim=-1, keepdim=True)
    return scores.sub_(largest.masked_fill_(largest == -torch.inf, 0.0))


def simplex_threshold(z: Tensor, scratch: Tensor, step: Callable[[Tensor], Tensor]) -> Tensor:
    """The root of h(t) = |max(z - t, 0)| - 1 for each row of z, whose largest entry is 0.

    step(excess) is the Newton step -h / h' for excess = max(z - t, 0). h is convex and falls, and
    h(-1) >= 0: from -1 Newton's method climbs to the root and never jumps over it, in a handful of
    steps and no sort. Fewer entries have a lower root, so the largest entry of each group of GROUP
    gives a better place to start from, at an eighth of the cost of a step. O(m) for each step.
    """
    t = z.new_full((*z.shape[:-1], 1), -1.0)
    whole = z.shape[-1] // GROUP * GROUP
    if whole >= GROUP**2:
        maxima = torch.unflatten(z[..., :whole], -1, (GROUP, -1)).amax(dim=-2)  # (..., m / GROUP)
        t = _climb(maxima, torch.empty_like(maxima), t, step)
    return _climb(z, scratch, t, step)


def _climb(z: Tensor, scratch: Tensor, t: Tensor, step: Callable[[Tensor], Tensor]) -> Tensor:
    """Newton's steps from t until none is larger than rounding."""
    moving = True
    while moving:
        excess = torch.sub(z, t, out=scratch).clamp_min_(0.0)
        rise = step(excess).clamp_min_(0.0)
        t = t + rise
        moving = holds_anywhere(rise > torch.finfo(z.dtype).eps)
    return t
