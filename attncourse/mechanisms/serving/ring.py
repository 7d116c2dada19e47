"""Ring attention: the sequence is cut over workers, and keys and values go round."""

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, pairwise
from typing import Any

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from attncourse.core.dtypes import accumulation_dtype
from attncourse.core.masks import causal_mask
from attncourse.core.shapes import checked
from attncourse.mechanisms.dense.softmax import attention
from attncourse.mechanisms.exact.blockwise import merge_attention
from attncourse.mechanisms.sharing.fusion import attention_and_lse

Shards = Sequence[Tensor]


@checked
def ring_attention_by_definition(qs: Shards, ks: Shards, vs: Shards) -> list[Tensor]:
    """Attention over the shards put together, cut again as the queries were."""
    _check_shards(qs, ks, vs)
    q, k, v = (torch.cat(list(shards), dim=-2) for shards in (qs, ks, vs))
    return list(torch.split(attention(q, k, v), [x.shape[-2] for x in qs], dim=-2))


@checked
def causal_ring_attention_by_definition(qs: Shards, ks: Shards, vs: Shards) -> list[Tensor]:
    """Causal attention over the shards put together, cut again as the queries were."""
    _check_shards(qs, ks, vs)
    q, k, v = (torch.cat(list(shards), dim=-2) for shards in (qs, ks, vs))
    mask = causal_mask(q.shape[-2], k.shape[-2]).to(q.device)
    return list(torch.split(attention(q, k, v, mask=mask), [x.shape[-2] for x in qs], dim=-2))


@checked
def ring_attention(qs: Shards, ks: Shards, vs: Shards) -> list[Tensor]:
    """Attention of P workers, each with a shard of queries, of keys and of values.

    In step s worker i attends to the shard of worker i - s (mod P), which has been passed on s
    times, and merges the result into what it has (`merge_attention`). After P steps each query
    has seen all keys, and no worker ever held more than one foreign shard. Shards may differ in
    length. Here the workers take turns; `ring_attention_distributed` runs them as processes. Time
    O(n m (d + e) / P) and memory O(n m / P^2) for each worker.

    Raises ValueError unless there is one shard of each for every worker, and shapes fit.
    Source: Liu, Zaharia and Abbeel 2023, section 3.
    """
    _check_shards(qs, ks, vs)
    return _around(qs, ks, vs, lambda i, j: attention_and_lse(qs[i], ks[j], vs[j]))


@checked
def causal_ring_attention(qs: Shards, ks: Shards, vs: Shards) -> list[Tensor]:
    """`ring_attention` in which a query sees no key of the future, whatever shard that is in.

    Positions run on from shard to shard, aligned to the bottom right as in `causal_mask`. A pair
    of shards of which every key is in the future is left out: about half of the work, though
    the last workers then do more than the first. Cost, source and errors as there.
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


def _around(
    qs: Shards, ks: Shards, vs: Shards, part: Callable[[int, int], tuple[Tensor, Tensor] | None]
) -> list[Tensor]:
    """Let every worker merge, step by step, its attention to the shard that has reached it."""
    workers = len(qs)
    held = [_nothing(q, v) for q, v in zip(qs, vs, strict=True)]
    for step in range(workers):
        for i in range(workers):
            found = part(i, (i - step) % workers)
            if found is not None:
                held[i] = merge_attention(*held[i], *found)
    return [out.to(q.dtype) for q, (out, _) in zip(qs, held, strict=True)]


def _nothing(q: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Attention to no key at all: zeros, with logsumexp -inf."""
    wide = accumulation_dtype(q.dtype)
    lse = torch.full(q.shape[:-1], -math.inf, dtype=wide, device=q.device)
    return torch.zeros(*q.shape[:-1], v.shape[-1], dtype=wide, device=q.device), lse


def _positions(shards: Shards) -> list[range]:
    """The positions of each shard in the whole."""
    ends = list(accumulate((x.shape[-2] for x in shards), initial=0))
    return [range(a, b) for a, b in pairwise(ends)]


def _check_shards(qs: Shards, ks: Shards, vs: Shards) -> None:
    if not len(qs) == len(ks) == len(vs) >= 1:
        raise ValueError(
            "qs, ks and vs must hold one shard for each worker, and at least one"
            f": got {len(qs)}, {len(ks)} and {len(vs)}"
        )


