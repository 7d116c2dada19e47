"""Sliding-window attention, both ways and causal."""

from functools import partial

from torch.nn.functional import scaled_dot_product_attention

from attncourse.core.patterns import sliding_window_mask
from attncourse.mechanisms.patterns import sliding_window
from attncourse.testing import gaussian
from rows import Mechanism


def one_length(*lead, n=151, std=2.0, seed=0):
    """Queries (..., n, 8), keys (..., n, 8) and values (..., n, 6): two blocks of 64 and a rest."""
    return (
        gaussian(*lead, n, 8, std=std, seed=seed),
        gaussian(*lead, n, 8, std=std, seed=seed + 1),
        gaussian(*lead, n, 6, std=std, seed=seed + 2),
    )


def under(mask):
    """PyTorch's attention under a mask of the length of q."""
    return lambda q, k, v: scaled_dot_product_attention(q, k, v, attn_mask=mask.to(q.device))


MECHANISMS = {
    "sliding_window_attention": Mechanism(
        partial(sliding_window.sliding_window_attention, window=10),
        under(sliding_window_mask(151, 10)),
        one_length,
    ),
    "sliding_window_attention causal": Mechanism(
        partial(sliding_window.sliding_window_attention, window=10, causal=True),
        under(sliding_window_mask(151, 10, causal=True)),
        one_length,
    ),
}
