"""What a jaxtyping annotation asks of an argument, and the sentence for one that breaks it.

A sentence states the rule, then both values.
"""

import types
import typing
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from attncourse.core.numbers import article, holds_numbers

ADDED = -1e3  # hides a key when it is added to its score
PAST = "t"  # the axis of tokens that came before: there may be none


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


def axis_error(rule: str, name: str, x: Tensor) -> ValueError:
    """An error of one tensor: the rule, then the shape that breaks it."""
    return ValueError(f"{rule}: got {name} {_show(x)}")


def read_rule(name: str, annotation: Any) -> TensorRule | type | None:
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


def check_kind(rule: TensorRule, x: Any) -> Tensor:
    """Is x a tensor of the right kind of number with enough axes, none of them empty?"""
    if not isinstance(x, Tensor):
        raise TypeError(f"{rule.name} must be a torch.Tensor: got {article(type(x).__name__)}")
    if rule.kind == "Float" and not x.is_floating_point():
        raise TypeError(f"{rule.name} must be floating point: got {x.dtype}")
    whole = not (x.is_floating_point() or x.is_complex() or x.dtype == torch.bool)
    if rule.kind in ("Int", "Integer") and not whole:
        raise TypeError(f"{rule.name} must hold integers: got {x.dtype}")
    if rule.kind == "Bool" and x.dtype != torch.bool:
        raise TypeError(
            f"{rule.name} must be Boolean, True where a query may attend: got {x.dtype}"
            + _meant(rule.name, x)
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


def _meant(name: str, x: Tensor) -> str:
    """The Boolean mask that numbers stand for: 1 and 0, or what is added to scores, 0 and -inf.

    Libraries that add write a large negative number for -inf. Zeros alone could be either, and a
    bias is no mask.
    """
    if x.is_complex() or not x.numel() or not holds_numbers(x):
        return ""
    zero = x == 0
    if (zero | (x == 1)).all() and not (x.is_floating_point() and zero.all()):
        return f" (perhaps you want {name}.bool())"
    added = (zero | (x <= ADDED)).all() and zero.any() and not zero.all()
    return f" (perhaps you want {name} == 0)" if added else ""


def check_axes(tensors: list[tuple[TensorRule, Tensor]]) -> None:
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


def check_leading(tensors: list[tuple[TensorRule, Tensor]]) -> None:
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


def check_same_place(tensors: list[tuple[TensorRule, Tensor]]) -> None:
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
