"""PyTorch's fused attention, with the derivatives that its kernels lack."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from attncourse.core.by_hand import HandWritten, keep, kept, under_torch_func


def fused_attention(q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor | None = None) -> Tensor:
    """``scaled_dot_product_attention``, differentiable any number of times.

    Every row of the Boolean mask must have a True. Value and gradient are those of PyTorch's
    kernel, which never stores the scores; second derivatives, and torch.func, store them.
    """
    trained = torch.is_grad_enabled() and (q.requires_grad or k.requires_grad or v.requires_grad)
    if (trained and not torch.compiler.is_compiling()) or under_torch_func():
        out: Tensor = _Fused.call(q, k, v, mask)
        return out
    return scaled_dot_product_attention(q, k, v, attn_mask=mask)


class _Fused(HandWritten):
    """The kernel's own graph, kept for one backward pass and made anew for each further one."""

    @staticmethod
    def plain(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        scores = q @ k.mT / math.sqrt(q.shape[-1])
        if mask is not None:
            scores = scores.masked_fill(~mask, -math.inf)
        return scores.softmax(dim=-1) @ v

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        ctx.graph = _graph(q, k, v, mask)
        keep(ctx, (q, k, v, mask))
        out: Tensor = ctx.graph[0].detach()
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        out, leaves = ctx.graph or _graph(*kept(ctx)[0])
        ctx.graph = None
        return *torch.autograd.grad(out, leaves, grad), None


def _graph(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> tuple[Tensor, list[Tensor]]:
    """The output of the kernel, and the leaves that its gradient is taken for."""
    with torch.enable_grad():
        q, k, v = leaves = [x.detach().requires_grad_() for x in (q, k, v)]
        return scaled_dot_product_attention(q, k, v, attn_mask=mask), leaves
