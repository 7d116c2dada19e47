"""What linear attention, retention, gated linear attention and the delta rule share: one state.

The state S (d, e) is a matrix that answers a key with a value. Each token changes what is there
by A_t, writes its own pair, and reads the sum with its query:

    S_t = A_t S_{t-1} + k_t v_t^T,        o_t = S_t^T q_t,        S_0 = 0

    linear attention         A_t = I                     q and k are features; a mean at the end
    retention                A_t = decay I               the older, the fainter
    gated linear attention   A_t = diag(gate_t)          each key feature forgets at its own pace
    delta rule               A_t = I - beta_t k_t k_t^T  what k_t answered so far is taken out,
                                                         and beta_t v_t written in its place

Token by token this is a recurrent network, O(d e) a token: `<name>_step`. Written out, o_i is a
sum over all j <= i of a weight times v_j: the quadratic form, and the definition. Between the two
lies the chunk. Inside it tokens meet each other by the quadratic form; all that came before
reaches them through the state, which moves once a chunk:

    O = scores V + Q' S,        S <- A S + K'^T V

where scores, Q' and K' hold the decay inside the chunk. That is `read_and_write`; `scan` is the
loop over chunks.

Source: Hua et al. 2022, section 3.2; Sun et al. 2023, equation 7; Yang et al. 2023, section 4.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from attncourse.core.by_hand import HandWritten, keep, kept
from attncourse.core.dtypes import accumulation_dtype

Tensors = tuple[Tensor, ...]
Step = Callable[..., tuple[Tensor, Tensors]]
# Chunks are worked on in groups of about WORK numbers a tensor (8 MiB of float32). An operation on
# less is quick, but each waits for all threads: a few large ones wait less often than hundreds of
# small ones, which tells on a machine that does other things (`bench/busy.py`).
WORK = 2**21


def scan(
    step: Step, state: Tensors, sequences: Tensors, shared: Tensors = (), *, chunk: int
) -> tuple[Tensor, Tensors]:
    """Run `step` over the chunks of the sequences (..., n, w), and hand the state on.

    step(state, *chunks, *shared) -> (out, state) gets each sequence as (b, g, c, w): the leading
    axes in one, g chunks of c tokens to be worked through in order; out is (b, g, c, e). The last
    chunk may be short. A state (..., x, y) comes to it as (b, x, y), and `shared` as it is. Sums
    and states are held in float32 at least; out has the dtype of the sequences.

    The backward pass has kept the state of each group's start, and computes the group again: the
    memory beside the sequences is a state for each group. Second derivatives keep all groups.
    Raises ValueError unless chunk is at least 1.
    """
    if chunk < 1:
        raise ValueError(f"chunk must be at least 1: got chunk={chunk}")
    lead = sequences[0].shape[:-2]
    batched = [x.reshape(math.prod(lead), *x.shape[-2:]) for x in (*state, *sequences)]
    parts = len(state), len(sequences)
    out, *last = _Scan.call(step, chunk, parts, *batched, *shared)
    return out.view(*lead, *out.shape[1:]), tuple(s.reshape(*lead, *s.shape[1:]) for s in last)


def at_once(lead: int, width: int) -> int:
    """How many tokens of `lead` sequences of this width are worked on at once."""
    return max(1, WORK // max(1, lead * width))


def read_and_write(
    state: Tensor, scores: Tensor, q: Tensor, k: Tensor, v: Tensor, decay: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Outputs and the next state of g chunks: O = scores V + Q S, S <- decay S + K^T V for each.

    state is (b, d, e), scores (b, g, c, c), q and k (b, g, c, d), v (b, g, c, e), and decay
    broadcasts to (b, g, d, 1); None is 1. The outputs are (b, g, c, e).
    """
    shape = v.shape
    scores, q, k, v = (x.flatten(0, 1) for x in (scores, q, k, v))  # (b g, c, ...)
    writes = torch.bmm(k.mT, v).view(*shape[:2], *state.shape[1:]).unbind(1)  # g of (b, d, e)
    decays = decay.expand(-1, len(writes), -1, -1).unbind(1) if decay is not None else ()
    before = []
    for i, write in enumerate(writes):
        before.append(state)
        state = state + write if decay is None else torch.addcmul(write, decays[i], state)
    known = torch.stack(before, dim=1).flatten(0, 1)  # (b g, d, e)
    return torch.baddbmm(torch.bmm(scores, v), q, known).view(shape), state


def checked_state(name: str, state: Any, shape: tuple[int, ...], like: Tensor) -> Tensor:
    """The state in the dtype in which sums over `like` are held, if it is what it must be."""
    if not isinstance(state, Tensor):
        raise TypeError(f"{name} must be a torch.Tensor: got {type(state).__name__}")
    if not state.is_floating_point():
        raise TypeError(f"{name} must be floating point: got {state.dtype}")
    if state.shape != shape:
        raise ValueError(f"{name} must have shape {tuple(shape)}: got {tuple(state.shape)}")
    if state.device != like.device:
        raise ValueError(f"{name} must be on {like.device}: got {state.device}")
    return state.to(accumulation_dtype(like.dtype))