@checked
def ring_attention_distributed(
    q: Float[Tensor, "... n d"],
    k: Float[Tensor, "... m d"],
    v: Float[Tensor, "... m e"],
    *,
    group: dist.ProcessGroup | None,
) -> Float[Tensor, "... n e"]:
    """Ring attention of real processes: each calls it with its own shards and gets its own rows.

    group is the ring, such as torch.distributed.group.WORLD. Keys and values travel round it by
    isend and irecv, the next shard while the present one is computed. The backward pass goes
    round once more: the gradients of a shard travel with it and are home after the last step, so
    every process must call backward. Lengths may differ from process to process; widths, leading
    axes and dtype may not. Half precision is accumulated, and its gradients travel, in float32.
    For each of P processes: time O(n m P (d + e)), memory O(n m + m (d + e)), and P - 1 messages
    of m (d + e) numbers forward.

    Raises ValueError without a group, as it is before torch.distributed is initialised.
    Differentiable once.
    Source: Liu, Zaharia and Abbeel 2023, section 3.
    """
    if group is None:
        raise ValueError(
            "group must be a process group: got None (torch.distributed is not initialised)"
        )
    out: Tensor = _Distributed.apply(q, k, v, _Ring(k, group))  # type: ignore[no-untyped-call]
    return out


class _Ring:
    """The place of this process in the ring, and how many keys each process began with."""

    def __init__(self, k: Tensor, group: Any) -> None:
        self.group, self.size = group, dist.get_world_size(group)
        self.rank = dist.get_rank(group)
        length = torch.tensor([k.shape[-2]], device=k.device)
        lengths = [torch.empty_like(length) for _ in range(self.size)]
        dist.all_gather(lengths, length, group=group)
        self.lengths = [int(x) for x in lengths]

    def rounds(self, k: Tensor, v: Tensor) -> Iterator[tuple[Tensor, ...]]:
        """The keys and values of every process, beginning with the own ones."""
        held: tuple[Tensor, ...] = k.contiguous(), v.contiguous()
        for step in range(self.size):
            wait = self.pass_on(step, *held) if step < self.size - 1 else None
            yield held
            held = wait() if wait else held

    def pass_on(self, step: int, *held: Tensor) -> Callable[[], tuple[Tensor, ...]]:
        """Send what is held in `step` to the next process; the result waits for what comes in."""
        after = dist.get_global_rank(self.group, (self.rank + 1) % self.size)
        before = dist.get_global_rank(self.group, (self.rank - 1) % self.size)
        m = self.lengths[(self.rank - step - 1) % self.size]
        coming = tuple(x.new_empty(*x.shape[:-2], m, x.shape[-1]) for x in held)
        sends = [dist.P2POp(dist.isend, x, after, self.group) for x in held]
        receives = [dist.P2POp(dist.irecv, x, before, self.group) for x in coming]
        work = dist.batch_isend_irecv([*sends, *receives])

        def wait() -> tuple[Tensor, ...]:
            for one in work:
                one.wait()
            return coming

        return wait


class _Distributed(torch.autograd.Function):
    """Forward: merge what comes round. Backward: the same round, with gradients on board."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, ring: _Ring) -> Tensor:
        out, lse = _nothing(q, v)
        for keys, values in ring.rounds(k, v):
            out, lse = merge_attention(out, lse, *attention_and_lse(q, keys, values))
        ctx.save_for_backward(q, k, v, out, lse)
        ctx.ring = ring
        return out.to(q.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, out, lse = ctx.saved_tensors
        ring, g = ctx.ring, grad.to(out.dtype)
        d_q = torch.zeros_like(q, dtype=out.dtype)
        travelling = tuple(torch.zeros_like(x, dtype=out.dtype) for x in (k, v))
        for step, (keys, values) in enumerate(ring.rounds(k, v)):
            parts = _part_gradients(
                q.to(g.dtype), keys.to(g.dtype), values.to(g.dtype), g, out, lse
            )
            d_q += parts[0]
            added = [(x + y).contiguous() for x, y in zip(travelling, parts[1:], strict=True)]
            travelling = ring.pass_on(step, *added)()  # the last one brings them home
        d_k, d_v = travelling
        return d_q.to(q.dtype), d_k.to(k.dtype), d_v.to(v.dtype), None


def _part_gradients(
    q: Tensor, k: Tensor, v: Tensor, grad: Tensor, out: Tensor, lse: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The part of dq, dk and dv that comes from one shard of keys, its weights computed again."""
    scale = 1 / math.sqrt(q.shape[-1])
    weights = (q @ k.mT * scale - lse[..., None]).exp()
    mean = (grad * out).sum(dim=-1, keepdim=True)
    d_scores = weights * (grad @ v.mT - mean) * scale
    return d_scores @ k, d_scores.mT @ q, weights.mT @ grad


FORMS = (
    ring_attention_by_definition,
    causal_ring_attention_by_definition,
    causal_ring_attention,
    ring_attention,
)
