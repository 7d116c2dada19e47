"""How LSH attention sorts its tokens, round by round, and attends, chunk by chunk."""

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from attncourse.core.by_hand import HandWritten, keep, kept

SELF = 1e30  # what a token's own score is lowered by: less than any other, more than nothing
FAR = -4  # a code that is near to none
TILE = 2**18  # scores held at a time: small enough for a cache, large enough for all cores
HASHED = 2**10  # tokens hashed at a time


class Rounds(NamedTuple):
    """Where each round puts the t tokens of all sequences.

    order (p, chunk + t) lists the tokens as sorted, behind a chunk that stands in for the one
    before the first. code (p, t) numbers, within a sequence, the stretches of one bucket in one
    chunk: the next chunk of a bucket has the next number, a new bucket leaves one out. So i sees
    j just where code_i - code_j is 0 or 1.
    """

    order: Tensor
    code: Tensor
    sequences: int
    chunk: int

    @classmethod
    def sort(cls, x: Tensor, rotations: Tensor, n: int, chunk: int) -> "Rounds":
        """Hash and sort the tokens of x (sequences, length, d), of which n in each are real."""
        count, length, _ = x.shape
        buckets = 2 * rotations.shape[-1] + 1  # the last one holds the empty tokens
        found = _hash(x.flatten(0, 1), rotations).view(-1, count, length)  # (p, sequences, length)
        found[..., n:] = buckets - 1
        found += buckets * torch.arange(count, device=x.device)[:, None]
        orders, codes = [], []
        starts = torch.arange(count * length, device=x.device) % chunk == 0
        narrow = 4 * (length // chunk + buckets) < 2**15
        for bucket in found.flatten(1):  # (t,), the numbers of one sequence after another's
            bucket, order = bucket.sort(stable=True)
            steps = torch.where(bucket.diff(prepend=bucket[:1]) != 0, 2, starts.long())
            code = steps.cumsum(dim=0).view(count, length)
            code = (code - code[:, :1]).flatten().to(torch.int16 if narrow else torch.int32)
            orders.append(torch.cat([order[:chunk], order]))
            codes.append(torch.empty_like(code).scatter_(0, order, code))
        return cls(torch.stack(orders), torch.stack(codes), count, chunk)


def _hash(x: Tensor, rotations: Tensor) -> Tensor:
    """The buckets (p, t) of all rounds: argmax([x R; -x R]) by means of maxima alone.

    An argmax takes several times as long as a maximum, and its 2r columns need not be written.
    """
    p, d, r = rotations.shape
    directions = rotations.transpose(0, 1).reshape(d, p * r)
    from_last = torch.arange(r, 0, -1, dtype=x.dtype, device=x.device)
    found = []
    for tokens in torch.split(x, HASHED):
        rotated = (tokens @ directions).view(-1, p, r)
        high, low = rotated.amax(dim=-1), rotated.amin(dim=-1)  # (tokens, p)
        opposite = -low > high
        best = torch.where(opposite, low, high)
        first = r - rotated.eq_(best[..., None]).mul_(from_last).amax(dim=-1)
        found.append((first.clamp(max=r - 1) + r * opposite).long())
    return torch.cat(found).mT.contiguous()


class ChunkedAttention(HandWritten):
    """The loop over rounds and tiles of chunks, and its hand-written backward pass."""

    @staticmethod
    def plain(q: Tensor, k: Tensor, v: Tensor, causal: bool, *rounds: Any) -> Tensor:
        return _attend(q, k, v, Rounds(*rounds), causal, _joined)[0]

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, causal: bool, *rounds: Any) -> Tensor:
        out, lse = _attend(q, k, v, Rounds(*rounds), causal)
        keep(ctx, (q, k, v, causal, *rounds), out, lse)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Compute each tile's weights again, from the logsumexp of the whole."""
        (q, k, v, causal, *where), (out, lse) = kept(ctx)
        rounds = Rounds(*where)
        chunk = rounds.chunk
        alone = lse < -SELF / 2  # a token that sees itself only: its output is its value
        d_v = torch.where(alone[:, None], grad, 0.0)
        d_q, d_k = torch.zeros_like(q), torch.zeros_like(k)
        lse, mean = lse.masked_fill(alone, math.inf), (grad * out).sum(dim=-1)
        for seen, penalty in _tiles(rounds, causal, q.dtype):
            asking = seen[chunk:]
            queries, g = _chunks(q, asking, chunk), _chunks(grad, asking, chunk)
            keys, values = _windows(k, seen, chunk), _windows(v, seen, chunk)
            scores = (queries @ keys.mT).sub_(penalty)  # (c, chunk, 2 chunk)
            weights = scores.sub_(lse[asking].view(-1, chunk, 1)).exp_()
            d_v.index_add_(0, seen, _overlap(weights.mT @ g))
            d_weights = (g @ values.mT).sub_(mean[asking].view(-1, chunk, 1))
            d_scores = weights.mul_(d_weights)
            d_q.index_add_(0, asking, (d_scores @ keys).flatten(0, 1))
            d_k.index_add_(0, seen, _overlap(d_scores.mT @ queries))
        return d_q, d_k, d_v, None, *[None] * len(rounds)


