"""What a plug is, and the sockets that plugs of many exercises fill."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

Function = Callable[..., Any]
Sockets = Mapping[str, Function]
Writer = Callable[[Any, str, int], str]  # a model, a prompt, how many tokens: what is written

BLOCK = 16  # of the exercises whose function takes the length of a block, a tile, a chunk


@dataclass(frozen=True)
class Plug:
    """The sockets that a function fills.

    model is the one whose sockets they are; neutral: the right function changes nothing; cached:
    it can do with the new token alone; brief: it takes longer than others, so that less is tried;
    writer makes of a function that is no part of the model what writes with it; chance: it draws,
    and other words are no mistake.
    """

    sockets: Callable[[Function], Sockets]
    model: str = "SmolLM"
    neutral: bool = True
    cached: bool = True
    brief: bool = False
    writer: Callable[[Function], Writer] | None = None
    chance: bool = False


def into(socket: str) -> Callable[[Function], Sockets]:
    """The function is what the socket asks for, as it is."""
    return lambda function: {socket: function}


def without_mask(function: Function) -> Sockets:
    """The model asks for one query at a time, with the keys that it may see."""

    def attention(q: Tensor, k: Tensor, v: Tensor) -> Any:
        return function(q, k, v)

    return {"attention": attention}


def in_chunks(function: Function) -> Sockets:
    """Whole texts only: n queries are all of the n tokens."""

    def attention(q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor | None = None) -> Any:
        return function(q, k, v, chunk=BLOCK)

    return {"attention": attention}
