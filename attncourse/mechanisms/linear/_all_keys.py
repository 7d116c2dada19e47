"""Means over all keys with weights phi(q_i) . phi(k_j), and their gradients, with little memory.

Forward: S = sum_j phi(k_j) v_j^T (d, e) and z = sum_j phi(k_j), then o_i = S^T phi(q_i) / t_i with
t_i = z . phi(q_i). Backward, for g_i the gradient of o_i over t_i and c_i = -g_i . o_i:

    dphi(q_i) = S g_i + c_i z        dS = sum_i phi(q_i) g_i^T        dz = sum_i c_i phi(q_i)
    dphi(k_j) = dS v_j + dz          dv_j = dS^T phi(k_j)

Nothing is as large as n times m, and only S and z are kept. What is needed for a while lies in
buffers that the next step writes over: new memory costs as much as the arithmetic done in it.
"""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from attncourse.core.by_hand import HandWritten, keep, kept
from attncourse.core.dtypes import accumulation_dtype
from attncourse.mechanisms.linear._sums import quotient, reciprocal

# Tokens are worked on in parts of about PART numbers a tensor (4 MiB of float32): small enough to
# stay in a processor's caches, and few operations, each of which waits for all threads.
PART = 2**20


class Features:
    """Features phi(x), number by number: those of inputs that are features already, x itself."""

    def __call__(self, x: Tensor) -> Tensor:
        """The features, in operations that autograd knows."""
        return x

    def into(self, x: Tensor, out: Tensor, spare: Tensor) -> Tensor:
        """The features of x in `out`, with another buffer to work in; or x, where it holds them."""
        return x

    def pull_back(self, grad: Tensor, phi: Tensor) -> None:
        """Turn the gradient of features into that of x, in place; phi may be written over."""


def over_all_keys(features: Features, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The mean of all values for every query: q (..., n, d), k (..., m, d), v (..., m, e)."""
    batched = [x.reshape(math.prod(x.shape[:-2]), *x.shape[-2:]) for x in (q, k, v)]
    compiled = torch.compiler.is_compiling()  # which fuses the plain form itself
    out: Tensor = (_OverAllKeys.plain if compiled else _OverAllKeys.call)(features, *batched)
    return out.view(*q.shape[:-1], v.shape[-1])


class _OverAllKeys(HandWritten):
    """Q (b, n, d), k (b, m, d), v (b, m, e) -> (b, n, e)."""

    @staticmethod
    def plain(features: Features, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        wide = accumulation_dtype(v.dtype)
        phi_q, phi_k = features(q.to(wide)), features(k.to(wide))
        sums, total = phi_k.mT @ v.to(wide), phi_k.sum(dim=1, keepdim=True)
        return quotient(phi_q @ sums, phi_q @ total.mT).to(v.dtype)

    @staticmethod
    def forward(ctx: Any, features: Features, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        b, d, e = q.shape[0], q.shape[-1], v.shape[-1]
        out = q.new_empty(*q.shape[:2], e)
        buffers = _Buffers(2, q, k, v, out)
        sums, total = (v.new_zeros(shape, dtype=buffers.wide) for shape in ((b, d, e), (b, 1, d)))
        for keys, values in buffers.parts(k, v):
            phi = features.into(keys, *buffers.like(keys, 0, 1))
            sums = torch.baddbmm(sums, phi.mT, values)
            total += phi.sum(dim=1, keepdim=True)
        for queries, place in buffers.parts(q, out, read=1):
            phi = features.into(queries, *buffers.like(queries, 0, 1))
            weights = _rows(phi, total, *buffers.like(queries, 1))
            result = torch.bmm(phi, sums, out=buffers.for_result(place, 1))
            _finish(result.mul_(reciprocal(weights)), place)
        if any(ctx.needs_input_grad):
            keep(ctx, (features, q, k, v), out, sums, total)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (features, q, k, v), (out, sums, total) = kept(ctx)
        buffers = _Buffers(4, q, k, v)
        of_sums, of_total = torch.zeros_like(sums), torch.zeros_like(total)
        of_q, of_k, of_v = (torch.empty_like(x) for x in (q, k, v))
        for queries, results, outer, place in buffers.parts(q, out, grad, of_q, read=3):
            phi = features.into(queries, *buffers.like(queries, 0, 1))
            (g, spare), (product,) = buffers.like(results, 1, 2), buffers.like(phi, 2)
            weights = _rows(phi, total, product)
            torch.mul(outer, reciprocal(weights), out=g)
            c = _rows(g, results, spare).neg_()
            of_sums = torch.baddbmm(of_sums, phi.mT, g)
            of_total += torch.mul(phi, c, out=product).sum(dim=1, keepdim=True)
            of_phi = torch.bmm(g, sums.mT, out=buffers.for_result(place, 3)).addcmul_(c, total)
            features.pull_back(of_phi, phi)
            _finish(of_phi, place)
        for keys, values, of_keys, of_values in buffers.parts(k, v, of_k, of_v, read=2):
            phi = features.into(keys, *buffers.like(keys, 0, 1))
            _finish(torch.bmm(phi, of_sums, out=buffers.for_result(of_values, 1)), of_values)
            of_phi = torch.bmm(values, of_sums.mT, out=buffers.for_result(of_keys, 2))
            features.pull_back(of_phi.add_(of_total), phi)
            _finish(of_phi, of_keys)
        return None, of_q, of_k, of_v


def _rows(x: Tensor, y: Tensor, product: Tensor) -> Tensor:
    """The sum of each row of x times y, (..., 1); `product` is written over."""
    return torch.mul(x, y, out=product).sum(dim=-1, keepdim=True)


def _finish(result: Tensor, place: Tensor) -> None:
    """Have the result in its place, if it is not there yet."""
    if result is not place:
        place.copy_(result)


class _Buffers:
    """A few buffers that hold one part of any of the tensors, in the dtype of accumulation.

    The memory of `result` is the last of them where it is large enough for all of its tokens: it is
    written to the end only then.
    """

    def __init__(
        self, count: int, q: Tensor, k: Tensor, v: Tensor, result: Tensor | None = None
    ) -> None:
        self.wide = accumulation_dtype(v.dtype)
        width, longest = max(q.shape[-1], v.shape[-1]), max(q.shape[1], k.shape[1])
        self.size = max(1, PART // max(1, q.shape[0] * width))
        room = q.shape[0] * min(longest, self.size) * width
        own = [] if result is None or longest > self.size else [result.view(-1)]
        own = [x for x in own if x.dtype == self.wide and x.numel() >= room]
        new = v.new_empty(count - len(own), room, dtype=self.wide)
        self.flat = [*new.unbind(), *own]

    def parts(self, *tensors: Tensor, read: int = 2) -> Iterator[tuple[Tensor, ...]]:
        """Parts of some tokens; those of the first `read` tensors in the dtype of accumulation."""
        n = tensors[0].shape[1]
        for start in range(0, n, self.size) if n > self.size else (0,):
            cut = [x[:, start : start + self.size] if n > self.size else x for x in tensors]
            yield (*[x.to(self.wide) for x in cut[:read]], *cut[read:])

    def like(self, x: Tensor, *which: int) -> tuple[Tensor, ...]:
        """Some of the buffers, in the shape of x."""
        return tuple([self.flat[i][: x.numel()].view(x.shape) for i in which])

    def for_result(self, place: Tensor, spare: int) -> Tensor:
        """The place itself where sums may be held in it, a buffer where not."""
        direct = place.dtype == self.wide and place.is_contiguous()
        return place if direct else self.like(place, spare)[0]
