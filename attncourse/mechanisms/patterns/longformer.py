"""Window and global tokens: Longformer's pattern, with one set of projections."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from attncourse.core.patterns import longformer_mask
from attncourse.core.shapes import checked
from attncourse.core.sizes import check_window, global_positions
from attncourse.core.transforms import composable
from attncourse.mechanisms.dense.softmax import attention
from attncourse.mechanisms.patterns._tiles import (
    like,
    of_one_width,
    one_tile,
    summary,
    windows,
    windows_and_summary,
)


@checked
def longformer_attention_by_definition(
    q: Float[Tensor, "... n d"],
    k: Float[Tensor, "... n d"],
    v: Float[Tensor, "... n e"],
    *,
    window: int,
    global_tokens: Sequence[int],
) -> Float[Tensor, "... n e"]:
    """Dense attention under `longformer_mask`. Time O(n^2 (d + e)), memory O(n^2)."""
    mask = longformer_mask(q.shape[-2], window, global_tokens)
    return attention(q, k, v, mask=mask.to(q.device))


@checked
@composable
def longformer_attention(
    q: Float[Tensor, "... n d"],
    k: Float[Tensor, "... n d"],
    v: Float[Tensor, "... n e"],
    *,
    window: int,
    global_tokens: Sequence[int],
) -> Float[Tensor, "... n e"]:
    """Attention of query i over |i - j| <= window and the g global tokens, which see everyone.

    For each query the global tokens outside its window are one more key: its score is the
    logsumexp of theirs, its value their own weighted mean. Attention over the window and this
    key is attention over all of them, in one call of the fused kernel, and no key counts twice.
    The model of the paper has projections of its own for global attention; here q, k and v serve
    both. Half-precision input is accumulated in float32. Time O(n (window + g + 64) (d + e)),
    memory O(n (d + e + g)); backward, memory O(n (d + e) window / 64 + n g).

    Keys and values must be finite. Raises ValueError unless window is at least 0, the positions
    lie between 0 and n - 1, and q, k and v have one length n; TypeError for positions that are
    no integers. Source: Beltagy et al. 2020, section 3.1.

    >>> q, v = torch.zeros(8, 1), torch.arange(8.0)[:, None]  # equal scores: the mean of those seen
    >>> longformer_attention(q, q, v, window=1, global_tokens=[7])[1:].mT.round(decimals=2).tolist()
    [[2.5, 3.25, 4.0, 4.75, 5.5, 6.0, 3.5]]
    """
    check_window(window)
    n = q.shape[-2]
    reach = min(window, n - 1)
    positions = torch.tensor(global_positions(n, global_tokens)).to(q.device)
    q_, k_, v_ = of_one_width(q, k, v)
    if len(positions) == 0:
        return like(v, windows(q_, k_, v_, before=reach, after=reach))
    scores = q_ @ k_[:, positions].mT / math.sqrt(q_.shape[-1])  # (L, n, g)
    far = (torch.arange(n, device=q.device)[:, None] - positions).abs() > reach  # (n, g)
    score, mean = summary(scores, far, v_[:, positions])
    out = windows_and_summary(q_, k_, v_, score, mean, before=reach, after=reach)
    seeing_all = one_tile(q_[:, positions], k_, v_)
    return like(v, out.index_copy(1, positions, seeing_all))
