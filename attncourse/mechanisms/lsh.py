"""LSH attention: similar vectors are hashed into buckets, and attention stays within a bucket."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Integer
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import pad

from attncourse.core.dtypes import accumulation_dtype
from attncourse.core.shapes import checked
from attncourse.mechanisms.softmax import attention

SELF = 1e30  # what a token's own score is lowered by: less than any other, more than nothing
FAR = -4  # a code that is near to none
TILE = 2**18  # scores held at a time: small enough for a cache, large enough for all cores
ROWS = 2**10  # tokens hashed at a time


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
    """
    wide = accumulation_dtype(x.dtype)
    rotated = x.detach().to(wide) @ rotations.detach().to(wide)
    return torch.cat([rotated, -rotated], dim=-1).argmax(dim=-1)


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
    """
    _check_chunk(chunk)
    n = qk.shape[-2]
    seen = torch.zeros(*qk.shape[:-1], n, dtype=torch.bool, device=qk.device)
    for rotation in rotations:
        bucket = lsh_buckets(qk, rotation)
        place = bucket.argsort(dim=-1, stable=True).argsort(dim=-1)
        back = (place // chunk)[..., :, None] - (place // chunk)[..., None, :]
        same = bucket[..., :, None] == bucket[..., None, :]
        seen = seen | (same & (back >= 0) & (back <= 1))
    itself = torch.eye(n, dtype=torch.bool, device=qk.device)
    others = (seen.tril() if causal else seen) & ~itself
    return others | (itself & ~others.any(dim=-1, keepdim=True))


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
    return attention(wide, _direction(wide), v.to(wide.dtype), mask=mask).to(v.dtype)


@checked
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

    Raises ValueError unless chunk is at least 1. Differentiable once.
    Source: Kitaev et al. 2020, section 2 and appendix A.
    """
    _check_chunk(chunk)
    if not qk.numel():
        return torch.zeros_like(v)
    wide, n = accumulation_dtype(qk.dtype), qk.shape[-2]
    chunk = min(chunk, n)
    queries, values = (_fill(x.to(wide).reshape(-1, n, x.shape[-1]), chunk) for x in (qk, v))
    keys = _direction(queries) / math.sqrt(qk.shape[-1])
    with torch.no_grad():
        rounds = _sort(queries, rotations.to(wide), n, chunk)
    flat = (x.flatten(0, 1) for x in (queries, keys, values))
    out: Tensor = _LSH.apply(*flat, rounds, chunk, causal)  # type: ignore[no-untyped-call]
    return out.view(values.shape)[:, :n].reshape(v.shape).to(v.dtype)


def _fill(x: Tensor, chunk: int) -> Tensor:
    """Add empty tokens that fill the last chunk of each sequence."""
    spare = -x.shape[1] % chunk
    return pad(x, (0, 0, 0, spare)) if spare else x


def _direction(x: Tensor) -> Tensor:
    """X / |x| along the last axis; a zero vector stays zero."""
    length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return x / length.masked_fill(length == 0, 1.0)


class _Rounds(NamedTuple):
    """Where each round puts the t tokens of all sequences.

    order (p, chunk + t) lists the tokens as sorted, behind a chunk that stands in for the one
    before the first. code (p, t) numbers, within a sequence, the stretches of one bucket in one
    chunk: the next chunk of a bucket has the next number, a new bucket leaves one out. So i sees
    j just where code_i - code_j is 0 or 1.
    """

    order: Tensor
    code: Tensor
    sequences: int


