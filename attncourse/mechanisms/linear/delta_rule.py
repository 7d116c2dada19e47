"""The delta rule (DeltaNet): a token writes the difference between its value and what was known."""

import torch
from jaxtyping import Float
from torch import Tensor

from attncourse.core.dtypes import accumulation_dtype
from attncourse.core.shapes import checked
from attncourse.core.transforms import composable
from attncourse.mechanisms.linear._recurrence import Tensors, checked_state, scan


@checked
def delta_rule_by_definition(
    q: Float[Tensor, "... n d"],
    k: Float[Tensor, "... n d"],
    v: Float[Tensor, "... n e"],
    beta: Float[Tensor, "... n"],
    *,
    chunk: int,
) -> Float[Tensor, "... n e"]:
    """S_t = (I - beta_t k_t k_t^T) S_{t-1} + beta_t k_t v_t^T, o_t = S_t^T q_t, token by token."""
    wide = accumulation_dtype(v.dtype)
    q, k, v_wide, beta = (x.to(wide) for x in (q, k, v, beta))
    state = torch.zeros_like(k[..., 0, :, None] * v_wide[..., 0, None, :])
    identity = torch.eye(k.shape[-1], dtype=wide, device=k.device)
    outputs = []
    for t in range(q.shape[-2]):
        key, value = k[..., t, :, None], v_wide[..., t, None, :]
        rate = beta[..., t, None, None]
        state = (identity - rate * key * key.mT) @ state + rate * key * value
        outputs.append((q[..., t, None, :] @ state).squeeze(-2))
    return torch.stack(outputs, dim=-2).to(v.dtype)


@checked
@composable
def delta_rule(
    q: Float[Tensor, "... n d"],
    k: Float[Tensor, "... n d"],
    v: Float[Tensor, "... n e"],
    beta: Float[Tensor, "... n"],
    *,
    chunk: int,
) -> Float[Tensor, "... n e"]:
    """The delta rule, S_t = S_{t-1} + beta_t k_t (v_t - S_{t-1}^T k_t)^T, chunk by chunk.

    The output S_t^T q_t is neither scaled nor normalised. beta is between 0, nothing is written,
    and 1, the old answer to k_t is replaced. Keys must have length at most 1 (sqrt(2 / beta) to be
    exact), or the state grows without bound: normalise them before. Inside a chunk the errors
    U = beta (V - K S) - beta tril(K K^T, -1) U solve a triangular system; then O = Q S +
    tril(Q K^T) U and S <- S + K^T U. The last chunk may be short, and the result does not depend
    on the chunk. Half-precision input is accumulated in float32.

    Time O(n (d e + chunk (d + e) + chunk^2)); memory O(chunk d + d e) beside the inputs and the
    output, and a state for every few hundred tokens for the backward pass.
    Raises ValueError unless chunk is at least 1.
    Source: Yang et al. 2024, section 3 (the WY representation and the UT transform).

    >>> k = torch.tensor([[1.0, 0.0], [1.0, 0.0]])  # one key twice: its value is replaced
    >>> v, beta = torch.tensor([[5.0], [7.0]]), torch.ones(2)
    >>> delta_rule(k, k, v, beta, chunk=64).mT.round(decimals=2).tolist()
    [[5.0, 7.0]]
    """
    zeros = q.new_zeros(*q.shape[:-2], q.shape[-1], v.shape[-1])
    return delta_rule_segment(zeros, q, k, v, beta, chunk=chunk)[0]


@checked
def delta_rule_segment(
    state: Tensor,
    q: Float[Tensor, "... n d"],
    k: Float[Tensor, "... n d"],
    v: Float[Tensor, "... n e"],
    beta: Float[Tensor, "... n"],
    *,
    chunk: int,
) -> tuple[Float[Tensor, "... n e"], Float[Tensor, "... d e"]]:
    """A segment of the delta rule: outputs, and the state after its last token.

    The state is the one of `delta_rule_step`, zeros before the first segment: segments one after
    the other give what the whole gives.

    >>> state = torch.tensor([[5.0], [3.0]])  # what the two unit vectors are answered
    >>> k, v = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[7.0], [9.0]])
    >>> out, state = delta_rule_segment(state, k, k, v, torch.tensor([1.0, 0.5]), chunk=64)
    >>> out.mT.round(decimals=2).tolist(), state.mT.round(decimals=2).tolist()
    ([[7.0, 6.0]], [[7.0, 6.0]])
    """
    state = checked_state("state", state, (*q.shape[:-2], q.shape[-1], v.shape[-1]), v)
    out, (state,) = scan(_one_group, (state,), (q, k, v, beta[..., None]), chunk=chunk)
    return out, state


@checked
def delta_rule_step(
    state: Tensor,
    q: Float[Tensor, "... d"],
    k: Float[Tensor, "... d"],
    v: Float[Tensor, "... e"],
    beta: Float[Tensor, "..."],
) -> tuple[Float[Tensor, "... e"], Float[Tensor, "... d e"]]:
    """One token: S <- S + beta k (v - S^T k)^T, o = S^T q; the output and the new state.

    S^T k is what the state answers to k so far; with beta 1 and |k| = 1 it answers v afterwards.
    beta has the leading axes alone. The state S (..., d, e) starts as zeros and is held in float32
    at least; the given one is not modified. Time and memory O(d e).

    Raises TypeError or ValueError where the state or beta does not fit.
    Source: Schlag et al. 2021, section 4.2; Yang et al. 2024, section 2.2.

    >>> state, k = torch.tensor([[5.0], [3.0]]), torch.tensor([1.0, 0.0])
    >>> out, state = delta_rule_step(state, k, k, torch.tensor([7.0]), torch.tensor(1.0))
    >>> out.tolist(), state.tolist()
    ([7.0], [[7.0], [3.0]])
    """
    state = checked_state("state", state, (*q.shape, v.shape[-1]), v)
    if beta.shape != q.shape[:-1]:
        raise ValueError(
            "beta must have the leading axes of q"
            f": got {tuple(beta.shape)} for beta and {tuple(q.shape[:-1])} for q"
        )
    q, k, v_wide, rate = (x.to(state.dtype) for x in (q, k, v, beta))
    error = v_wide[..., None, :] - k[..., None, :] @ state
    state = state + k[..., None] * (rate[..., None, None] * error)
    return (q[..., None, :] @ state).squeeze(-2).to(v.dtype), state


def _one_group(
    state: Tensors, q: Tensor, k: Tensor, v: Tensor, beta: Tensor
) -> tuple[Tensor, Tensors]:
    """U = values - keys S, with both right-hand sides solved for before the state is known."""
    overlap = (beta * (k @ k.mT)).tril(-1)  # (b, g, c, c)
    right = torch.cat([beta * v, beta * k], dim=-1)  # (b, g, c, e + d)
    solved = torch.linalg.solve_triangular(overlap, right, upper=False, unitriangular=True)
    values, keys = solved.split([v.shape[-1], k.shape[-1]], dim=-1)
    scores = (q @ k.mT).tril()
    (known,), outputs = state, []
    for i in range(q.shape[1]):
        errors = values[:, i] - keys[:, i] @ known  # (b, c, e)
        outputs.append(q[:, i] @ known + scores[:, i] @ errors)
        known = known + k[:, i].mT @ errors
    return torch.stack(outputs, dim=1), (known,)
