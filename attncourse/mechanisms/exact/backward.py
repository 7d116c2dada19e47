"""The backward pass of attention, by hand: what autograd computes, written out."""

import math
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from attncourse.core.dtypes import accumulation_dtype
from attncourse.core.shapes import checked
from attncourse.mechanisms.dense.softmax import attention, softmax


@checked
def attention_backward_by_definition(
    q: Float[Tensor, "... n d"],
    k: Float[Tensor, "... m d"],
    v: Float[Tensor, "... m e"],
    grad: Float[Tensor, "... n e"],
) -> tuple[Float[Tensor, "... n d"], Float[Tensor, "... m d"], Float[Tensor, "... m e"]]:
    """The definition: the gradients of (attention(q, k, v) * grad).sum(), by autograd."""
    with torch.enable_grad():
        leaves = [x.detach().requires_grad_() for x in (q, k, v)]
        d_q, d_k, d_v = torch.autograd.grad(attention(*leaves), leaves, grad)
    return d_q, d_k, d_v


@checked
def attention_backward(
    q: Float[Tensor, "... n d"],
    k: Float[Tensor, "... m d"],
    v: Float[Tensor, "... m e"],
    grad: Float[Tensor, "... n e"],
) -> tuple[Float[Tensor, "... n d"], Float[Tensor, "... m d"], Float[Tensor, "... m e"]]:
    """The gradients (dq, dk, dv) of attention(q, k, v), from the gradient at its output.

    With A = softmax(q k^T / sqrt(d)): dv = A^T g, dA = g v^T, dS = softmax_backward(A, dA),
    dq = dS k / sqrt(d), dk = dS^T q / sqrt(d). The weights are computed again, not stored.
    Half-precision input is accumulated in float32. Time O(n m (d + e)), memory O(n m).

    Raises ValueError where shapes do not fit.
    Source: Dao et al. 2022, appendix B.2.

    >>> q, k, v = torch.zeros(1, 2), torch.eye(2), torch.tensor([[1.0], [3.0]])
    >>> d_q, d_k, d_v = attention_backward(q, k, v, torch.ones(1, 1))
    >>> d_v.tolist()  # a query of zeros reads half of each value
    [[0.5], [0.5]]
    """
    wide = accumulation_dtype(q.dtype)
    queries, keys, values, g = (x.to(wide) for x in (q, k, v, grad))
    scale = 1 / math.sqrt(q.shape[-1])
    weights = softmax(queries @ keys.mT * scale)
    d_scores = softmax_backward(weights, g @ values.mT)
    d_q, d_k = d_scores @ keys * scale, d_scores.mT @ queries * scale
    return d_q.to(q.dtype), d_k.to(k.dtype), (weights.mT @ g).to(v.dtype)


def with_backward(
    backward: Callable[..., tuple[Tensor, Tensor, Tensor]],
) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """Attention whose gradient autograd takes from `backward(q, k, v, grad)`, right or wrong.

    So a backward pass of your own can train a model. The gradient of that gradient is not defined.

    >>> own, x = with_backward(attention_backward), torch.eye(2, requires_grad=True)
    >>> torch.equal(*(torch.autograd.grad(f(x, x, x).sum(), x)[0] for f in (own, attention)))
    True
    """

    class Own(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            ctx.save_for_backward(q, k, v)
            return attention(q, k, v)

        @staticmethod
        def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            return backward(*ctx.saved_tensors, grad)

    def own_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        out: Tensor = Own.apply(q, k, v)  # type: ignore[no-untyped-call]
        return out

    return own_attention


@checked
def softmax_backward(
    weights: Float[Tensor, "... n"], grad: Float[Tensor, "... n"]
) -> Float[Tensor, "... n"]:
    """The gradient at the scores, from the weights p = softmax(s) and the gradient g at them.

    (diag(p) - p p^T) g = p * (g - p . g): the Jacobian is never built. Half-precision input is
    accumulated in float32. Time and memory O(n) a row.

    >>> softmax_backward(torch.tensor([0.5, 0.5]), torch.tensor([1.0, 0.0])).tolist()
    [0.25, -0.25]
    """
    wide = accumulation_dtype(weights.dtype)
    p, g = weights.to(wide), grad.to(wide)
    return (p * (g - (p * g).sum(dim=-1, keepdim=True))).to(weights.dtype)
