"""The Linear Transformer's attention: features elu(x) + 1, in full, causal, and token by token."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from attncourse.core.by_hand import HandWritten, keep, kept
from attncourse.core.dtypes import accumulation_dtype
from attncourse.core.shapes import checked
from attncourse.core.transforms import composable
from attncourse.kernels import available
from attncourse.mechanisms.linear._all_keys import Features, over_all_keys
from attncourse.mechanisms.linear._exponentials import LOG2_E
from attncourse.mechanisms.linear._recurrence import checked_state
from attncourse.mechanisms.linear._sums import mean, no_state, over_past_keys, with_ones
from attncourse.mechanisms.linear.kernel_attention import (
    causal_kernel_attention_by_definition,
    kernel_attention_by_definition,
)

LinearState = tuple[Float[Tensor, "... d e"], Float[Tensor, "... d"]]


@checked
def linear_attention_by_definition(
    q: Float[Tensor, "... n d"], k: Float[Tensor, "... m d"], v: Float[Tensor, "... m e"]
) -> Float[Tensor, "... n e"]:
    """All weights phi(q_i) . phi(k_j), divided by their sum, with phi(x) = elu(x) + 1."""
    wide = accumulation_dtype(v.dtype)
    phi_q, phi_k = _elu_plus_one(q.to(wide)), _elu_plus_one(k.to(wide))
    return kernel_attention_by_definition(phi_q, phi_k, v.to(wide)).to(v.dtype)


@checked
@composable
def linear_attention(
    q: Float[Tensor, "... n d"], k: Float[Tensor, "... m d"], v: Float[Tensor, "... m e"]
) -> Float[Tensor, "... n e"]:
    """`kernel_attention` with the features elu(x) + 1 of q and k; no scaling by 1 / sqrt(d).

    o_i = phi(q_i) S / (phi(q_i) . z) with S = sum_j phi(k_j) v_j^T and z = sum_j phi(k_j). A query
    whose weights are all 0 gets zeros. Half-precision input is accumulated in float32. Time
    O((n + m) d e), memory O(d e) beside the inputs and the output: features are made for a part
    of the tokens at a time.

    Source: Katharopoulos et al. 2020, section 3.2, equations 4 to 7.

    >>> q, k, v = torch.zeros(1, 1), torch.tensor([[0.0], [2.0]]), torch.tensor([[1.0], [5.0]])
    >>> linear_attention(q, k, v).round(decimals=2).tolist()  # weights 1 and 3
    [[4.0]]
    """
    return over_all_keys(_EluPlusOne(), q, k, v)


@checked
def causal_linear_attention_by_definition(
    q: Float[Tensor, "... n d"],
    k: Float[Tensor, "... n d"],
    v: Float[Tensor, "... n e"],
    *,
    chunk: int,
) -> Float[Tensor, "... n e"]:
    """The same over the keys j <= i, whatever the chunk: it orders the work, no more."""
    wide = accumulation_dtype(v.dtype)
    phi_q, phi_k = _elu_plus_one(q.to(wide)), _elu_plus_one(k.to(wide))
    return causal_kernel_attention_by_definition(phi_q, phi_k, v.to(wide), chunk=chunk).to(v.dtype)


@checked
@composable
def causal_linear_attention(
    q: Float[Tensor, "... n d"],
    k: Float[Tensor, "... n d"],
    v: Float[Tensor, "... n e"],
    *,
    chunk: int,
) -> Float[Tensor, "... n e"]:
    """`linear_attention` in which a query sees itself and what came before, never the future.

    Inside a chunk of `chunk` tokens (64 or 128 are quick) the quadratic form; a state S, z for all
    that came before. The last chunk may be short, and the result does not depend on the chunk.
    Time O(n (d e + chunk (d + e))); memory O(chunk d + d e) beside the inputs and the output, and
    a state for every 256 tokens for the backward pass.

    Raises ValueError unless chunk is at least 1.
    Source: Katharopoulos et al. 2020, section 3.3; in chunks, Hua et al. 2022, section 3.2.

    >>> q, k, v = torch.zeros(2, 1), torch.tensor([[0.0], [2.0]]), torch.tensor([[1.0], [5.0]])
    >>> causal_linear_attention(q, k, v, chunk=64).mT.round(decimals=2).tolist()
    [[1.0, 4.0]]
    """
    nothing = no_state(q[..., 0, :], v[..., 0, :])
    return over_past_keys(_EluPlusOne(), nothing, q, k, v, chunk)[0]


@checked
def linear_attention_segment(
    state: LinearState,
    q: Float[Tensor, "... n d"],
    k: Float[Tensor, "... n d"],
    v: Float[Tensor, "... n e"],
    *,
    chunk: int,
) -> tuple[Float[Tensor, "... n e"], LinearState]:
    """A segment of causal linear attention: outputs, and the state after its last token.

    The state is the one of `linear_attention_step`, zeros before the first segment: segments one
    after the other give what the whole gives. Time and memory as in `causal_linear_attention`.

    >>> q, k, v = torch.zeros(2, 1), torch.tensor([[0.0], [2.0]]), torch.tensor([[1.0], [5.0]])
    >>> state = torch.zeros(1, 1), torch.zeros(1)
    >>> out, (s, z) = linear_attention_segment(state, q, k, v, chunk=64)
    >>> out.mT.round(decimals=2).tolist(), s.round(decimals=2).item(), z.round(decimals=2).item()
    ([[1.0, 4.0]], 16.0, 4.0)
    """
    sums = _joined(state, q[..., 0, :], v[..., 0, :])
    out, sums = over_past_keys(_EluPlusOne(), sums, q, k, v, chunk)
    return out, (sums[..., :-1], sums[..., -1])


@checked
def linear_attention_step(
    state: tuple[Float[Tensor, "... d e"], Float[Tensor, "... d"]],
    q: Float[Tensor, "... d"],
    k: Float[Tensor, "... d"],
    v: Float[Tensor, "... e"],
) -> tuple[Float[Tensor, "... e"], tuple[Float[Tensor, "... d e"], Float[Tensor, "... d"]]]:
    """One token of causal linear attention: its output, and the state after it.

    S <- S + phi(k) v^T, z <- z + phi(k), o = S^T phi(q) / (z . phi(q)). The state (S (..., d, e),
    z (..., d)) starts as zeros and is held in float32 at least; the given one is not modified.
    Time and memory O(d e), however many tokens came before.

    Raises TypeError or ValueError where the state does not fit.
    Source: Katharopoulos et al. 2020, section 3.4.

    >>> state = torch.tensor([[1.0]]), torch.tensor([1.0])  # a token of weight 1 and value 1
    >>> out, (s, z) = linear_attention_step(state, *torch.tensor([[0.0], [2.0], [5.0]]))
    >>> out.round(decimals=2).item(), s.round(decimals=2).item(), z.round(decimals=2).item()
    (4.0, 16.0, 4.0)
    """
    sums = _joined(state, q, v)
    phi_q, phi_k = (_elu_plus_one(x.to(sums.dtype)) for x in (q, k))
    sums = sums + phi_k[..., :, None] * with_ones(v.to(sums.dtype))[..., None, :]
    out = mean((phi_q[..., None, :] @ sums).squeeze(-2))
    return out.to(v.dtype), (sums[..., :-1], sums[..., -1])


def _joined(state: Any, q: Tensor, v: Tensor) -> Tensor:
    """S and z side by side, (..., d, e + 1), if they fit q (..., d) and v (..., e)."""
    if not (isinstance(state, tuple) and len(state) == 2):
        raise TypeError(f"state must be a tuple (S, z): got {type(state).__name__}")
    s = checked_state("S", state[0], (*q.shape, v.shape[-1]), v)
    z = checked_state("z", state[1], q.shape, v)
    return torch.cat([s, z[..., None]], dim=-1)


@checked
def elu_feature_map(x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """The positive features elu(x) + 1: x + 1 where x > 0, otherwise exp(x).

    Computed as exp(min(x, 0)) + max(x, 0): small features keep their digits, which they would lose
    in (exp(x) - 1) + 1. Source: Katharopoulos et al. 2020, equation 7.

    >>> elu_feature_map(torch.tensor([-math.inf, 0.0, 2.0])).tolist()
    [0.0, 1.0, 3.0]
    """
    return _elu_plus_one(x.to(accumulation_dtype(x.dtype))).to(x.dtype)


def _elu_plus_one(x: Tensor) -> Tensor:
    return x.clamp(max=0).exp() + torch.relu(x)


class _EluPlusOne(Features):
    """Features as powers of two, which are quicker than exponentials; their slope is min(phi, 1)"""

    def __call__(self, x: Tensor) -> Tensor:
        if torch.compiler.is_compiling():  # which fuses it itself
            return _elu_plus_one(x)
        phi: Tensor = _Features.call(self, x)
        return phi

    def into(self, x: Tensor, out: Tensor, spare: Tensor) -> Tensor:
        torch.clamp(x, min=0, out=spare)
        return torch.clamp(x, max=0, out=out).mul_(LOG2_E).exp2_().add_(spare)

    def pull_back(self, grad: Tensor, phi: Tensor) -> None:
        grad.mul_(phi.clamp_(max=1))


class _Features(HandWritten):
    """Features in the graph of autograd."""

    @staticmethod
    def plain(features: _EluPlusOne, x: Tensor) -> Tensor:
        return _elu_plus_one(x)

    @staticmethod
    def forward(ctx: Any, features: _EluPlusOne, x: Tensor) -> Tensor:
        phi = features.into(x, torch.empty_like(x), torch.empty_like(x))
        keep(ctx, (features, x), phi)
        return phi

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor]:
        _, (phi,) = kept(ctx)
        return None, phi.clamp(max=1).mul_(grad)


FORMS = (
    causal_linear_attention_by_definition,
    causal_linear_attention,
    *available("linear", "chunked_linear_attention"),
)