def _joined(a: Tensor, b: Tensor) -> Tensor:
    """`torch.logaddexp`, whose second derivative at -inf would be NaN."""
    return torch.stack((a, b)).logsumexp(dim=0)


def _attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    rounds: Rounds,
    causal: bool,
    join: Callable[[Tensor, Tensor], Tensor] = torch.logaddexp,
) -> tuple[Tensor, Tensor]:
    """Attend tile by tile; each joins what its queries have so far by their logsumexp."""
    chunk = rounds.chunk
    out, lse = torch.zeros_like(v), q.new_full((len(q),), -math.inf)
    for seen, penalty in _tiles(rounds, causal, q.dtype):
        asking = seen[chunk:]  # the tokens of c chunks; seen has those of the chunk before, too
        keys, values = _windows(k, seen, chunk), _windows(v, seen, chunk)  # (c, 2 chunk, width)
        scores = (_chunks(q, asking, chunk) @ keys.mT).sub_(penalty)  # (c, chunk, 2 chunk)
        weights = torch.softmax(scores, dim=-1)
        tile = (weights @ values).flatten(0, 1)  # (c chunk, e)
        tile_lse = (scores.amax(dim=-1) - weights.amax(dim=-1).log()).flatten()
        total = join(lse[asking], tile_lse)
        share = (tile_lse - total).exp()[:, None]
        out.index_copy_(0, asking, out.index_select(0, asking).lerp_(tile, share))
        lse[asking] = total
    return out, lse


def _tiles(rounds: Rounds, causal: bool, dtype: torch.dtype) -> Iterator[tuple[Tensor, Tensor]]:
    """The tokens of c chunks, behind those of the chunk before; and what lowers their scores.

    The penalty (c, chunk, 2 chunk) is inf where a query may not see a key, or has seen it in
    an earlier round, and 1 elsewhere: a constant changes no softmax, and 1 / 0 is faster than a
    choice. A token's own score is lowered by SELF.
    """
    chunk = rounds.chunk
    every = torch.ones(chunk, 2 * chunk, dtype=dtype, device=rounds.order.device)
    itself = every.triu(chunk).tril(chunk)
    future = every.triu(chunk + 1 if causal else 2 * chunk)
    fixed = (SELF * itself).masked_fill(future.bool(), math.inf)
    step = max(1, TILE // (2 * chunk**2))
    for number, order in enumerate(rounds.order):
        # (rounds so far, all chunks, 2 chunk), then (..., chunk, 1) and (..., 1, 2 chunk)
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


def _chunks(x: Tensor, tokens: Tensor, chunk: int) -> Tensor:
    """The vectors x of c chunks of tokens, (c, chunk, width)."""
    return x.index_select(0, tokens).view(-1, chunk, x.shape[-1])


def _windows(x: Tensor, tokens: Tensor, chunk: int) -> Tensor:
    """Those of each chunk but the first, behind the chunk before it, (c, 2 chunk, width)."""
    return x.index_select(0, tokens).unfold(0, 2 * chunk, chunk).mT


def _overlap(x: Tensor) -> Tensor:
    """The sum of windows (c, 2 chunk, width) where they overlap: `_windows` transposed."""
    count, width = x.shape[0], x.shape[-1]
    before, own = torch.unflatten(x, 1, (2, -1)).unbind(dim=1)  # (c, chunk, width) each
    total = x.new_zeros(count + 1, *own.shape[1:])
    total[:-1] += before
    total[1:] += own
    return total.view(-1, width)
