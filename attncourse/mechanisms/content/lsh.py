"""LSH attention: similar vectors are hashed into buckets, and attention stays within a bucket."""

import math

import torch
from jaxtyping import Bool, Float, Integer
from torch import Tensor
from torch.nn.functional import pad

from attncourse.core.dtypes import accumulation_dtype
from attncourse.core.shapes import checked
from attncourse.core.transforms import composable
from attncourse.mechanisms.content._lsh_rounds import ChunkedAttention, Rounds
from attncourse.mechanisms.dense.cosine import direction
from attncourse.mechanisms.dense.softmax import attention


@checked
def lsh_attention_by_definition(
    qk: Float[Tensor, "... n d"],
    v: Float[Tensor, "... n e"],
    rotations: Float[Tensor, "p d r"],
    *,
    chunk: int,
    causal: bool = False,
) -> Float[Tensor, "... n e"]:
    """Dense attention with queries qk, keys qk / |qk| and the mask of `lsh_mask`."""
    mask = lsh_mask(qk, rotations, chunk=chunk, causal=causal)
    wide = qk.to(accumulation_dtype(qk.dtype))
    return attention(wide, direction(wide), v.to(wide.dtype), mask=mask).to(v.dtype)


@checked
@composable
def lsh_attention(
    qk: Float[Tensor, "... n d"],
    v: Float[Tensor, "... n e"],
    rotations: Float[Tensor, "p d r"],
    *,
    chunk: int,
    causal: bool = False,
) -> Float[Tensor, "... n e"]:
    """LSH attention (Reformer): shared queries and keys, p rounds of hashing, sorted chunks.

    Scores are q_i . k_j / sqrt(d) with k_j = q_j / |q_j|. Who sees whom says `lsh_mask`. Each
    round attends chunk by chunk, and rounds are joined by their logsumexp. A pair that meets in
    several rounds counts once, in the first of them: the paper subtracts the logarithm of the
    number of rounds from its scores, which is the same. All leading axes share the rotations. No
    gradient flows through the choice of buckets. causal: buckets are found without a look at
    other tokens, but chunks are cut by counting, so a later token may move an earlier one to
    another chunk, as in the paper; with every bucket within `chunk` tokens it changes nothing.

    The backward pass computes the scores again instead of storing them. Half-precision input is
    accumulated in float32. Time O(p n (chunk (d + e) + d r)) and p sorts, memory
    O(n (d + e) + p n + chunk^2), forward and backward: nothing is n by n.

    Raises ValueError unless chunk is at least 1. Second derivatives cost O(n^2).
    Source: Kitaev et al. 2020, section 2 and appendix A.

    >>> qk = torch.tensor([[1.0, 0.0], [0.0, 1.0], [2.0, 0.0], [0.0, 2.0]])  # two pairs
    >>> v = torch.tensor([[1.0], [2.0], [3.0], [4.0]])
    >>> lsh_attention(qk, v, torch.eye(2)[None], chunk=4).mT.round(decimals=2).tolist()
    [[3.0, 4.0, 1.0, 2.0]]
    """
    _check_chunk(chunk)
    if not qk.numel():
        return torch.zeros_like(v)
    wide, n = accumulation_dtype(qk.dtype), qk.shape[-2]
    chunk = min(chunk, n)
    queries, values = (_fill(x.to(wide).reshape(-1, n, x.shape[-1]), chunk) for x in (qk, v))
    keys = direction(queries) / math.sqrt(qk.shape[-1])
    rounds = Rounds.sort(queries.detach(), rotations.detach().to(wide), n, chunk)
    tokens = (x.flatten(0, 1) for x in (queries, keys, values))  # of all sequences
    out: Tensor = ChunkedAttention.call(*tokens, causal, *rounds)
    return out.view(values.shape)[:, :n].reshape(v.shape).to(v.dtype)


def _fill(x: Tensor, chunk: int) -> Tensor:
    """Add empty tokens that fill the last chunk of each sequence."""
    spare = -x.shape[1] % chunk
    return pad(x, (0, 0, 0, spare)) if spare else x


@checked
def lsh_mask(
    qk: Float[Tensor, "... n d"],
    rotations: Float[Tensor, "p d r"],
    *,
    chunk: int,
    causal: bool = False,
) -> Bool[Tensor, "... n n"]:
    """The (n, n) mask of `lsh_attention`: True where query i sees key j in any of p rounds.

    In one round the tokens are sorted by bucket, then by position, and cut into chunks of
    `chunk` tokens. Query i sees key j if both are in one bucket and j is in the chunk of i or in
    the one before, never in the one after. So of a bucket of at most `chunk` tokens all that are
    earlier are seen, of a larger one perhaps not all. causal hides j > i. A token sees itself
    only where it sees nothing else in any round. Time and memory O(p n^2).

    Raises ValueError unless chunk is at least 1.
    Source: Kitaev et al. 2020, section 2, equations 4 and 5.

    >>> qk = torch.tensor([[1.0, 0.0], [0.0, 1.0], [2.0, 0.0], [0.0, 2.0], [-1.0, 0.0]])
    >>> lsh_mask(qk, torch.eye(2)[None], chunk=5).nonzero().tolist()  # the last token is alone
    [[0, 2], [1, 3], [2, 0], [3, 1], [4, 4]]
    """
    _check_chunk(chunk)
    n = qk.shape[-2]
    seen = torch.zeros(*qk.shape[:-1], n, dtype=torch.bool, device=qk.device)
    for rotation in rotations:
        bucket = lsh_buckets(qk, rotation)
        place = bucket.argsort(dim=-1, stable=True).argsort(dim=-1)
        back = (place // chunk)[..., :, None] - (place // chunk)[..., None, :]
        same = bucket[..., :, None] == bucket[..., None, :]  # (..., n, n)
        seen = seen | (same & (back >= 0) & (back <= 1))
    itself = torch.eye(n, dtype=torch.bool, device=qk.device)
    others = (seen.tril() if causal else seen) & ~itself
    return others | (itself & ~others.any(dim=-1, keepdim=True))


@checked
def lsh_buckets(
    x: Float[Tensor, "... n d"], rotations: Float[Tensor, "d r"]
) -> Integer[Tensor, "... n"]:
    """The bucket of each vector in one round of hashing: argmax([x R; -x R]), from 0 to 2r - 1.

    R = rotations, (d, r), is Gaussian: its columns and their opposites are 2r random directions,
    and a vector goes to the direction nearest to it, so that vectors at a small angle often share
    a bucket. The length of x does not matter. Ties go to the lowest bucket; a zero vector to
    bucket 0. No gradient. Half-precision input is hashed in float32. Time O(n d r), memory
    O(n r).

    Source: Kitaev et al. 2020, section 2, "Locality sensitive hashing"; Andoni et al. 2015.

    >>> x = torch.tensor([[2.0, 1.0], [0.0, 3.0], [-2.0, 1.0], [0.1, -0.2]])
    >>> lsh_buckets(x, torch.eye(2)).tolist()
    [0, 1, 2, 3]
    """
    wide = accumulation_dtype(x.dtype)
    rotated = x.detach().to(wide) @ rotations.detach().to(wide)
    return torch.cat([rotated, -rotated], dim=-1).argmax(dim=-1)


def _check_chunk(chunk: int) -> None:
    if chunk < 1:
        raise ValueError(f"chunk must be at least 1: got chunk={chunk}")
