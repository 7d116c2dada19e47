"""A small language model made of tables, so that an exercise can send it to where a function lives.

A function cannot travel to another process; tensors can. The tables of a model: ``table`` (V, d),
``mix`` (d, d) and ``out`` (d, V), of a network whose state all tokens so far have formed; or, of
one that looks at the last token alone, ``bigrams`` (V, V). There is no attention in it, since
whoever answers an exercise can see it. ``kind`` is what it is a function of: "whole", tokens (t,)
to logits (t, V); "steps", new tokens and the past to logits and the past; "next", tokens (t,) to
the logits (V,) of the next one.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from attncourse.core.probes import probe

Tables = Mapping[str, Any]


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

    def steps(self, tokens: Tensor, past: Tensor | None) -> tuple[Tensor, Tensor]:
        """The logits (t, V) after each of the new tokens (t,), and the past with them in it."""
        _check(tokens)
        self.read.append(len(tokens))
        if "bigrams" in self.tables:
            return self.tables["bigrams"][tokens], tokens[-1]
        state = torch.zeros_like(self.tables["table"][0]) if past is None else past
        states = []
        for entered in self.tables["table"][tokens]:
            state = torch.tanh(state @ self.tables["mix"] + entered)
            states.append(state)
        return torch.stack(states) @ self.tables["out"], state


def _check(tokens: Any) -> None:
    """Say what a model reads, to who gives it something else."""
    if not isinstance(tokens, Tensor) or tokens.dtype != torch.int64:
        raise TypeError("the model reads an int64 tensor of tokens")
    if tokens.ndim != 1 or not len(tokens):
        raise ValueError("the model reads tokens (t,), one axis, at least one token")
