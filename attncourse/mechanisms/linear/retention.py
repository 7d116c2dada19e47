"""Retention (RetNet): linear attention without a normaliser, in which the past fades."""

import torch
from jaxtyping import Float
from torch import Tensor

from attncourse.core.dtypes import accumulation_dtype
from attncourse.core.shapes import checked
from attncourse.core.transforms import composable
from attncourse.mechanisms.linear._recurrence import Tensors, checked_state, read_and_write, scan


@checked
def retention_by_definition(
    q: Float[Tensor, "... n d"],
    k: Float[Tensor, "... n d"],
    v: Float[Tensor, "... n e"],
    decay: Float[Tensor, "..."],
    *,
    chunk: int,
) -> Float[Tensor, "... n e"]:
    """The parallel form: o_i = sum_{j <= i} decay^(i - j) (q_i . k_j) v_j, whatever the chunk."""
    wide = accumulation_dtype(v.dtype)
    scores = q.to(wide) @ k.to(wide).mT
    faded = scores * _powers_between(_checked_decay(decay, q.shape[:-2], wide), q.shape[-2])
    return (faded @ v.to(wide)).to(v.dtype)


@checked
@composable
def retention(
    q: Float[Tensor, "... n d"],
    k: Float[Tensor, "... n d"],
    v: Float[Tensor, "... n e"],
    decay: Float[Tensor, "..."],
    *,
    chunk: int,
) -> Float[Tensor, "... n e"]:
    """Retention: o_i = sum_{j <= i} decay^(i - j) (q_i . k_j) v_j, chunk by chunk.

    decay, between 0 and 1, has one entry for each head: it broadcasts to the leading axes, and
    decay 1 is linear attention without its normaliser. The sum is not normalised: RetNet
    normalises each head's output afterwards, and rotates q and k by position before. The last
    chunk may be short, and the result does not depend on the chunk. Half-precision input is
    accumulated in float32. Time O(n (d e + chunk (d + e))); memory O(chunk d + d e) beside the
    inputs and the output, and a state for every few hundred tokens for the backward pass.

    Raises ValueError unless chunk is at least 1 and decay broadcasts.
    Source: Sun et al. 2023, equation 7; equation 5 is the definition.

    >>> ones, v = torch.ones(4, 1), torch.tensor([[8.0], [0.0], [0.0], [0.0]])
    >>> retention(ones, ones, v, torch.tensor(0.5), chunk=64).mT.round(decimals=2).tolist()
    [[8.0, 4.0, 2.0, 1.0]]
    """
    zeros = q.new_zeros(*q.shape[:-2], q.shape[-1], v.shape[-1])
    return retention_segment(zeros, q, k, v, decay, chunk=chunk)[0]


@checked
def retention_segment(
    state: Tensor,
    q: Float[Tensor, "... n d"],
    k: Float[Tensor, "... n d"],
    v: Float[Tensor, "... n e"],
    decay: Float[Tensor, "..."],
    *,
    chunk: int,
) -> tuple[Float[Tensor, "... n e"], Float[Tensor, "... d e"]]:
    """A segment of retention: outputs, and the state after its last token.

    The state is the one of `retention_step`, zeros before the first segment: segments one after
    the other give what the whole gives. Time and memory as in `retention`.

    >>> state, ones, v = torch.tensor([[8.0]]), torch.ones(2, 1), torch.zeros(2, 1)
    >>> out, state = retention_segment(state, ones, ones, v, torch.tensor(0.5), chunk=64)
    >>> out.mT.round(decimals=2).tolist(), state.round(decimals=2).tolist()
    ([[4.0, 2.0]], [[2.0]])
    """
    *lead, n, d = q.shape
    state = checked_state("state", state, (*lead, d, v.shape[-1]), v)
    gamma = _checked_decay(decay, q.shape[:-2], state.dtype).expand(lead).reshape(-1, 1, 1, 1)
    exponents = torch.arange(min(max(chunk, 1), n) + 1, device=q.device)[:, None]
    powers = gamma**exponents  # (b, 1, c + 1, 1)
    between = _powers_between(gamma[..., 0, 0], len(exponents) - 1)  # (b, 1, c, c)
    out, (state,) = scan(_one_group, (state,), (q, k, v), (powers, between), chunk=chunk)
    return out, state


@checked
def retention_step(
    state: Tensor,
    q: Float[Tensor, "... d"],
    k: Float[Tensor, "... d"],
    v: Float[Tensor, "... e"],
    decay: Float[Tensor, "..."],
) -> tuple[Float[Tensor, "... e"], Float[Tensor, "... d e"]]:
    """One token of retention: S <- decay S + k v^T, o = S^T q; the output and the new state.

    The state S (..., d, e) starts as zeros and is held in float32 at least; the given one is not
    modified. Time and memory O(d e), however many tokens came before.

    Raises TypeError or ValueError where the state or the decay does not fit.
    Source: Sun et al. 2023, equation 6.

    >>> state, one = torch.tensor([[8.0]]), torch.ones(1)
    >>> out, state = retention_step(state, one, one, 3 * one, torch.tensor(0.5))
    >>> out.tolist(), state.tolist()
    ([7.0], [[7.0]])
    """
    state = checked_state("state", state, (*q.shape, v.shape[-1]), v)
    faded = _checked_decay(decay, q.shape[:-1], state.dtype)[..., None, None] * state
    state = faded + k.to(state.dtype)[..., :, None] * v.to(state.dtype)[..., None, :]
    return (q.to(state.dtype)[..., None, :] @ state).squeeze(-2).to(v.dtype), state


def _one_group(
    state: Tensors, q: Tensor, k: Tensor, v: Tensor, powers: Tensor, between: Tensor
) -> tuple[Tensor, Tensors]:
    """A group of chunks: token i reads what is i + 1 steps old, token j has c - 1 - j to fade."""
    c = q.shape[-2]
    scores = (q @ k.mT) * between[..., :c, :c]  # (b, g, c, c)
    read, written = q * powers[..., 1 : c + 1, :], k * powers[..., :c, :].flip(-2)
    out, last = read_and_write(state[0], scores, read, written, v, powers[..., c : c + 1, :])
    return out, (last,)


def _powers_between(decay: Tensor, n: int) -> Tensor:
    """decay^(i - j) for j <= i and 0 for the future: decay (...) -> (..., n, n)."""
    positions = torch.arange(n, device=decay.device)
    ages = positions[:, None] - positions
    return (decay[..., None, None] ** ages.clamp(min=0)).tril()


def _checked_decay(decay: Tensor, lead: torch.Size, dtype: torch.dtype) -> Tensor:
    tail = lead[len(lead) - decay.ndim :] if decay.ndim <= len(lead) else None
    if tail is None or any(a not in (1, b) for a, b in zip(decay.shape, tail, strict=True)):
        raise ValueError(
            "decay must broadcast to the leading axes of q"
            f": got {tuple(decay.shape)} for decay and {tuple(lead)} for q"
        )
    return decay.to(dtype)
