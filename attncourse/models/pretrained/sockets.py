"""Sockets: the places of a model where anybody's function can go in.

A socket takes a function with the signature of the library's own, which is what it holds at first.
Another function gets copies of its arguments, and the number of the layer, from 0, if it has a
parameter `layer`; what it raises, or a result that does not fit, is one sentence with the socket
and the layer.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from attncourse.core.errors import CourseError

Function = Callable[..., Any]
# Several ways to the same output: what one of these holds computes a layer's attention, alone.
WAYS = (
    *("attention", "grouped_attention", "multi_head_attention"),
    *("softmax", "masked_softmax", "cache"),
)


class SocketError(CourseError):
    """A function does not fit its socket; the message says which, in which layer, and why."""


class Sockets:
    """The functions of a model by socket: the library's, and in their places those that are given.

    Raises TypeError for what cannot be called, ValueError for a socket that is none, and for two
    of `WAYS`.
    """

    def __init__(self, own: Mapping[str, Function], given: Mapping[str, Any]) -> None:
        self.given = {name: f for name, f in given.items() if f is not None}
        for name, function in self.given.items():
            if name not in own:
                raise ValueError(f"the sockets are {', '.join(own)}: got {name}")
            if not callable(function):
                raise TypeError(f"{name} must be a function: got {type(function).__name__}")
        ways = [name for name in WAYS if name in self.given]
        if len(ways) > 1:
            raise ValueError(f"one function computes the attention: got {' and '.join(ways)}")
        self.way = ways[0] if ways else next(name for name in own if name in WAYS)
        self._functions = {**own, **self.given}
        self._told = {name for name, f in self.given.items() if "layer" in _parameters(f)}

    def takes_mask(self) -> bool:
        """Does the function that computes the attention take a mask?"""
        return self.way not in self.given or takes(self.given[self.way], "mask")

    def call(self, name: str, layer: int | None, like: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """The result of the function in a socket, which is to have the shape and dtype of `like`.

        `like` may lie on the meta device. Raises SocketError.
        """
        if name not in self.given:
            return self._functions[name](*args, **kwargs)
        return fitting(name, layer, self.raw(name, layer, *args, **kwargs), like)

    def raw(self, name: str, layer: int | None, *args: Any, **kwargs: Any) -> Any:
        """The same, whatever the function returns."""
        given = [_copy(x) for x in args]
        if name in self._told:
            kwargs["layer"] = layer  # None outside the layers
        try:
            return self._functions[name](*given, **kwargs)
        except SocketError:  # of a function in another socket, which this one called
            raise
        except (Exception, SystemExit) as error:
            said = str(error).partition("\n")[0][:200]
            what = type(error).__name__ + _given(args) + (f": {said}" if said else "")
            raise SocketError(f"{place(name, layer)} raised {what}") from error


def place(name: str, layer: int | None) -> str:
    """A socket's function in words."""
    return f"the function in the socket {name}" + ("" if layer is None else f", layer {layer},")


def takes(function: Function, name: str) -> bool:
    """Has the function a parameter of this name, or one for whatever comes?"""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return True
    return any(p.name == name or p.kind is p.VAR_KEYWORD for p in parameters)


def _parameters(function: Function) -> list[str]:
    """The names of a function's parameters, as far as it tells them."""
    try:
        return list(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return []


def fitting(name: str, layer: int | None, result: object, like: Tensor) -> Tensor:
    """The result, if it is a tensor with the shape and the dtype of `like`; else SocketError."""
    wanted = f"expected a {_dtype(like)} tensor of shape {tuple(like.shape)}"
    if not isinstance(result, Tensor):
        got = "None" if result is None else type(result).__name__
    elif result.shape != like.shape:
        got = f"a tensor of shape {tuple(result.shape)}"
    elif result.dtype != like.dtype:
        got = f"{_dtype(result)} numbers"
    else:
        return result
    raise SocketError(f"{place(name, layer)} returned {got}; {wanted}")


def shaped(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """A tensor of that shape without numbers."""
    return torch.empty(shape, dtype=dtype, device="meta")


def _given(args: tuple[Any, ...]) -> str:
    """The shapes of the tensors that a function was given."""
    shapes = [str(tuple(x.shape)) for x in args if isinstance(x, Tensor)]
    return f" when given {', '.join(shapes)}" if shapes else ""


def _dtype(x: Tensor) -> str:
    return str(x.dtype).removeprefix("torch.")


def _copy(x: Any) -> Any:
    if isinstance(x, Tensor):
        return x.clone()
    return tuple(map(_copy, x)) if isinstance(x, tuple) else x