def _sort(x: Tensor, rotations: Tensor, n: int, chunk: int) -> _Rounds:
    """Hash and sort the tokens of x (sequences, length, d), of which n in each are real."""
    count, length, _ = x.shape
    buckets = 2 * rotations.shape[-1] + 1  # the last one holds the empty tokens
    found = _hash(x.flatten(0, 1), rotations).view(-1, count, length)
    found[..., n:] = buckets - 1
    found += buckets * torch.arange(count, device=x.device)[:, None]
    orders, codes = [], []
    starts = torch.arange(count * length, device=x.device) % chunk == 0
    narrow = 4 * (length // chunk + buckets) < 2**15
    for keys in found.flatten(1):
        keys, order = keys.sort(stable=True)
        steps = torch.where(keys.diff(prepend=keys[:1]) != 0, 2, starts.long())
        code = steps.cumsum(dim=0).view(count, length)
        code = (code - code[:, :1]).flatten().to(torch.int16 if narrow else torch.int32)
        orders.append(torch.cat([order[:chunk], order]))
        codes.append(torch.empty_like(code).scatter_(0, order, code))
    return _Rounds(torch.stack(orders), torch.stack(codes), count)


def _hash(x: Tensor, rotations: Tensor) -> Tensor:
    """The buckets (p, t) of all rounds: argmax([x R; -x R]) by means of maxima alone.

    An argmax takes several times as long as a maximum, and its 2r columns need not be written.
    """
    p, d, r = rotations.shape
    flat = rotations.transpose(0, 1).reshape(d, p * r)
    from_last = torch.arange(r, 0, -1, dtype=x.dtype, device=x.device)
    found = []
    for rows in torch.split(x, ROWS):
        rotated = (rows @ flat).view(-1, p, r)
        high, low = rotated.amax(dim=-1), rotated.amin(dim=-1)
        opposite = -low > high
        best = torch.where(opposite, low, high)
        first = r - rotated.eq_(best[..., None]).mul_(from_last).amax(dim=-1)
        found.append((first.clamp(max=r - 1) + r * opposite).long())
    return torch.cat(found).mT.contiguous()


class _LSH(torch.autograd.Function):
    """The loop over rounds and tiles of chunks, and its hand-written backward pass."""

    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, rounds: _Rounds, chunk: int, causal: bool
    ) -> Tensor:
        out, lse = torch.zeros_like(v), q.new_full((len(q),), -math.inf)
        for window, penalty in _tiles(rounds, chunk, causal, q.dtype):
            rows = window[chunk:]
            scores = _scores(q, k, window, chunk).sub_(penalty)
            weights = torch.softmax(scores, dim=-1)
            tile = (weights @ _windows(v, window, chunk)).flatten(0, 1)
            tile_lse = (scores.amax(dim=-1) - weights.amax(dim=-1).log()).flatten()
            total = torch.logaddexp(lse[rows], tile_lse)
            share = (tile_lse - total).exp()[:, None]
            out.index_copy_(0, rows, out.index_select(0, rows).lerp_(tile, share))
            lse[rows] = total
        ctx.save_for_backward(q, k, v, out, lse, rounds.order, rounds.code)
        ctx.sequences, ctx.chunk, ctx.causal = rounds.sequences, chunk, causal
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, out, lse, order, code = ctx.saved_tensors
        chunk, rounds = ctx.chunk, _Rounds(order, code, ctx.sequences)
        alone = lse < -SELF / 2  # a token that sees itself only: its output is its value
        d_v = torch.where(alone[:, None], grad, 0.0)
        d_q, d_k = torch.zeros_like(q), torch.zeros_like(k)
        lse = lse.masked_fill(alone, math.inf)
        mean = (grad * out).sum(dim=-1)
        for window, penalty in _tiles(rounds, chunk, ctx.causal, q.dtype):
            rows = window[chunk:]
            seen, queries = _chunks(grad, rows, chunk), _chunks(q, rows, chunk)
            scores = _scores(q, k, window, chunk).sub_(penalty)
            weights = scores.sub_(lse[rows].view(-1, chunk, 1)).exp_()
            d_v.index_add_(0, window, _overlap(weights.mT @ seen))
            d_weights = seen @ _windows(v, window, chunk).mT
            d_scores = weights.mul_(d_weights.sub_(mean[rows].view(-1, chunk, 1)))
            d_q.index_add_(0, rows, (d_scores @ _windows(k, window, chunk)).flatten(0, 1))
            d_k.index_add_(0, window, _overlap(d_scores.mT @ queries))
        return d_q, d_k, d_v, None, None, None


def _tiles(
    rounds: _Rounds, chunk: int, causal: bool, dtype: torch.dtype
) -> Iterator[tuple[Tensor, Tensor]]:
    """The tokens of some chunks, behind those of the chunk before; and what lowers their scores.

    The penalty (chunks, chunk, 2 chunk) is inf where a query may not see a key, or has seen it in
    an earlier round, and 1 elsewhere: a constant changes no softmax, and 1 / 0 is faster than a
    choice. A token's own score is lowered by SELF.
    """
    last = torch.ones(chunk, 2 * chunk, dtype=dtype, device=rounds.order.device)
    itself = last.triu(chunk).tril(chunk)
    future = last.triu(chunk + 1) if causal else torch.zeros_like(last)
    fixed = (SELF * itself).masked_fill(future.bool(), math.inf)
    step = max(1, TILE // (2 * chunk**2))
    for number, order in enumerate(rounds.order):
        code = 2 * rounds.code[: number + 1, order].unfold(-1, 2 * chunk, chunk)
        queries, keys = code[..., chunk:, None] - 1, code[..., None, :].clone()
        keys[number].view(rounds.sequences, -1, 2 * chunk)[:, 0, :chunk] = FAR
        for start in range(0, queries.shape[1], step):
            chunks = slice(start, start + step)
            yield (
                order[start * chunk : (start + step + 1) * chunk],
                _penalty(queries[:, chunks], keys[:, chunks], chunk).to(dtype).add_(fixed),
            )


def _penalty(queries: Tensor, keys: Tensor, chunk: int) -> Tensor:
    """Inf where the last round hides a key or an earlier one has shown it, 1 elsewhere."""
    *earlier, this = zip(queries, keys, strict=True)
    visible = (this[0] - this[1]).abs_().eq_(1)  # 2 (code_i - code_j) - 1 is -1 or 1
    for query, key in earlier:
        visible.mul_((query - key).abs_().gt_(1))
    visible.diagonal(chunk, -2, -1).fill_(1)
    return visible.to(torch.float32).reciprocal_()


def _scores(q: Tensor, k: Tensor, window: Tensor, chunk: int) -> Tensor:
    return _chunks(q, window[chunk:], chunk) @ _windows(k, window, chunk).mT


def _chunks(x: Tensor, rows: Tensor, chunk: int) -> Tensor:
    """The given rows of x, (chunks, chunk, width)."""
    return x.index_select(0, rows).view(-1, chunk, x.shape[-1])


def _windows(x: Tensor, window: Tensor, chunk: int) -> Tensor:
    """Each chunk of the given rows but the first, behind the chunk before it."""
    return x.index_select(0, window).unfold(0, 2 * chunk, chunk).mT


def _overlap(x: Tensor) -> Tensor:
    """The sum of windows (chunks, 2 chunk, width) where they overlap: `_windows` transposed."""
    count, width = x.shape[0], x.shape[-1]
    before, own = torch.unflatten(x, 1, (2, -1)).unbind(dim=1)
    total = x.new_zeros(count + 1, *own.shape[1:])
    total[:-1] += before
    total[1:] += own
    return total.view(-1, width)


def _check_chunk(chunk: int) -> None:
    if chunk < 1:
        raise ValueError(f"chunk must be at least 1: got chunk={chunk}")


FORMS = (lsh_attention_by_definition, lsh_attention)
