"""Attention over many small tiles in one call of PyTorch's fused kernel.

The fast forms of chapter 11 cut queries and keys into tiles, views where possible, and hand all
tiles to ``scaled_dot_product_attention`` together. It never stores the scores of a tile.
"""

import math

import torch
from torch import Tensor
from torch.nn.functional import pad

from attncourse.core.dtypes import accumulation_dtype
from attncourse.core.fused import fused_attention
from attncourse.core.patterns import band

BLOCK = 64  # queries that share a run of keys: fewer waste less of it, more keep the kernel busier


def of_one_width(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """q, k and v with one leading axis and one width, in the dtype of accumulation.

    The fused kernel wants keys and values of one width: the narrower get columns of zeros, which
    change no product, and queries are scaled so that 1 / sqrt(width) is again 1 / sqrt(d).
    """
    d, e = q.shape[-1], v.shape[-1]
    width, wide = max(d, e), accumulation_dtype(q.dtype)
    queries, keys, values = (
        _widened(x.reshape(math.prod(x.shape[:-2]), *x.shape[-2:]).to(wide), width)
        for x in (q, k, v)
    )  # (L, n, width)
    return (queries if width == d else queries * math.sqrt(width / d)), keys, values


def _widened(x: Tensor, width: int) -> Tensor:
    """X with columns of zeros up to `width`; x itself where it has them all."""
    return x if x.shape[-1] == width else pad(x, (0, width - x.shape[-1]))


def like(v: Tensor, out: Tensor) -> Tensor:
    """The outputs (L, n, width) of `of_one_width` in the shape and dtype of v."""
    return out[..., : v.shape[-1]].reshape(v.shape).to(v.dtype)


def in_blocks(x: Tensor, block: int) -> Tensor:
    """The rows of x in blocks: (L, n, d) -> (L, n / block, block, d), with zeros behind the end."""
    missing = -x.shape[1] % block
    whole = pad(x, (0, 0, 0, missing)) if missing else x
    return torch.unflatten(whole, 1, (-1, block))  # (L, n / block, block, d)


def fused(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """Softmax attention of each tile: q (L, c, n, d), k and v (L, c, m, d) -> (L, c, n, d).

    Every row of the Boolean mask, (n, m) or (c, n, m), must have a True.
    """
    if mask is not None and mask.ndim == 3:
        mask = mask[None]  # (1, c, n, m)
    return fused_attention(q, k, v, mask=mask)


def one_tile(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """`fused` for a single tile: q (L, n, d), k and v (L, m, d) -> (L, n, d)."""
    return fused(q.unsqueeze(1), k.unsqueeze(1), v.unsqueeze(1), mask).squeeze(1)


def windows(q: Tensor, k: Tensor, v: Tensor, *, before: int, after: int, extra: int = 0) -> Tensor:
    """Attention of query i over keys i - before .. i + after, and over `extra` keys for everyone.

    q is (L, n, d); k and v are (L, extra + n, d), the keys for everyone in front. Queries go in
    blocks of 64. All keys that a block can see are one run of rows, and the runs of successive
    blocks are one overlapping view, so all blocks go to the kernel in one call under one mask.
    The two ends, whose runs would leave the sequence, are calls of their own.
    """
    n, period = q.shape[1], BLOCK + extra
    first, last = -(-before // BLOCK), (n - after) // BLOCK
    if last <= first:
        return _end(q, k, v, 0, n, before, after, extra)
    start, stop = first * BLOCK, last * BLOCK
    low = min(0, _place(-before, extra))
    high = _place(BLOCK - 1 + after, extra) + 1
    runs = slice(first * period + low, (last - 1) * period + high)
    keys, values = (
        _spread(x, extra)[:, runs].unfold(1, high - low, period).mT for x in (k, v)
    )  # (L, blocks, run, d), with run = high - low
    mask = _run_mask(low, high, before, after, extra).to(q.device)  # (BLOCK, run)
    queries = in_blocks(q[:, start:stop], BLOCK)  # (L, blocks, BLOCK, d)
    parts = [fused(queries, keys, values, mask).flatten(1, 2)]  # (L, stop - start, d)
    if start > 0:
        parts.insert(0, _end(q, k, v, 0, start, before, after, extra))
    if stop < n:
        parts.append(_end(q, k, v, stop, n, before, after, extra))
    return torch.cat(parts, dim=1)


def _spread(x: Tensor, extra: int) -> Tensor:
    """The first `extra` rows of x again before each block of the others, so that runs hold them."""
    if extra == 0:
        return x
    rest = in_blocks(x[:, extra:], BLOCK)  # (L, c, BLOCK, d)
    front = x[:, None, :extra].expand(-1, rest.shape[1], -1, -1)  # (L, c, extra, d)
    return torch.cat([front, rest], dim=2).flatten(1, 2)  # (L, c (extra + BLOCK), d)


def _place(key: int, extra: int) -> int:
    """The row of a key after `_spread`, counted from the first row of its own block 0."""
    return key + (key // BLOCK + 1) * extra


def _run_mask(low: int, high: int, before: int, after: int, extra: int) -> Tensor:
    """What the queries of a block see of its run, the rows from low to high around it."""
    row, period = torch.arange(low, high), BLOCK + extra
    key = row - (row.div(period, rounding_mode="floor") + 1) * extra
    distance = key - torch.arange(BLOCK)[:, None]  # (BLOCK, high - low)
    near = (distance >= -before) & (distance <= after) & (row % period >= extra)
    return near | ((row >= 0) & (row < extra))


def _end(
    q: Tensor, k: Tensor, v: Tensor, start: int, stop: int, before: int, after: int, extra: int
) -> Tensor:
    """The queries from start to stop against all keys that any of them may see, as one tile."""
    left, right = max(0, start - before), min(q.shape[1], stop + after)
    shift = start - left
    mask = band(stop - start, right - left, before - shift, after + shift)
    keys, values = (x[:, extra + left : extra + right] for x in (k, v))  # (L, right - left, d)
    if extra > 0:
        mask = pad(mask, (extra, 0), value=True)
        keys = torch.cat([k[:, :extra], keys], dim=1)
        values = torch.cat([v[:, :extra], values], dim=1)
    return one_tile(q[:, start:stop], keys, values, mask.to(q.device))


def summary(scores: Tensor, seen: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """A set of keys as one: the logsumexp of the scores that are seen, and the mean value.

    scores (..., n, m), Boolean seen (n, m) and values (..., m, d) give (..., n, 1), (..., n, d).
    """
    # of an empty set a finite score, so weight 0 and not gradient NaN, with room for sqrt(d) above
    scores = scores.masked_fill(~seen, torch.finfo(scores.dtype).min / 2**10)
    return scores.logsumexp(dim=-1, keepdim=True), scores.softmax(dim=-1) @ values


def windows_and_summary(
    q: Tensor, k: Tensor, v: Tensor, score: Tensor, mean: Tensor, *, before: int, after: int
) -> Tensor:
    """Attention over the window and one more key, whose score and value each query brings along.

    That is attention over the window and the set of which score (L, n, 1) and mean (L, n, d) are
    the `summary`. The one more key is (0, ..., 0, 1), the query (q, score): their product is the
    score. The value is (0, ..., 0, 1) too, so the last column of the output is the weight of the
    set, and mean counts that much.
    """
    d = q.shape[-1]
    one = torch.cat([torch.zeros_like(k[:, :1]), torch.ones_like(k[:, :1, :1])], dim=-1)
    keys, values = (torch.cat([one, pad(x, (0, 1))], dim=1) for x in (k, v))  # (L, 1 + n, d + 1)
    queries = torch.cat([q, score * math.sqrt(d)], dim=-1) * math.sqrt((d + 1) / d)
    out = windows(queries, keys, values, before=before, after=after, extra=1)
    return torch.addcmul(out[..., :d], out[..., d:], mean)
