"""Top-k attention: each query attends to its best keys and to no others."""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import embedding_bag

from attncourse.core.by_hand import HandWritten, keep, kept
from attncourse.core.dtypes import accumulation_dtype
from attncourse.core.shapes import checked
from attncourse.core.transforms import composable
from attncourse.mechanisms.content._row_blocks import batched, pull_back, score_blocks
from attncourse.mechanisms.content._selection import largest_entries
from attncourse.mechanisms.dense.softmax import attention, softmax


@checked
def topk_attention_by_definition(
    q: Float[Tensor, "... n d"],
    k: Float[Tensor, "... m d"],
    v: Float[Tensor, "... m e"],
    *,
    top: int,
) -> Float[Tensor, "... n e"]:
    """Dense attention with a mask that is True for the first `top` keys of the sorted scores."""
    _check_top(top, k)
    wide = accumulation_dtype(q.dtype)
    scores = q.detach().to(wide) @ k.detach().to(wide).mT
    best = scores.sort(dim=-1, descending=True, stable=True).indices[..., :top]
    return attention(q, k, v, mask=torch.zeros_like(scores, dtype=torch.bool).scatter(-1, best, 1))


@checked
@composable
def topk_attention(
    q: Float[Tensor, "... n d"],
    k: Float[Tensor, "... m d"],
    v: Float[Tensor, "... m e"],
    *,
    top: int,
) -> Float[Tensor, "... n e"]:
    """Attention in which each query attends to exactly `top` keys, those with the largest scores.

    o_i = sum_{j in T_i} softmax_{T_i}(s_i)_j v_j with s_ij = q_i . k_j / sqrt(d) and T_i the `top`
    keys with the largest s_ij; of equal scores the lower index wins. All m keys are plain
    attention. The choice is constant to the gradient, which reaches the chosen keys only.

    All scores are computed to find the largest, by blocks of rows: time O(n m d + n top e), memory
    O(n (d + e) + m (d + e + block)). The chosen indices and weights, O(n top), are kept for the
    backward pass, which takes time O(n top (d + e + log(n top))). Half-precision input is
    accumulated in float32. Second derivatives hold O(n m).

    Raises ValueError unless top lies between 1 and m.
    Source: Zhao et al. 2019, section 3; by blocks of queries: Gupta et al. 2021, section 2.

    >>> q, eye = torch.tensor([[3.0, 1.0, 3.0, 0.0]]), torch.eye(4)
    >>> topk_attention(q, eye, eye, top=2).round(decimals=2).tolist()
    [[0.5, 0.0, 0.5, 0.0]]
    """
    _check_top(top, k)
    out: Tensor = _TopK.call(q, k, v, top)
    return out


class _TopK(HandWritten):
    """The search by blocks of rows, and a backward pass over the chosen pairs alone."""

    @staticmethod
    def plain(q: Tensor, k: Tensor, v: Tensor, top: int) -> Tensor:
        return topk_attention_by_definition(q, k, v, top=top)

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, top: int) -> Tensor:
        queries, keys, values = batched(q), batched(k), batched(v)
        out = values.new_empty(*queries.shape[:2], values.shape[-1])
        trained = any(ctx.needs_input_grad)
        kept = (*queries.shape[:2], top) if trained else (0, 0, top)
        weights, chosen = queries.new_empty(kept), queries.new_empty(kept, dtype=torch.int64)
        for (leads, rows), scores, _ in score_blocks(queries, keys):
            best, keys_of_row = largest_entries(scores, top)  # (leads, rows, top)
            first = torch.arange(leads.start, leads.stop, device=q.device) * k.shape[-2]
            place, weight = keys_of_row + first[:, None, None], softmax(best)
            out[leads, rows] = _weighted_sum(weight, place, values)
            if trained:
                weights[leads, rows], chosen[leads, rows] = weight, place
        keep(ctx, (q, k, v, top), weights, chosen)
        return out.view(*q.shape[:-1], v.shape[-1]).to(v.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (q, k, v, _), (weights, chosen) = kept(ctx)
        queries, keys, values, g = batched(q), batched(k), batched(v), batched(grad)
        # d_weights_ij = g_i . v_j, for the chosen j alone
        pull = torch.func.vjp(lambda x: _weighted_sum(x, chosen, values), weights)[1]
        (d_weights,) = pull(g)
        d_scores = pull_back(weights, d_weights) / math.sqrt(q.shape[-1])
        d_q = _weighted_sum(d_scores, chosen, keys)
        d_k, d_v = _spread((d_scores, queries), (weights, g), chosen, keys.shape[1])
        d = (x.view(y.shape).to(y.dtype) for x, y in ((d_q, q), (d_k, k), (d_v, v)))
        return *d, None


def _weighted_sum(weights: Tensor, chosen: Tensor, table: Tensor) -> Tensor:
    """sum_t weights_it table[chosen_it]: table (lead, m, width), m numbered through all heads."""
    top, width = weights.shape[-1], table.shape[-1]
    bags, weight = chosen.reshape(-1, top), weights.reshape(-1, top)  # (lead n, top)
    out = embedding_bag(bags, table.reshape(-1, width), per_sample_weights=weight, mode="sum")
    return out.view(*weights.shape[:-1], width)


def _spread(
    a: tuple[Tensor, Tensor], b: tuple[Tensor, Tensor], chosen: Tensor, m: int
) -> list[Tensor]:
    """sum_i weights_ij x_i at each key j, for two pairs (weights, x): the transposed sum.

    The pairs are sorted by key, so that each key is a bag of the queries that chose it.
    """
    lead, _, top = chosen.shape
    order = chosen.reshape(-1).argsort()  # of the lead n top pairs
    starts = torch.searchsorted(
        chosen.reshape(-1)[order], torch.arange(lead * m, device=chosen.device)
    )
    return [
        embedding_bag(
            order // top,
            x.reshape(-1, x.shape[-1]),
            starts,
            per_sample_weights=weights.reshape(-1)[order],
            mode="sum",
        ).view(lead, m, x.shape[-1])
        for weights, x in (a, b)
    ]


def _check_top(top: int, k: Tensor) -> None:
    if not 1 <= top <= k.shape[-2]:
        raise ValueError(f"top must be between 1 and m={k.shape[-2]}: got top={top}")
