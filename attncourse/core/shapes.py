"""Every shape and type error of the library, raised from the annotations of the functions.

A public function writes its shapes once, as jaxtyping annotations, and carries ``@checked``.
The decorator turns a broken annotation into one sentence: the rule, then both values.
"""

import functools
import inspect
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor

REMEMBERED = 256  # combinations of shapes that passed, for each function
PAST = "t"  # the axis of tokens that came before: there may be none

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class TensorRule:
    """One annotated tensor parameter: ``Float[Tensor, "... n d"]`` named q, taken apart."""

    name: str
    kind: str  # "Float", "Int", "Integer" or "Bool"
    leading: bool  # does the pattern begin with "..."?
    axes: tuple[str, ...]
    optional: bool

    def pattern(self) -> str:
        """The pattern as a person writes it: ``(..., n, d)``."""
        axes = [axis.lstrip("#") for axis in self.axes]
        return f"({', '.join(['...', *axes] if self.leading else axes)})"

    @property
    def broadcasts(self) -> bool:
        """May the named axes all be 1, and so be missing in front, as those of a mask?"""
        return self.leading and bool(self.axes) and all(a.startswith("#") for a in self.axes)

    def lead(self, x: Tensor) -> tuple[int, ...]:
        """The leading axes of x, those in front of the named ones."""
        return tuple(x.shape[: max(0, x.ndim - len(self.axes))])

    def named(self, x: Tensor) -> tuple[int, ...]:
        """The sizes of the named axes; those that x lacks in front are 1."""
        missing = len(self.axes) - x.ndim
        return (1,) * missing + tuple(x.shape[max(0, -missing) :])

    def completed(self, x: Any) -> Any:
        """A tensor with all of the named axes; anything else as it is."""
        missing = len(self.axes) - x.ndim if isinstance(x, Tensor) else 0
        return x[(None,) * missing] if missing > 0 else x


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """Check every call of `function` against its jaxtyping annotations.

    Raises TypeError for a wrong kind of argument and ValueError for a wrong shape. Named axes
    must have one size throughout and at least one entry, except ``t``, the tokens of a past that
    may be empty; axes under ``...`` are shared by all tensors; ``#`` marks an axis that may also be
    1. Where all named axes are so marked, those in front may be missing, and `function` gets them
    as 1: a mask (m,) comes to it as (1, m). Floating-point arguments share dtype and device.
    Arguments annotated ``int``, ``float`` or ``bool`` are checked for their type only. So shapes,
    dtypes, devices and types decide, and a combination that has passed once is let through at once
    the next time.
    """
    signature = inspect.signature(function)
    rules = {n: _read_rule(n, p.annotation) for n, p in signature.parameters.items()}
    names = list(signature.parameters)
    masks = {n: r for n, r in rules.items() if isinstance(r, TensorRule) and r.broadcasts}
    passed: set[object] = set()

    def examine(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        given = dict(zip(names, args, strict=False))
        given |= {name: kwargs[name] for name in names if name in kwargs}
        tensors: list[tuple[TensorRule, Tensor]] = []
        for name, value in given.items():
            rule = rules.get(name)
            if isinstance(rule, TensorRule):
                if not (value is None and rule.optional):
                    tensors.append((rule, _check_kind(rule, value)))
            elif rule is not None:
                _check_number(name, rule, value)
        _check_axes(tensors)
        _check_leading(tensors)
        _check_same_place(tensors)

    def complete(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The arguments, with all named axes in each mask."""
        pairs = zip(names, args, strict=False)
        found = [masks[name].completed(x) if name in masks else x for name, x in pairs]
        named = {n: rule.completed(kwargs[n]) for n, rule in masks.items() if n in kwargs}
        return (*found, *args[len(found) :]), kwargs | named

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        if torch.compiler.is_compiling():  # a graph that read `passed` would be void once it grows
            examine(args, kwargs)
        elif (look := (*map(_look, args), *kwargs, *map(_look, kwargs.values()))) not in passed:
            examine(args, kwargs)
            if len(passed) >= REMEMBERED:
                passed.clear()
            passed.add(look)
        if masks:
            args, kwargs = complete(args, kwargs)
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


def axis_error(rule: str, name: str, x: Tensor) -> ValueError:
    """An error of one tensor: the rule, then the shape that breaks it."""
    return ValueError(f"{rule}: got {name} {_show(x)}")


def _read_rule(name: str, annotation: Any) -> TensorRule | type | None:
    """Turn one annotation into a rule, or None where nothing is to be checked."""
    options = typing.get_args(annotation) if _is_union(annotation) else (annotation,)
    for option in options:
        if hasattr(option, "dim_str"):
            leading, *rest = option.dim_str.split() or [""]
            axes = rest if leading == "..." else [leading, *rest] if leading else []
            kind = option.__name__.split("[")[0]
            return TensorRule(name, kind, leading == "...", tuple(axes), len(options) > 1)
    return annotation if annotation in (int, float, bool) else None


def _is_union(annotation: Any) -> bool:
    return isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union


def _check_kind(rule: TensorRule, x: Any) -> Tensor:
    """Is x a tensor of the right kind of number with enough axes, none of them empty?"""
    if not isinstance(x, Tensor):
        raise TypeError(f"{rule.name} must be a torch.Tensor: got {_article(type(x).__name__)}")
    if rule.kind == "Float" and not x.is_floating_point():
        raise TypeError(f"{rule.name} must be floating point: got {x.dtype}")
    whole = not (x.is_floating_point() or x.is_complex() or x.dtype == torch.bool)
    if rule.kind in ("Int", "Integer") and not whole:
        raise TypeError(f"{rule.name} must hold integers: got {x.dtype}")
    if rule.kind == "Bool" and x.dtype != torch.bool:
        raise TypeError(
            f"{rule.name} must be Boolean, True where a query may attend: got {x.dtype}"
            f" (perhaps you want {rule.name}.bool())"
        )
    expected = len(rule.axes)
    too_few = x.ndim < expected and not rule.broadcasts
    if too_few or (x.ndim > expected and not rule.leading):
        bound = "at least" if rule.leading else "exactly"
        count = f"{expected} {'axis' if expected == 1 else 'axes'}"
        raise axis_error(f"{rule.name} must have {bound} {count} {rule.pattern()}", rule.name, x)
    for axis, size in zip(rule.axes, rule.named(x), strict=True):
        letter = axis.lstrip("#")
        if size == 0 and letter != PAST:
            raise axis_error(f"{letter} must be at least 1", rule.name, x)
    return x


def _check_number(name: str, kind: type, value: Any) -> None:
    """Is value an int where an int is asked for, a number where a float is, or True or False?"""
    if kind is bool:
        if not isinstance(value, bool):
            raise TypeError(f"{name} must be True or False: got {_article(type(value).__name__)}")
        return
    allowed = (int,) if kind is int else (int, float)
    if isinstance(value, bool) or not isinstance(value, allowed):
        noun = "an integer" if kind is int else "a number"
        raise TypeError(f"{name} must be {noun}: got {_article(type(value).__name__)}")


def _check_axes(tensors: list[tuple[TensorRule, Tensor]]) -> None:
    """Does every axis letter stand for one size?"""
    first: dict[str, tuple[TensorRule, Tensor, int]] = {}
    for rule, x in tensors:
        for axis, size in zip(rule.axes, rule.named(x), strict=True):
            letter = axis.lstrip("#")
            if axis.startswith("#") and size == 1:
                continue
            other, y, known = first.setdefault(letter, (rule, x, size))
            if known != size:
                place = _where(letter, other, rule)
                one = f" (or {rule.name} have 1 there)" if axis.startswith("#") else ""
                raise ValueError(
                    f"{other.name} and {rule.name} must share {letter}, {place}{one}"
                    f": got {letter}={known} for {other.name} {_show(y)}"
                    f" and {letter}={size} for {rule.name} {_show(x)}"
                )


def _check_leading(tensors: list[tuple[TensorRule, Tensor]]) -> None:
    """Do all tensors share their leading axes (a mask may broadcast to them)?"""
    leading = [
        (rule, x) for rule, x in tensors if rule.leading and rule.axes
    ]  # "..." alone is free
    for rule, x in leading[1:]:
        first, y = leading[0]
        lead, wanted = rule.lead(x), first.lead(y)
        if any(axis.startswith("#") for axis in rule.axes):
            if not _broadcasts(lead, wanted):
                raise ValueError(
                    f"the leading axes of {rule.name} must broadcast to those of {first.name}"
                    f": got {_tuple(lead)} for {rule.name} {_show(x)}"
                    f" and {_tuple(wanted)} for {first.name} {_show(y)}"
                )
        elif lead != wanted:
            raise ValueError(
                f"{first.name} and {rule.name} must share their leading axes"
                f": got {_tuple(wanted)} for {first.name} {_show(y)}"
                f" and {_tuple(lead)} for {rule.name} {_show(x)}"
            )


def _check_same_place(tensors: list[tuple[TensorRule, Tensor]]) -> None:
    """Do all floating-point tensors share dtype, and all tensors device?"""
    for i, (rule, x) in enumerate(tensors):
        for other, y in tensors[:i]:
            if rule.kind == other.kind == "Float" and x.dtype != y.dtype:
                raise TypeError(
                    f"{other.name} and {rule.name} must share a dtype"
                    f": got {y.dtype} for {other.name} and {x.dtype} for {rule.name}"
                )
            if x.device != y.device:
                raise ValueError(
                    f"{other.name} and {rule.name} must be on one device"
                    f": got {y.device} for {other.name} and {x.device} for {rule.name}"
                )


def _broadcasts(lead: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    if len(lead) > len(wanted):
        return False
    tail = wanted[len(wanted) - len(lead) :]
    return all(a in (1, b) for a, b in zip(lead, tail, strict=True))


def _where(letter: str, *rules: TensorRule) -> str:
    """Where the shared axis stands: "their last axis", or "axis -2 of k and axis -1 of weights"."""
    names = {-1: "last", -2: "second-to-last", -3: "third-to-last"}
    places = []
    for rule in rules:
        letters = [axis.lstrip("#") for axis in rule.axes]
        places.append(letters.index(letter) - len(letters))
    if places[0] == places[1]:
        return f"their {names[places[0]]} axis"
    return " and ".join(
        f"the {names[place]} axis of {rule.name}" for place, rule in zip(places, rules, strict=True)
    )


def _show(x: Tensor) -> str:
    return _tuple(tuple(x.shape))


def _tuple(sizes: tuple[int, ...]) -> str:
    return str(tuple(sizes))


def _article(noun: str) -> str:
    vowel = noun[0] in "aeio" or noun == "ndarray"
    return "None" if noun == "NoneType" else f"{'an' if vowel else 'a'} {noun}"
