"""Ring attention of real processes, which pass keys and values on while they compute."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor

from attncourse.core.by_hand import HandWritten, keep, kept
from attncourse.core.shapes import checked
from attncourse.mechanisms.exact.merging import attention_and_lse, empty_part, merge_attention


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
    Second derivatives raise RuntimeError.
    Source: Liu, Zaharia and Abbeel 2023, section 3.

    >>> q, k, v = torch.zeros(1, 2), torch.zeros(3, 2), torch.zeros(3, 1)
    >>> ring_attention_distributed(q, k, v, group=torch.distributed.group.WORLD)
    Traceback (most recent call last):
    ValueError: group must be a process group: got None (torch.distributed is not initialised)
    """
    if group is None:
        raise ValueError(
            "group must be a process group: got None (torch.distributed is not initialised)"
        )
    out: Tensor = _Distributed.call(q, k, v, _Ring(k, group))
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


class _Distributed(HandWritten):
    """Forward: merge what comes round. Backward: the same round, with gradients on board."""

    refusal = (
        "ring_attention_distributed has neither second derivatives nor rules for torch.func, whose"
        " tensors cannot travel: take ring_attention, in one process"
    )

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, ring: _Ring) -> Tensor:
        out, lse = empty_part(q, v)
        for keys, values in ring.rounds(k, v):
            out, lse = merge_attention(out, lse, *attention_and_lse(q, keys, values))
        keep(ctx, (q, k, v, ring), out, lse)
        return out.to(q.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (q, k, v, ring), (out, lse) = kept(ctx)
        g = grad.to(out.dtype)
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