class _Group(NamedTuple):
    """Tokens start to stop of a sequence: g chunks of c tokens."""

    start: int
    stop: int
    g: int
    c: int

    def cut(self, x: Tensor) -> Tensor:
        """The chunks (b, g, c, w) of a sequence (b, n, w), in the dtype of accumulation."""
        part = x[:, self.start : self.stop].to(accumulation_dtype(x.dtype))
        return part.view(x.shape[0], self.g, self.c, x.shape[-1])

    def place(self, x: Tensor, part: Tensor) -> None:
        """Write chunks (b, g, c, w) where they belong in x (b, n, w)."""
        x[:, self.start : self.stop].view(part.shape).copy_(part)


def _groups(chunk: int, state: Tensors, sequences: Tensors) -> Iterator[_Group]:
    """All chunks of the tokens in groups of about WORK numbers; a short last one is a group."""
    b, n, _ = sequences[0].shape
    if n <= chunk:  # whatever n is: a graph of it holds for every such length
        yield _Group(0, n, 1, n)
        return
    widths = [chunk, *(x.shape[-1] for x in sequences), *(s.shape[-2] for s in state)]
    widths += [-(-s.shape[-2] * s.shape[-1] // chunk) for s in state]  # one for each chunk
    whole, size = n // chunk * chunk, max(1, at_once(b, max(widths)) // chunk) * chunk
    for start in range(0, whole, size):
        stop = min(start + size, whole)
        yield _Group(start, stop, (stop - start) // chunk, chunk)
    if whole < n:
        yield _Group(whole, n, 1, n - whole)


class _Scan(HandWritten):
    """The loop over groups of chunks; backward it runs from the last group to the first."""

    @staticmethod
    def plain(step: Step, chunk: int, parts: tuple[int, int], *tensors: Tensor) -> Any:
        state, sequences, shared = _split(tensors, parts)
        state, outputs = tuple(s.to(accumulation_dtype(s.dtype)) for s in state), []
        for group in _groups(chunk, state, sequences):
            part, state = step(state, *map(group.cut, sequences), *shared)
            outputs.append(part.flatten(1, 2).to(sequences[0].dtype))
        return torch.cat(outputs, dim=1), *state

    @staticmethod
    def forward(ctx: Any, step: Step, chunk: int, parts: tuple[int, int], *tensors: Tensor) -> Any:
        state, sequences, shared = _split(tensors, parts)
        state = tuple(s.to(accumulation_dtype(s.dtype)) for s in state)
        b, n, _ = sequences[0].shape
        out: Tensor | None = None
        states: list[Tensor] = []
        for group in _groups(chunk, state, sequences):
            states.extend(state)
            part, state = step(state, *map(group.cut, sequences), *shared)
            if out is None:
                out = sequences[0].new_empty(b, n, part.shape[-1])
            group.place(out, part)
        if any(ctx.needs_input_grad):
            keep(ctx, (step, chunk, parts, *tensors), *states)
        return out, *state

    @staticmethod
    def backward(ctx: Any, grad: Tensor, *grad_state: Tensor) -> tuple[Tensor | None, ...]:
        (step, chunk, parts, *tensors), before = kept(ctx)
        states, (start, sequences, shared) = parts[0], _split(tuple(tensors), parts)
        needed = (True,) * states + ctx.needs_input_grad[3 + states :]
        of_sequences = [torch.empty_like(x) for x in sequences]
        of_shared = [torch.zeros_like(x) for x in shared]
        for number, group in reversed(list(enumerate(_groups(chunk, start, sequences)))):
            state = before[number * states : (number + 1) * states]
            inputs = *state, *map(group.cut, sequences), *shared
            found = _gradients(step, inputs, states, needed, (group.cut(grad), *grad_state))
            grad_state, of_parts, more = _split(found, parts)
            for x, part in zip(of_sequences, of_parts, strict=True):
                group.place(x, part)
            for x, part in zip(of_shared, more, strict=True):
                x.add_(part)
        return None, None, None, *grad_state, *of_sequences, *of_shared


def _split(tensors: Tensors, parts: tuple[int, int]) -> tuple[Tensors, Tensors, Tensors]:
    """States, sequences and what is shared."""
    states, rest = parts[0], sum(parts)
    return tensors[:states], tensors[states:rest], tensors[rest:]


def _gradients(
    step: Step, inputs: Tensors, states: int, needed: tuple[bool, ...], outer: Tensors
) -> Tensors:
    """Compute one step again, and from the gradients of its results those of its inputs.

    An input that needs none gets zeros.
    """

    def results(*wanted: Tensor) -> Tensors:
        given = iter(wanted)
        x = [next(given) if n else y for y, n in zip(inputs, needed, strict=True)]
        out, state = step(tuple(x[:states]), *x[states:])
        return out, *state

    wanted = [x for x, n in zip(inputs, needed, strict=True) if n]
    found = iter(_pull_back(results, wanted, outer))
    return tuple(
        next(found) if n else torch.zeros_like(x) for x, n in zip(inputs, needed, strict=True)
    )


def _pull_back(function: Callable[..., Tensors], inputs: list[Tensor], outer: Tensors) -> Tensors:
    """The gradients of the inputs of a function, from those of its results."""
    if torch.compiler.is_compiling():  # torch.compile traces vjp, and not autograd.grad
        of_inputs: Tensors = torch.func.vjp(function, *inputs)[1](outer)
        return of_inputs
    with torch.enable_grad():
        leaves = [x.detach().requires_grad_() for x in inputs]
        pairs = [(y, g) for y, g in zip(function(*leaves), outer, strict=True) if y.requires_grad]
    results, grads = zip(*pairs, strict=True)
    return torch.autograd.grad(results, leaves, grads, allow_unused=True, materialize_grads=True)
