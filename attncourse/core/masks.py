"""Boolean masks: True means *may attend*, as in ``scaled_dot_product_attention``.

``nn.MultiheadAttention`` and ``nn.Transformer`` use the opposite: there True means *masked*.
"""

import torch
from jaxtyping import Bool, Integer
from torch import Tensor

from attncourse.core.shapes import checked


@checked
def causal_mask(n: int, m: int) -> Bool[Tensor, "n m"]:
    """The (n, m) mask in which a query sees itself and what came before, never the future.

    M_ij = True iff j <= i + m - n: aligned to the bottom right, so the last of n queries sees
    all m keys. That is the alignment of decoding, where n new queries follow m - n cached keys.
    For n > m the first n - m rows are empty. Time and memory O(n m).

    Raises ValueError unless n >= 1 and m >= 1.
    Source: Vaswani et al. 2017, section 3.2.3 (the square case).

    >>> causal_mask(2, 4).long()
    tensor([[1, 1, 1, 0],
            [1, 1, 1, 1]])
    """
    if n < 1 or m < 1:
        raise ValueError(f"n and m must be at least 1: got n={n} and m={m}")
    return torch.ones(n, m, dtype=torch.bool).tril(m - n)


@checked
def padding_mask(lengths: Integer[Tensor, "..."], m: int) -> Bool[Tensor, "... 1 m"]:
    """The mask that hides padded keys: M_j = True iff j < length, for each sequence of a batch.

    lengths (...) holds the number of real tokens of each sequence. The result (..., 1, m) has
    an axis for the queries, so that it broadcasts against scores (..., n, m): without that
    axis, (b, m) would be read as (n, m) whenever b == n. Time and memory O(b m).

    Raises ValueError unless m >= 1 and every length lies between 0 and m.

    >>> padding_mask(torch.tensor([1, 3]), 4)[:, 0].long()
    tensor([[1, 0, 0, 0],
            [1, 1, 1, 0]])
    """
    check_lengths(lengths, m)
    positions = torch.arange(m, device=lengths.device)
    return positions < lengths.to(torch.int64)[..., None, None]


def check_lengths(lengths: Tensor, m: int) -> None:
    """Raise ValueError unless m is at least 1 and every length that is known between 0 and m."""
    if m < 1:
        raise ValueError(f"m must be at least 1: got m={m}")
    lengths = lengths.to(torch.int64)
    known = lengths.numel() and not (lengths.is_meta or torch.compiler.is_compiling())
    if known and not 0 <= lengths.min() <= lengths.max() <= m:
        low, high = int(lengths.min()), int(lengths.max())
        raise ValueError(f"lengths must lie between 0 and m={m}: got lengths from {low} to {high}")
