"""Every shape and type error of the library, raised from the annotations of the functions.

A public function writes its shapes once, as jaxtyping annotations, and carries ``@checked``.
The decorator turns a broken annotation into one sentence: the rule, then both values.
"""

import functools
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor

from attncourse.core.autocast import autocast_device, cast_parameters, lowered
from attncourse.core.numbers import plain_number
from attncourse.core.rules import (
    TensorRule,
    check_axes,
    check_kind,
    check_leading,
    check_same_place,
    read_rule,
)

REMEMBERED = 256  # combinations of shapes that passed, for each function

P = ParamSpec("P")
R = TypeVar("R")
Changes = dict[str, Callable[[Any], Any]]


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """Check every call of `function` against its jaxtyping annotations.

    Raises TypeError for a wrong kind of argument and ValueError for a wrong shape. Named axes
    must have one size throughout and at least one entry, except ``t``, the tokens of a past that
    may be empty; axes under ``...`` are shared by all tensors; ``#`` marks an axis that may also be
    1. Where all named axes are so marked, those in front may be missing, and `function` gets them
    as 1: a mask (m,) comes to it as (1, m). Floating-point arguments share dtype and device.
    Arguments annotated ``int``, ``float`` or ``bool`` are checked for their type only, and come to
    `function` as such, whatever kind of number they were (`plain_number`). So shapes, dtypes,
    devices and types decide, and a combination that has passed once is let through at once the next
    time. Autocast, if it is on, is applied here and is off inside (`core.autocast`).
    """
    signature = inspect.signature(function)
    rules = {n: read_rule(n, p.annotation) for n, p in signature.parameters.items()}
    names = list(signature.parameters)
    shapes = {n: r for n, r in rules.items() if isinstance(r, TensorRule)}
    masks: Changes = {n: r.completed for n, r in shapes.items() if r.broadcasts}
    kinds = {n: r for n, r in rules.items() if isinstance(r, type)}
    plain: Changes = {n: partial(plain_number, n, kind) for n, kind in kinds.items()}
    low = cast_parameters({n: p.annotation for n, p in signature.parameters.items()}, rules)
    passed: set[object] = set()

    def examine(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        given = dict(zip(names, args, strict=False))
        given |= {name: kwargs[name] for name in names if name in kwargs}
        tensors: list[tuple[TensorRule, Tensor]] = []
        for name, value in given.items():
            rule = rules.get(name)
            if isinstance(rule, TensorRule) and not (value is None and rule.optional):
                tensors.append((rule, check_kind(rule, value)))
        check_axes(tensors)
        check_leading(tensors)
        check_same_place(tensors)

    def change(args: tuple[Any, ...], kwargs: dict[str, Any], changes: Changes) -> Any:
        """The arguments, those that have a change by their names changed."""
        pairs = zip(names, args, strict=False)
        found = [changes[name](x) if name in changes else x for name, x in pairs]
        named = {name: to(kwargs[name]) for name, to in changes.items() if name in kwargs}
        return (*found, *args[len(found) :]), kwargs | named

    def recall(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Let through what looks like an earlier call; examine the rest, and remember it."""
        look = (*map(_look, args), *kwargs, *map(_look, kwargs.values()))
        try:
            known = look in passed
        except TypeError:  # a symbolic size, which is not to be remembered
            examine(args, kwargs)
            return
        if not known:
            examine(args, kwargs)
            if len(passed) >= REMEMBERED:
                passed.clear()
            passed.add(look)

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        if low and (device := autocast_device((*args, *kwargs.values()))):
            to_low = partial(lowered, dtype=torch.get_autocast_dtype(device))
            given, named = change(args, kwargs, dict.fromkeys(low, to_low))
            with torch.autocast(device, enabled=False):
                return run(*given, **named)
        if plain:
            args, kwargs = change(args, kwargs, plain)
        if torch.compiler.is_compiling():  # a graph that read `passed` would be void once it grows
            examine(args, kwargs)
        else:
            recall(args, kwargs)
        if masks:
            args, kwargs = change(args, kwargs, masks)
        return function(*args, **kwargs)

    _set_apart(run, function.__name__)
    return run


def _set_apart(run: Any, name: str) -> None:
    """Give a function code of its own: torch.compile keeps eight graphs for a code, no more."""
    run.__code__ = run.__code__.replace(co_name=name)


def _look(value: Any) -> object:
    """All that the rules look at in an argument."""
    if isinstance(value, Tensor):
        return value.shape, value.dtype, value.device
    return type(value)
