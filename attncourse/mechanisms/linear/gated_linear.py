"""Gated linear attention (GLA): every key feature of every token says how much of it is kept."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad

from attncourse.core.dtypes import accumulation_dtype
from attncourse.core.shapes import checked
from attncourse.core.transforms import composable
from attncourse.mechanisms.linear._exponentials import LOG2_E
from attncourse.mechanisms.linear._recurrence import Tensors, checked_state, read_and_write, scan


@checked
def gated_linear_attention_by_definition(
    q: Float[Tensor, "... n d"],
    k: Float[Tensor, "... n d"],
    v: Float[Tensor, "... n e"],
    log_gate: Float[Tensor, "... n d"],
    *,
    chunk: int,
) -> Float[Tensor, "... n e"]:
    """o_i = sum_{j <= i} (q_i . (k_j kept_ij)) v_j, kept_ij = exp(sum_{j < t <= i} log_gate_t).

    All (n, n, d) of them, each summed anew: time and memory O(n^3 d), whatever the chunk.
    """
    wide = accumulation_dtype(v.dtype)
    t = torch.arange(q.shape[-2], device=q.device)
    between = (t[None, :, None] < t) & (t <= t[:, None, None])  # i, j, t: is j < t <= i?
    gates = torch.where(between[..., None], log_gate.to(wide)[..., None, None, :, :], 0.0)
    kept = gates.sum(dim=-2)  # (..., n, n, n, d) -> (..., n, n, d)
    scores = torch.einsum("...id,...jd,...ijd->...ij", q.to(wide), k.to(wide), kept.exp())
    return (scores.tril() @ v.to(wide)).to(v.dtype)


@checked
@composable
def gated_linear_attention(
    q: Float[Tensor, "... n d"],
    k: Float[Tensor, "... n d"],
    v: Float[Tensor, "... n e"],
    log_gate: Float[Tensor, "... n d"],
    *,
    chunk: int,
) -> Float[Tensor, "... n e"]:
    """Gated linear attention, S_t = diag(exp(log_gate_t)) S_{t-1} + k_t v_t^T, chunk by chunk.

    log_gate holds logarithms of gates between 0 and 1, so it is at most 0; -inf forgets a feature
    altogether. The output S_t^T q_t is neither scaled nor normalised. Gates of any size are safe:
    what is kept between two tokens is a product of factors at most 1, never a quotient, which the
    textbook form exp(G_i) / exp(G_j) is. The last chunk may be short, and the result does not
    depend on the chunk. Half-precision input is accumulated in float32.

    Time O(n (d e + chunk (d + e)) + n d log(chunk)); memory O(chunk d + d e) beside the inputs and
    the output, and a state for every few hundred tokens for the backward pass.
    Raises ValueError unless chunk is at least 1.
    Source: Yang et al. 2023, section 4; here in halves instead of their second level of chunks.

    >>> q, v = torch.ones(3, 2), torch.tensor([[8.0], [0.0], [0.0]])
    >>> log_gate = torch.tensor([1.0, 0.5]).log().expand(3, 2)  # the second feature fades
    >>> gated_linear_attention(q, q, v, log_gate, chunk=64).mT.round(decimals=2).tolist()
    [[16.0, 12.0, 10.0]]
    """
    zeros = q.new_zeros(*q.shape[:-2], q.shape[-1], v.shape[-1])
    return gated_linear_attention_segment(zeros, q, k, v, log_gate, chunk=chunk)[0]


@checked
def gated_linear_attention_segment(
    state: Tensor,
    q: Float[Tensor, "... n d"],
    k: Float[Tensor, "... n d"],
    v: Float[Tensor, "... n e"],
    log_gate: Float[Tensor, "... n d"],
    *,
    chunk: int,
) -> tuple[Float[Tensor, "... n e"], Float[Tensor, "... d e"]]:
    """A segment of gated linear attention: outputs, and the state after its last token.

    The state is the one of `gated_linear_attention_step`, zeros before the first segment: segments
    one after the other give what the whole gives.

    >>> state, q, v = torch.tensor([[8.0], [4.0]]), torch.ones(2, 2), torch.zeros(2, 1)
    >>> log_gate = torch.tensor([1.0, 0.5]).log().expand(2, 2)  # the second feature fades
    >>> out, state = gated_linear_attention_segment(state, q, q, v, log_gate, chunk=64)
    >>> out.mT.round(decimals=2).tolist(), state.mT.round(decimals=2).tolist()
    ([[10.0, 9.0]], [[8.0, 1.0]])
    """
    state = checked_state("state", state, (*q.shape[:-2], q.shape[-1], v.shape[-1]), v)
    out, (state,) = scan(_one_group, (state,), (q, k, v, log_gate), chunk=chunk)
    return out, state


@checked
def gated_linear_attention_step(
    state: Tensor,
    q: Float[Tensor, "... d"],
    k: Float[Tensor, "... d"],
    v: Float[Tensor, "... e"],
    log_gate: Float[Tensor, "... d"],
) -> tuple[Float[Tensor, "... e"], Float[Tensor, "... d e"]]:
    """One token: S <- diag(exp(log_gate)) S + k v^T, o = S^T q; the output and the new state.

    The state S (..., d, e) starts as zeros and is held in float32 at least; the given one is not
    modified. Time and memory O(d e), however many tokens came before.

    Raises TypeError or ValueError where the state does not fit.
    Source: Yang et al. 2023, section 4.

    >>> state, q = torch.tensor([[8.0], [4.0]]), torch.ones(2)
    >>> log_gate = torch.tensor([1.0, 0.5]).log()  # the second feature fades
    >>> out, state = gated_linear_attention_step(state, q, q, torch.ones(1), log_gate)
    >>> out.round(decimals=2).tolist(), state.mT.round(decimals=2).tolist()
    ([12.0], [[9.0, 3.0]])
    """
    state = checked_state("state", state, (*q.shape, v.shape[-1]), v)
    q, k, gate = q.to(state.dtype), k.to(state.dtype), log_gate.to(state.dtype).exp()
    state = gate[..., None] * state + k[..., None] * v.to(state.dtype)[..., None, :]
    return (q[..., None, :] @ state).squeeze(-2).to(v.dtype), state


def _one_group(
    state: Tensors, q: Tensor, k: Tensor, v: Tensor, log_gate: Tensor
) -> tuple[Tensor, Tensors]:
    c = q.shape[-2]
    missing = (1 << (int(c) - 1).bit_length()) - c  # to a power of two; zeros change nothing
    q, k, v, log_gate = (pad(x, (0, 0, 0, missing)) if missing else x for x in (q, k, v, log_gate))
    scores, before, after = _meet(q, k, log_gate * LOG2_E)
    decay = before[..., -1:, :].exp2().mT
    out, last = read_and_write(state[0], scores, q * before.exp2(), k * after.exp2(), v, decay)
    return out[..., :c, :], (last,)


def _meet(q: Tensor, k: Tensor, log2_gate: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Scores of c tokens with each other, and what is kept from the start and until the end.

    Blocks of 1, 2, 4, ... tokens are joined in pairs. A query in the right block meets a key in
    the left one across their border: what is kept on the way is 2^before, from the border to the
    query, times 2^after, from the key to the border; sums of log-gates, both at most 0.
    Gives scores (..., c, c), before (..., c, d), with the own gate, and after (..., c, d), without.
    """
    q, k, before = (x.unsqueeze(-2) for x in (q, k, log2_gate))  # blocks: (..., c / b, b, d)
    after = torch.zeros_like(before)
    scores = (q * k).sum(dim=-1, keepdim=True)  # (..., c / b, b, b), from b = 1 on
    while scores.shape[-3] > 1:
        (_, q_right), (k_left, _) = _pairs(q), _pairs(k)
        (b_left, b_right), (a_left, a_right) = _pairs(before), _pairs(after)
        meeting = (q_right * b_right.exp2()) @ (k_left * a_left.exp2()).mT  # (..., p, b, b)
        upper, lower = _pairs(scores)
        scores = torch.cat(
            [pad(upper, (0, upper.shape[-1])), torch.cat([meeting, lower], dim=-1)], dim=-2
        )  # (..., p, 2 b, 2 b)
        before = torch.cat([b_left, b_left[..., -1:, :] + b_right], dim=-2)
        after = torch.cat([a_left + b_right[..., -1:, :], a_right], dim=-2)
        q, k = (x.reshape(*scores.shape[:-1], x.shape[-1]) for x in (q, k))
    return scores.squeeze(-3), before.squeeze(-3), after.squeeze(-3)


def _pairs(x: Tensor) -> tuple[Tensor, Tensor]:
    """The left and the right block of each pair: (..., 2 p, b, d) -> two of (..., p, b, d)."""
    return x[..., 0::2, :, :], x[..., 1::2, :, :]
