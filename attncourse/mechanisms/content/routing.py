"""Routing attention: attention within clusters of queries and keys, found by k-means."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import one_hot

from attncourse.core.dtypes import accumulation_dtype
from attncourse.core.fused import fused_attention
from attncourse.core.shapes import checked
from attncourse.mechanisms.dense.cosine import direction
from attncourse.mechanisms.dense.softmax import attention


@checked
def routing_attention_by_definition(
    q: Float[Tensor, "... n d"],
    k: Float[Tensor, "... m d"],
    v: Float[Tensor, "... m e"],
    centroids: Float[Tensor, "... c d"],
    *,
    top: int,
) -> Float[Tensor, "... n e"]:
    """Dense attention once for each cluster, masked to its members, then the mean over clusters.

    A query that is no member of a cluster has an empty row in its mask, which gives zeros.
    """
    _check_top(q, k, top)
    wide = accumulation_dtype(q.dtype)
    total = torch.zeros(*q.shape[:-1], v.shape[-1], dtype=wide, device=q.device)
    count = torch.zeros(*q.shape[:-1], 1, dtype=wide, device=q.device)
    for centroid in centroids.to(wide).unbind(dim=-2):
        asking, asked = (_is_member(x.to(wide), centroid, top) for x in (q, k))
        mask = asking[..., :, None] & asked[..., None, :]
        total = total + attention(q.to(wide), k.to(wide), v.to(wide), mask=mask)
        count = count + asking[..., None]
    return (total / count.clamp(min=1)).to(v.dtype)


@checked
def routing_attention(
    q: Float[Tensor, "... n d"],
    k: Float[Tensor, "... m d"],
    v: Float[Tensor, "... m e"],
    centroids: Float[Tensor, "... c d"],
    *,
    top: int,
) -> Float[Tensor, "... n e"]:
    """Routing attention: each of c clusters takes `top` queries and `top` keys, which attend.

    A cluster's queries (keys) are those whose direction has the largest inner product with its
    centroid: clusters are of one size, however the tokens lie. Within a cluster, softmax
    attention. A query in several clusters gets the mean of their outputs; a query in none gets
    zeros. The choice carries no gradient, so the centroids get none: they are moved by
    `update_centroids`. No causal form is offered: which tokens a cluster takes depends on all of
    them, the future included. Half-precision input is accumulated in float32.

    Time O((n + m) c d + c top^2 (d + e)), with c = n / top clusters of sqrt(n) tokens
    O(n^1.5 d); memory O((n + m) c + c top (d + e)). One cluster of all tokens is full attention.

    Raises ValueError unless top lies between 1 and min(n, m).
    Source: Roy et al. 2020, section 4.1, algorithm 1.

    >>> q = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
    >>> v = torch.tensor([[1.0], [2.0], [3.0], [4.0]])
    >>> routing_attention(q, q, v, torch.eye(2), top=2).mT.round(decimals=2).tolist()
    [[2.0, 3.0, 2.0, 3.0]]
    """
    _check_top(q, k, top)
    wide = accumulation_dtype(q.dtype)
    queries, keys, values, means = (
        x.to(wide).reshape(-1, *x.shape[-2:]) for x in (q, k, v, centroids)
    )  # (b, n, d), (b, m, d), (b, m, e), (b, c, d)
    asking, asked = _members(queries, means, top), _members(keys, means, top)  # (b, c, top)
    few_q, few_k, few_v = _take(queries, asking), _take(keys, asked), _take(values, asked)
    few = fused_attention(few_q, few_k, few_v)  # (b, c, top, e)
    out = _mean_by_token(few.flatten(0, 2), asking.flatten(), queries.shape[0] * queries.shape[1])
    return out.view(*q.shape[:-1], v.shape[-1]).to(v.dtype)


def _is_member(x: Tensor, centroid: Tensor, top: int) -> Tensor:
    """A Boolean (..., n): is this token among the `top` that point most towards the centroid?"""
    cosine = (direction(x) * centroid[..., None, :]).sum(dim=-1)
    first = cosine.argsort(dim=-1, descending=True, stable=True)[..., :top]
    return torch.zeros_like(cosine, dtype=torch.bool).scatter(-1, first, True)


@torch.no_grad()
def _members(x: Tensor, centroids: Tensor, top: int) -> Tensor:
    """The tokens (b, c, top) that each centroid takes, numbered through all sequences."""
    length = torch.linalg.vector_norm(x, dim=-1)[:, None]
    cosines = (centroids @ x.mT).div_(length.masked_fill(length == 0, 1.0))  # (b, c, n)
    chosen = cosines.topk(top, dim=-1, sorted=False).indices
    starts = torch.arange(x.shape[0], device=x.device) * x.shape[1]
    return chosen.sort(dim=-1).values + starts[:, None, None]


def _take(x: Tensor, tokens: Tensor) -> Tensor:
    """The vectors of some tokens, (b, c, top, width), of those of all sequences x (b, n, width)."""
    return x.flatten(0, 1).index_select(0, tokens.flatten()).view(*tokens.shape, x.shape[-1])


def _mean_by_token(x: Tensor, tokens: Tensor, size: int) -> Tensor:
    """out_i = the mean of the x_t with tokens_t = i; zeros where there is none."""
    count = x.new_zeros(size).index_add_(0, tokens, torch.ones_like(x[:, 0]))
    total = x.new_zeros(size, x.shape[-1]).index_add_(0, tokens, x)
    return total.div_(count.clamp(min=1)[:, None])


def _check_top(q: Tensor, k: Tensor, top: int) -> None:
    largest = min(q.shape[-2], k.shape[-2])
    if not 1 <= top <= largest:
        raise ValueError(f"top must lie between 1 and min(n, m)={largest}: got top={top}")


@checked
def update_centroids(
    centroids: Float[Tensor, "... c d"],
    q: Float[Tensor, "... n d"],
    k: Float[Tensor, "... m d"],
    *,
    decay: float,
) -> Float[Tensor, "... c d"]:
    """One step of online spherical k-means: each centroid moves to the tokens nearest to it.

    Every query and key, scaled to length 1, belongs to the centroid with the largest inner
    product. A centroid becomes decay * itself + (1 - decay) * the direction of the sum of its
    tokens; one without tokens stays where it is. Centroids carry no gradient: neither does the
    result. Leading axes have centroids of their own: to share centroids over a batch, move it
    into the length. Half-precision input is accumulated in float32. Time O((n + m) c d), memory
    O((n + m) c).

    The paper adds the plain sum, whose length grows with the length of the input; here the new
    point has length 1, as in spherical k-means, so that decay means the same at every length.

    Raises ValueError unless decay lies between 0 and 1.
    Source: Roy et al. 2020, section 4.1, algorithm 1.

    >>> centroids, x = torch.tensor([[1.0, 0.0], [0.0, -1.0]]), torch.tensor([[0.0, 3.0]])
    >>> update_centroids(centroids, x, x, decay=0.5).round(decimals=2).tolist()
    [[0.5, 0.5], [0.0, -1.0]]
    """
    if not 0 <= decay <= 1:
        raise ValueError(f"decay must lie between 0 and 1: got decay={decay}")
    wide = accumulation_dtype(centroids.dtype)
    old = centroids.detach().to(wide)
    tokens = direction(torch.cat([q.detach(), k.detach()], dim=-2).to(wide))
    nearest = (tokens @ old.mT).argmax(dim=-1)
    belongs = one_hot(nearest, old.shape[-2]).to(wide) if nearest.numel() else tokens @ old.mT
    new = direction(belongs.mT @ tokens)
    moved = decay * old + (1 - decay) * new
    return torch.where(belongs.sum(dim=-2)[..., None] > 0, moved, old).to(centroids.dtype)
