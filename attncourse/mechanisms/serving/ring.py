"""Ring attention: the sequence is cut over workers, and keys and values go round."""

from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise

import torch
from torch import Tensor

from attncourse.core.masks import causal_mask
from attncourse.core.shapes import checked
from attncourse.mechanisms.dense.softmax import attention
from attncourse.mechanisms.exact.merging import attention_and_lse, empty_part, merge_attention

Shards = Sequence[Tensor]


@checked
def ring_attention_by_definition(qs: Shards, ks: Shards, vs: Shards) -> list[Tensor]:
    """Attention over the shards put together, cut again as the queries were."""
    _check_shards(qs, ks, vs)
    q, k, v = (torch.cat(list(shards), dim=-2) for shards in (qs, ks, vs))
    return list(torch.split(attention(q, k, v), [x.shape[-2] for x in qs], dim=-2))


@checked
def ring_attention(
    qs: Sequence[Tensor], ks: Sequence[Tensor], vs: Sequence[Tensor]
) -> list[Tensor]:
    """Attention of P workers, each with a shard of queries, of keys and of values.

    In step s worker i attends to the shard of worker i - s (mod P), which has been passed on s
    times, and merges the result into what it has (`merge_attention`). After P steps each query
    has seen all keys, and no worker ever held more than one foreign shard. Shards may differ in
    length. Here the workers take turns; `ring_attention_distributed` runs them as processes. Time
    O(n m (d + e) / P) and memory O(n m / P^2) for each worker.

    Raises ValueError unless there is one shard of each for every worker, and shapes fit.
    Source: Liu, Zaharia and Abbeel 2023, section 3.

    >>> x, values = [torch.zeros(1, 2)] * 2, [torch.tensor([[1.0]]), torch.tensor([[3.0]])]
    >>> [rows.round(decimals=4).tolist() for rows in ring_attention(x, x, values)]
    [[[2.0]], [[2.0]]]
    """
    _check_shards(qs, ks, vs)
    return _around(qs, ks, vs, lambda i, j: attention_and_lse(qs[i], ks[j], vs[j]))


@checked
def causal_ring_attention_by_definition(qs: Shards, ks: Shards, vs: Shards) -> list[Tensor]:
    """Causal attention over the shards put together, cut again as the queries were."""
    _check_shards(qs, ks, vs)
    q, k, v = (torch.cat(list(shards), dim=-2) for shards in (qs, ks, vs))
    mask = causal_mask(q.shape[-2], k.shape[-2]).to(q.device)
    return list(torch.split(attention(q, k, v, mask=mask), [x.shape[-2] for x in qs], dim=-2))


@checked
def causal_ring_attention(qs: Shards, ks: Shards, vs: Shards) -> list[Tensor]:
    """`ring_attention` in which a query sees no key of the future, whatever shard that is in.

    Positions run on from shard to shard, aligned to the bottom right as in `causal_mask`. A pair
    of shards of which every key is in the future is left out: about half of the work, though
    the last workers then do more than the first. Cost, source and errors as there.

    >>> x, values = [torch.zeros(1, 2)] * 2, [torch.tensor([[1.0]]), torch.tensor([[3.0]])]
    >>> [rows.round(decimals=4).tolist() for rows in causal_ring_attention(x, x, values)]
    [[[1.0]], [[2.0]]]
    """
    _check_shards(qs, ks, vs)
    rows, columns = _positions(qs), _positions(ks)
    offset = columns[-1].stop - rows[-1].stop

    def part(i: int, j: int) -> tuple[Tensor, Tensor] | None:
        if columns[j].start > rows[i].stop - 1 + offset:
            return None
        queries = torch.arange(rows[i].start, rows[i].stop, device=qs[i].device) + offset
        keys = torch.arange(columns[j].start, columns[j].stop, device=qs[i].device)
        return attention_and_lse(qs[i], ks[j], vs[j], mask=keys <= queries[:, None])

    return _around(qs, ks, vs, part)


def _check_shards(qs: Shards, ks: Shards, vs: Shards) -> None:
    if not len(qs) == len(ks) == len(vs) >= 1:
        raise ValueError(
            "qs, ks and vs must hold one shard for each worker, and at least one"
            f": got {len(qs)}, {len(ks)} and {len(vs)}"
        )


def _around(
    qs: Shards, ks: Shards, vs: Shards, part: Callable[[int, int], tuple[Tensor, Tensor] | None]
) -> list[Tensor]:
    """Let every worker merge, step by step, its attention to the shard that has reached it."""
    workers = len(qs)
    held = [empty_part(q, v) for q, v in zip(qs, vs, strict=True)]
    for step in range(workers):
        for i in range(workers):
            found = part(i, (i - step) % workers)
            if found is not None:
                held[i] = merge_attention(*held[i], *found)
    return [out.to(q.dtype) for q, (out, _) in zip(qs, held, strict=True)]


def _positions(shards: Shards) -> list[range]:
    """The positions of each shard in the whole."""
    ends = list(accumulate((x.shape[-2] for x in shards), initial=0))
    return [range(a, b) for a, b in pairwise(ends)]
