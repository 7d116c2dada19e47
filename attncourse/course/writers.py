"""A learner's loop, sampler or beam as the one that writes with a trained model."""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from attncourse.course.plugs.plug import Function, Writer
from attncourse.models.past import Past
from attncourse.models.pretrained.generation import chat_frame
from attncourse.models.pretrained.smollm import SmolLM
from attncourse.models.pretrained.sockets import SocketError

RANDOM = {"temperature": 0.7, "top_k": 50, "top_p": 0.95}
BEAM = 3  # places
MASS, PENALTY, TOP = 0.9, 1.2, -10.0


def by_loop(function: Function) -> Writer:
    """The text of ``generate(model, prompt, max_new_tokens, eos_id)``."""
    return _writer(function, lambda model: model.logits)


def by_steps(function: Function) -> Writer:
    """The text of ``kv_cache_generate(step, prompt, max_new_tokens, eos_id)``."""
    return _writer(function, _steps)


def by_beam(function: Function) -> Writer:
    """The text of ``beam_search(step, start, width, length, eos_id)``."""

    def search(step: Function, prompt: Tensor, tokens: int, end: int) -> Any:
        found = function(step, prompt, BEAM, tokens, end)
        return found[0] if isinstance(found, tuple) and found else found

    return _writer(search, next_logits)


def by_chance(function: Function) -> Writer:
    """The text of a model whose tokens ``sample(logits, ...)`` draws, the same each time."""

    def write(model: SmolLM, prompt: str, tokens: int) -> str:
        chance = torch.Generator().manual_seed(0)

        def choose(logits: Tensor) -> int:
            drawn = _asked(function, logits, **RANDOM, generator=chance)
            try:
                token = int(drawn)
            except (TypeError, ValueError, RuntimeError):
                token = -1
            if not 0 <= token < len(logits):
                raise SocketError("your function gave no token of the vocabulary")
            return token

        return model.generate(prompt, tokens, choose=choose)

    return write


def by_filter(function: Function) -> Writer:
    """The text whose tokens are drawn from what ``typical_filter(logits, mass)`` keeps."""

    def write(model: SmolLM, prompt: str, tokens: int) -> str:
        chance = torch.Generator().manual_seed(0)

        def choose(logits: Tensor) -> int:
            kept = _changed(_asked(function, logits, mass=MASS), logits).softmax(dim=-1)
            return int(torch.multinomial(kept, 1, generator=chance))

        return model.generate(prompt, tokens, choose=choose)

    return write


def by_penalty(function: Function) -> Writer:
    """The likeliest tokens, after ``repetition_penalty(logits, tokens, penalty)`` of those said.

    What the prompt said may be said again. The logits are those of a model in which all are below
    zero, the largest at `TOP`: a softmax does not notice.
    """

    def write(model: SmolLM, prompt: str, tokens: int) -> str:
        said: list[int] = []

        def choose(logits: Tensor) -> int:
            if said:
                lower = logits - logits.max() + TOP
                found = _asked(function, lower, torch.tensor(said), penalty=PENALTY)
                logits = _changed(found, logits)
            said.append(int(logits.argmax()))
            return said[-1]

        return model.generate(prompt, tokens, choose=choose)

    return write


def _changed(found: Any, logits: Tensor) -> Tensor:
    """Logits as a function has changed them. Raises SocketError where nothing can be chosen."""
    if not (isinstance(found, Tensor) and found.shape == logits.shape):
        raise SocketError("your function gave no logits (V,), one for each token")
    if not found.max().isfinite():
        raise SocketError("your function left no token that could be chosen, or NaN")
    return found


def next_logits(model: SmolLM) -> Callable[[Tensor], Tensor]:
    """The logits (V,) of the token behind tokens (t,); beginnings that were read are remembered."""
    known: dict[tuple[int, ...], Past] = {}

    def step(tokens: Tensor) -> Tensor:
        *before, last = tokens.tolist()
        past = copy.deepcopy(known.get(tuple(before)))
        new = [last] if past else [*before, last]
        past = past or Past(model.sizes.layers)
        logits = model.logits(new, past=past)[-1]
        known[(*before, last)] = past
        return logits

    return step


def _steps(model: SmolLM) -> Callable[[Tensor, Past | None], tuple[Tensor, Past]]:
    def step(tokens: Tensor, past: Past | None) -> tuple[Tensor, Past]:
        past = past or Past(model.sizes.layers)
        return model.logits(tokens, past=past), past

    return step


def _writer(function: Function, asks: Callable[[SmolLM], Function]) -> Writer:
    """What a function writes that is given a model of some form, a prompt, a number and the end."""

    def write(model: SmolLM, prompt: str, tokens: int) -> str:
        given = torch.tensor(model.encode(chat_frame(prompt)))
        text = _asked(function, asks(model), given, tokens, model.sizes.end)
        if not (isinstance(text, Tensor) and text.ndim == 1 and text.dtype == torch.int64):
            raise SocketError("your function gave no int64 tensor of tokens, with one axis")
        new = text[len(given) :].tolist()
        return model.decode(new[:-1] if new[-1:] == [model.sizes.end] else new)

    return write


def _asked(function: Function, *args: Any, **options: Any) -> Any:
    """The learner's function. Raises SocketError, whatever it raises."""
    try:
        return function(*args, **options)
    except SocketError:
        raise
    except (Exception, SystemExit) as error:
        said = str(error).partition("\n")[0][:200]
        raise SocketError(f"your function raised {type(error).__name__}: {said}") from error
