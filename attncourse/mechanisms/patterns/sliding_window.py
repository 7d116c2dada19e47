"""Sliding-window attention: each query sees the keys at most `window` positions away."""

from jaxtyping import Float
from torch import Tensor

from attncourse.core.patterns import sliding_window_mask
from attncourse.core.shapes import checked
from attncourse.core.sizes import check_window
from attncourse.core.transforms import composable
from attncourse.kernels import available
from attncourse.mechanisms.dense.softmax import attention
from attncourse.mechanisms.patterns._tiles import like, of_one_width, windows


@checked
def sliding_window_attention_by_definition(
    q: Float[Tensor, "... n d"],
    k: Float[Tensor, "... n d"],
    v: Float[Tensor, "... n e"],
    *,
    window: int,
    causal: bool = False,
) -> Float[Tensor, "... n e"]:
    """Dense attention under `sliding_window_mask`. Time O(n^2 (d + e)), memory O(n^2)."""
    mask = sliding_window_mask(q.shape[-2], window, causal=causal)
    return attention(q, k, v, mask=mask.to(q.device))


@checked
@composable
def sliding_window_attention(
    q: Float[Tensor, "... n d"],
    k: Float[Tensor, "... n d"],
    v: Float[Tensor, "... n e"],
    *,
    window: int,
    causal: bool = False,
) -> Float[Tensor, "... n e"]:
    """Attention of query i over the keys j with |i - j| <= window; if causal, 0 <= i - j <= window.

    Queries go in blocks of 64. The keys that a block can see are one run of window + 64 + window
    rows, and the runs of successive blocks are one overlapping view: nothing is copied, and all
    blocks go to the fused kernel in one call under one small mask. The ends, whose runs would
    leave the sequence, are calls of their own. Half-precision input is accumulated in float32.
    Time O(n (window + 64) (d + e)), memory O(n (d + e)); backward, memory O(n window (d + e) / 64).

    Keys and values must be finite: 0 x NaN is NaN, for every query of a block that can see it.
    Raises ValueError unless window is at least 0 and q, k and v have one length n.
    Source: Beltagy et al. 2020, section 3.1; Child et al. 2019, section 4.3.

    >>> q, v = torch.zeros(6, 1), torch.arange(6.0)[:, None]  # equal scores: the mean of those seen
    >>> sliding_window_attention(q, q, v, window=1).mT.round(decimals=2).tolist()
    [[0.5, 1.0, 2.0, 3.0, 4.0, 4.5]]
    >>> sliding_window_attention(q, q, v, window=1, causal=True).mT.round(decimals=2).tolist()
    [[0.0, 0.5, 1.5, 2.5, 3.5, 4.5]]
    """
    check_window(window)
    reach = min(window, q.shape[-2] - 1)
    return like(v, windows(*of_one_width(q, k, v), before=reach, after=0 if causal else reach))


FORMS = (
    sliding_window_attention_by_definition,
    sliding_window_attention,
    *available("flash", "flash_window_attention"),
)
