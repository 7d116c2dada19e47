"""A small language model made of tables, so that an exercise can send it to where a function lives.

A function cannot travel to another process; tensors can. The tables of a model: ``table`` (V, d),
``positions`` (t, d) and, layer by layer, ``q``, ``k``, ``v`` and ``o`` (layers, d, d); or, of one
that looks at the last token alone, ``bigrams`` (V, V). ``kind`` is what it is a function of:
"whole", tokens (t,) to logits (t, V); "steps", new tokens and the past to logits and the past;
"next", tokens (t,) to the logits (V,) of the next one.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from attncourse.core.probes import probe

Tables = Mapping[str, Any]
Pairs = list[tuple[Tensor, Tensor]]


@probe
def with_model(fn: Callable[..., Any], tables: Tables, *args: Any) -> Any:
    """``fn(model, *args)`` with the model of these tables."""
    return fn(_Model(tables).function(), *args)


@probe
def tokens_read(fn: Callable[..., Any], tables: Tables, *args: Any) -> list[int]:
    """How many tokens ``fn(model, *args)`` gives the model to read, call by call."""
    model = _Model(tables)
    fn(model.function(), *args)
    return model.read


@probe
def refusal_with_model(fn: Callable[..., Any], tables: Tables, *args: Any) -> str:
    """`refusal` of ``fn(model, *args)``."""
    return _refused(fn, _Model(tables).function(), *args)


@probe
def refusal(fn: Callable[..., Any], *args: Any, **options: Any) -> str:
    """The kind of error with which a function refuses its arguments; "" where it takes them.

    What is derived from TypeError or ValueError counts as that.
    """
    return _refused(fn, *args, **options)


def _refused(fn: Callable[..., Any], *args: Any, **options: Any) -> str:
    try:
        fn(*args, **options)
    except NotImplementedError:
        raise
    except TypeError:
        return "TypeError"
    except ValueError:
        return "ValueError"
    except Exception as error:
        return type(error).__name__
    return ""


class _Model:
    """The model of tables; read holds how many tokens each call brought."""

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        self.read: list[int] = []

    def function(self) -> Callable[..., Any]:
        """The model as a function of its kind."""
        kinds: dict[str, Callable[..., Any]] = {
            "whole": self.whole,
            "steps": self.steps,
            "next": self.next,
        }
        return kinds[self.tables["kind"]]

    def whole(self, tokens: Tensor) -> Tensor:
        """The logits (t, V) after each of the tokens (t,)."""
        return self.steps(tokens, None)[0]

    def next(self, tokens: Tensor) -> Tensor:
        """The logits (V,) of the token behind tokens (t,)."""
        return self.whole(tokens)[-1]

    def steps(self, tokens: Tensor, past: Pairs | None) -> tuple[Tensor, Pairs]:
        """The logits (t, V) after each of the new tokens (t,), and the past with them in it."""
        _check(tokens)
        self.read.append(len(tokens))
        if "bigrams" in self.tables:
            return self.tables["bigrams"][tokens], past or []
        return _transformer(self.tables, tokens, past)


def _transformer(tables: Tables, tokens: Tensor, past: Pairs | None) -> tuple[Tensor, Pairs]:
    """Causal layers of one head each, with residuals; the given past is not changed."""
    table = tables["table"]
    layers, d = len(tables["q"]), table.shape[-1]
    past = past or [(table[:0], table[:0])] * layers
    start, n = len(past[0][0]), len(tokens)
    seen = torch.ones(n, start + n, dtype=torch.bool).tril(start)
    x = table[tokens] + tables["positions"][start : start + n]
    grown = []
    for layer, (old_keys, old_values) in enumerate(past):
        keys = torch.cat([old_keys, x @ tables["k"][layer]])
        values = torch.cat([old_values, x @ tables["v"][layer]])
        scores = (x @ tables["q"][layer]) @ keys.T / math.sqrt(d)
        weights = scores.masked_fill(~seen, -math.inf).softmax(dim=-1)
        x = x + weights @ values @ tables["o"][layer]
        grown.append((keys, values))
    return x @ table.T, grown


def _check(tokens: Any) -> None:
    """Say what a model reads, to who gives it something else."""
    if not isinstance(tokens, Tensor) or tokens.dtype != torch.int64:
        raise TypeError("the model reads an int64 tensor of tokens")
    if tokens.ndim != 1 or not len(tokens):
        raise ValueError("the model reads tokens (t,), one axis, at least one token")
