"""Text from a model that gives logits: the loop, the loop with a cache, chance, and a beam.

A model is any function of tokens. Here it is never asked for more than a loop needs, so that what
writes with a table of bigrams writes with SmolLM2.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from attncourse.core.dtypes import accumulation_dtype
from attncourse.core.shapes import checked


@checked
def generate(
    model: Callable[[Tensor], Tensor],
    prompt: Int[Tensor, " p"],
    max_new_tokens: int,
    eos_id: int | None = None,
) -> Int[Tensor, " n"]:
    """A prompt and what a causal model writes behind it, the likeliest token each time.

    model takes tokens (t,), int64, to logits (t, V), of which the last row is for the token that
    comes next. At most `max_new_tokens` are written, fewer where `eos_id` is, which is kept as the
    last. Of equal logits the smallest token wins. The model reads p + i tokens for the i-th.

    Raises TypeError for a prompt that is no int64 tensor, ValueError for one that is empty or has
    more than one axis, and for a negative number of tokens.

    >>> table = torch.eye(4).roll(1, dims=1)  # 0 -> 1 -> 2 -> 3 -> 0
    >>> generate(lambda tokens: table[tokens], torch.tensor([1]), 4, eos_id=0).tolist()
    [1, 2, 3, 0]
    """
    _check_prompt(prompt, max_new_tokens)
    tokens = prompt.clone()
    for _ in range(max_new_tokens):
        token = model(tokens)[-1].argmax()
        tokens = torch.cat([tokens, token[None]])
        if token == eos_id:
            break
    return tokens


@checked
def kv_cache_generate(
    step: Callable[..., tuple[Tensor, object]],
    prompt: Int[Tensor, " p"],
    max_new_tokens: int,
    eos_id: int | None = None,
) -> Int[Tensor, " n"]:
    """`generate` with a model that keeps the past: each token is read once.

    step takes new tokens (t,) and the past, None at first, to their logits (t, V) and the past with
    them in it. The prompt goes in at once, then each new token alone; the last one is not read.
    Raises as `generate`. Source: Shazeer 2019, section 2.4 (incremental attention).

    >>> table = torch.eye(4).roll(1, dims=1)
    >>> def step(tokens, past):
    ...     return table[tokens], (past or 0) + len(tokens)
    >>> kv_cache_generate(step, torch.tensor([1]), 4, eos_id=0).tolist()
    [1, 2, 3, 0]
    """
    _check_prompt(prompt, max_new_tokens)
    tokens, new, past = prompt.clone(), prompt.clone(), None
    for _ in range(max_new_tokens):
        logits, past = step(new, past)
        new = logits[-1].argmax()[None]
        tokens = torch.cat([tokens, new])
        if new == eos_id:
            break
    return tokens


@checked
def sample(
    logits: Float[Tensor, "... vocabulary"],
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    generator: torch.Generator | None = None,
) -> Int[Tensor, "..."]:
    """A token (...), drawn from the probabilities of logits (..., V) after three filters.

    softmax(logits / temperature); then the `top_k` likeliest; then of these, renormalised, the
    fewest likeliest whose probabilities reach `top_p` together, at least one. None leaves a filter
    out. Every row is drawn alone. The generator is the only source of chance; how
    many numbers are taken from it is not promised. Time O(V log V) a row.

    Raises ValueError unless temperature > 0, top_k >= 1 and 0 < top_p <= 1.
    Source: Holtzman et al. 2020, sections 3.1 (top-p), 3.2 (top-k) and 3.3 (temperature).

    >>> logits = torch.tensor([0.0, 9.0, 8.0])
    >>> [sample(logits, top_k=1).item() for _ in range(5)]
    [1, 1, 1, 1, 1]
    """
    weights = kept_probabilities(logits, temperature=temperature, top_k=top_k, top_p=top_p)
    drawn = torch.multinomial(weights.reshape(-1, weights.shape[-1]), 1, generator=generator)
    return drawn.reshape(logits.shape[:-1])


@checked
def kept_probabilities(
    logits: Float[Tensor, "... vocabulary"],
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
) -> Float[Tensor, "... vocabulary"]:
    """The probabilities from which `sample` draws: 0 for what the filters leave out.

    Half-precision logits are taken to float32. Raises as `sample`.

    >>> halves = torch.tensor([0.5, 0.25, 0.125, 0.125]).log()
    >>> kept_probabilities(halves, top_p=0.7).tolist()  # 0.5 + 0.25 reaches 0.7
    [0.6666666865348816, 0.3333333432674408, 0.0, 0.0]
    """
    _check_filters(temperature, top_k, top_p)
    wide = logits.to(accumulation_dtype(logits.dtype))
    gaps = wide - wide.amax(dim=-1, keepdim=True)  # so that no temperature is too small
    weights, order = (gaps / max(temperature, torch.finfo(wide.dtype).tiny)).sort(
        dim=-1, descending=True, stable=True
    )
    weights = weights.softmax(dim=-1)
    if top_k is not None:
        weights[..., top_k:] = 0
        weights = weights / weights.sum(dim=-1, keepdim=True)
    if top_p is not None:
        before = weights.cumsum(dim=-1) - weights  # what is likelier than a token
        weights = weights.masked_fill(before >= top_p, 0)
        weights = weights / weights.sum(dim=-1, keepdim=True)
    return torch.zeros_like(weights).scatter(-1, order, weights)


@checked
def beam_search(
    step: Callable[[Tensor], Tensor],
    start: Int[Tensor, " p"],
    width: int,
    length: int,
    eos_id: int | None = None,
) -> tuple[Int[Tensor, " n"], Float[Tensor, ""]]:
    """The likeliest continuation that a beam finds: (start and new tokens, log-probability).

    step takes tokens (t,) to the logits (V,) of the next one. Kept are the `width` continuations
    with the largest sums of log-probabilities, among all that one token more makes of those kept so
    far. One that has ended with `eos_id` stays as it is and keeps its place while it is among them.
    After `length` tokens, or once all have ended, the best is returned; its sum is that of the new
    tokens alone and not divided by their number. The model is asked at most width x length times.

    Raises TypeError for a start that is no int64 tensor, ValueError for one that is empty or has
    more than one axis, and unless width >= 1 and length >= 1.
    Source: Sutskever et al. 2014, section 3.2.

    >>> table = torch.tensor([[0.0, 0.6, 0.4], [0.4, 0.3, 0.3], [0.0, 0.05, 0.95]]).log()
    >>> tokens, score = beam_search(lambda tokens: table[tokens[-1]], torch.tensor([0]), 2, 2)
    >>> tokens.tolist(), round(score.exp().item(), 3)  # greedy: 0 1 0, with 0.24
    ([0, 2, 2], 0.38)
    """
    _check_prompt(start, 0)
    for name, size in (("width", width), ("length", length)):
        if size < 1:
            raise ValueError(f"{name} must be at least 1: got {size}")
    kept: list[tuple[Tensor, Tensor, bool]] = [(start.clone(), torch.zeros(()), False)]
    for _ in range(length):
        grown: list[tuple[Tensor, Tensor, bool]] = []
        for tokens, score, ended in kept:
            if ended:
                grown.append((tokens, score, ended))
                continue
            logits = step(tokens)
            best = logits.log_softmax(dim=-1).topk(min(width, logits.shape[-1]))
            for more, token in zip(best.values, best.indices, strict=True):
                after = torch.cat([tokens, token[None]])
                grown.append((after, score + more, bool(token == eos_id)))
        kept = sorted(grown, key=lambda one: one[1].item(), reverse=True)[:width]
        if all(ended for *_, ended in kept):
            break
    tokens, score, _ = kept[0]
    return tokens, score


def _check_prompt(prompt: Tensor, new: int) -> None:
    if prompt.dtype != torch.int64:
        raise TypeError(f"tokens must be int64: got {prompt.dtype}")
    if new < 0:
        raise ValueError(f"the number of new tokens must not be negative: got {new}")


def _check_filters(temperature: float, top_k: int | None, top_p: float | None) -> None:
    if not temperature > 0:
        raise ValueError(f"temperature must be positive: got {temperature}")
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k must be at least 1: got {top_k}")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"top_p must be above 0 and at most 1: got {top_p}")
