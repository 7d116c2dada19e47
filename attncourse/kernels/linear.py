"""Kernel attention and linear attention, causal, by the programs of `chunks`, on a GPU."""

from typing import Any

import torch
import triton
from jaxtyping import Float
from torch import Tensor

from attncourse.core.by_hand import HandWritten, keep, kept
from attncourse.core.shapes import checked
from attncourse.kernels import chunks
from attncourse.kernels.launch import capability_of, check_place, interpreting, padded, precision


@checked
def chunked_kernel_attention(
    phi_q: Float[Tensor, "... n r"], phi_k: Float[Tensor, "... n r"], v: Float[Tensor, "... n e"]
) -> Float[Tensor, "... n e"]:
    """`causal_kernel_attention` by fused kernels: o_i = sum_{j <= i} w_ij v_j / sum_{j <= i} w_ij.

    w_ij = phi_q_i . phi_k_j. A query whose weights sum to 0 gets zeros, value and gradient. Sums
    and states are float32. Time O(n r e), memory O(n (r + e) + n r e / chunk) for the states of
    all chunks, of 64 tokens in float32 and 128 otherwise. Second derivatives raise RuntimeError.

    Raises ValueError unless the tensors are on a CUDA device (or Triton interprets), TypeError for
    float64. Source: Katharopoulos et al. 2020, section 3.3; Yang et al. 2023, section 3.
    """
    check_place("phi_q", phi_q)
    out: Tensor = _CausalMean.call(padded(phi_q), padded(phi_k), padded(v))
    return out[..., : v.shape[-1]].reshape(v.shape)


@checked
def chunked_linear_attention(
    q: Float[Tensor, "... n d"], k: Float[Tensor, "... n d"], v: Float[Tensor, "... n e"]
) -> Float[Tensor, "... n e"]:
    """`causal_linear_attention` by fused kernels: features elu(x) + 1; otherwise as
    `chunked_kernel_attention`.
    """
    phi_q, phi_k = (x.clamp(max=0).exp() + torch.relu(x) for x in (q, k))
    return chunked_kernel_attention(phi_q, phi_k, v)


class _CausalMean(HandWritten):
    """Numerator and denominator, and their gradients: causal products all."""

    refusal = (
        "chunked_kernel_attention and chunked_linear_attention have neither second derivatives nor"
        " rules for torch.func: take causal_kernel_attention or causal_linear_attention"
    )

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        total = (q.float() * k.cumsum(dim=1, dtype=torch.float32)).sum(dim=-1, keepdim=True)
        total = total.masked_fill(total == 0, float("inf"))
        out = (causal_product(q, k, v) / total).to(v.dtype)
        keep(ctx, (q, k, v), out, total)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
        (q, k, v), (out, total) = kept(ctx)
        g = grad.float() / total
        of_total = -(g * out.float()).sum(dim=-1, keepdim=True)  # the gradient of the denominator
        g = g.to(v.dtype)
        d_q = causal_product(g, v, k) + of_total * k.cumsum(dim=1, dtype=torch.float32)
        later = (of_total * q.float()).flip(1).cumsum(dim=1).flip(1)
        d_k = causal_product(v, g, q, backwards=True) + later
        d_v = causal_product(k, q, g, backwards=True)
        return d_q.to(q.dtype), d_k.to(k.dtype), d_v.to(v.dtype)


def causal_product(a: Tensor, b: Tensor, c: Tensor, *, backwards: bool = False) -> Tensor:
    """sum_{j <= i} (a_i . b_j) c_j in float32, or over j >= i if backwards; one leading axis."""
    (heads, n, width), out_width = a.shape, c.shape[-1]
    capability = capability_of(a)
    if out_width > (most := widest(out_width, capability)):
        parts = (part.contiguous() for part in torch.split(c, most, dim=-1))
        return torch.cat([causal_product(a, b, x, backwards=backwards) for x in parts], dim=-1)
    chunk = chunk_length(a, capability)
    count = triton.cdiv(n, chunk)
    states = torch.empty(heads, count, width, out_width, dtype=torch.float32, device=a.device)
    out = torch.empty(heads, n, out_width, dtype=torch.float32, device=a.device)
    if heads == 0:
        return out
    exact = precision(a, capability)
    sizes = {"CHUNK": chunk, "A": width, "C": out_width, "PRECISION": exact, "num_warps": 8}
    chunks.write[(count, heads)](b, c, states, n, **sizes)
    found = _sums_before(states.flip(1)).flip(1) if backwards else _sums_before(states)
    found = found.contiguous()
    chunks.read[(count, heads)](a, b, c, found, out, n, BACKWARDS=backwards, **sizes)
    return out


def chunk_length(x: Tensor, capability: int) -> int:
    """Tokens in a chunk: the most of which no register is spilled on an H100 at width 64, fewer
    where that would spill much.
    """
    narrow = x.shape[-1] <= 64
    if interpreting():
        return 16
    if capability < 80:
        return 32 if narrow else 16
    if x.dtype == torch.float32:
        return 64 if narrow or capability >= 90 else 32
    return 128


def widest(width: int, capability: int) -> int:
    """Columns of c for one program: all, but on a T4 as many as leave its state half of the 64 KiB
    of shared memory.
    """
    return width if capability >= 80 or interpreting() else min(width, 64)


def _sums_before(states: Tensor) -> Tensor:
    """For each chunk, the sum of all before it."""
    before = torch.zeros_like(states)
    torch.cumsum(states[:, :-1], dim=1, out=before[:, 1:])
    return before
