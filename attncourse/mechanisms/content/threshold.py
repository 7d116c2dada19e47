"""Threshold attention: softmax without its small weights."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from attncourse.core.dtypes import accumulation_dtype
from attncourse.core.shapes import checked
from attncourse.core.transforms import composable
from attncourse.mechanisms.content._row_blocks import attention_by_rows
from attncourse.mechanisms.content._simplex import centred
from attncourse.mechanisms.dense.softmax import attention, softmax


@checked
def threshold_attention_by_definition(
    q: Float[Tensor, "... n d"],
    k: Float[Tensor, "... m d"],
    v: Float[Tensor, "... m e"],
    *,
    threshold: float,
) -> Float[Tensor, "... n e"]:
    """Dense softmax weights tell which keys are large enough; attention with those as its mask."""
    _check_threshold(threshold)
    wide = accumulation_dtype(q.dtype)
    weights = softmax(q.detach().to(wide) @ k.detach().to(wide).mT / math.sqrt(q.shape[-1]))
    largest = weights.amax(dim=-1, keepdim=True)
    return attention(q, k, v, mask=~(weights < largest.clamp_max(threshold)))


@checked
@composable
def threshold_attention(
    q: Float[Tensor, "... n d"],
    k: Float[Tensor, "... m d"],
    v: Float[Tensor, "... m e"],
    *,
    threshold: float,
) -> Float[Tensor, "... n e"]:
    """Softmax attention over the keys whose softmax weight is at least `threshold`.

    o_i = sum_{j in K_i} p_ij v_j / sum_{j in K_i} p_ij with p = softmax(q k^T / sqrt(d)) and
    K_i = {j : p_ij >= min(threshold, max_j p_ij)}: the largest weight is always kept, so no row is
    empty. That equals softmax with the other scores at -inf. A threshold of 0 is plain attention, 1
    or more keeps the largest alone; below that at most 1 / threshold keys are kept. Which keys are
    kept is constant to the gradient. Computed by blocks of rows, and again in the backward pass:
    time O(n m (d + e)), memory O(n (d + e) + m (d + e + block)). Second derivatives hold O(n m).

    Raises ValueError unless threshold is at least 0.
    Source: the simplest sparsification of attention weights, compared with top-k selection by
    Zhao et al. 2019, section 3.

    >>> q, eye = torch.tensor([[9.0, 9.0, 0.0, 0.0]]), torch.eye(4)
    >>> threshold_attention(q, eye, eye, threshold=0.1).round(decimals=2).tolist()
    [[0.5, 0.5, 0.0, 0.0]]
    """
    _check_threshold(threshold)

    def weigh(scores: Tensor, scratch: Tensor) -> Tensor:
        weights = centred(scores).exp_()
        weights.div_(weights.sum(dim=-1, keepdim=True))
        cut = weights.amax(dim=-1, keepdim=True).clamp_max_(threshold)
        weights.mul_(torch.ge(weights, cut, out=scratch))
        return weights.div_(weights.sum(dim=-1, keepdim=True))

    def definition(q: Tensor, k: Tensor, v: Tensor, *, mask: None) -> Tensor:
        return threshold_attention_by_definition(q, k, v, threshold=threshold)

    return attention_by_rows(q, k, v, None, weigh, _itself, definition)


def _itself(weights: Tensor) -> Tensor:
    return weights


def _check_threshold(threshold: float) -> None:
    if not threshold >= 0:
        raise ValueError(f"threshold must be at least 0: got threshold={threshold}")
