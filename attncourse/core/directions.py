"""Vectors without their lengths."""

from torch import Tensor


def direction(x: Tensor) -> Tensor:
    """X / |x| along the last axis; a zero vector stays zero, and its gradient is finite.

    Each vector is divided by its largest entry before it is squared, so that neither tiny nor huge
    ones lose their direction.
    """
    largest = x.detach().abs().amax(dim=-1, keepdim=True)
    x = x / largest.masked_fill(largest == 0, 1.0)
    squares = x.square().sum(dim=-1, keepdim=True)
    return x / squares.masked_fill(squares == 0, 1.0).sqrt()
