"""Calling a learner's function once, and telling everything that happened.

The same `execute` runs in the learner's notebook and in the grader's worker process.
"""

import contextlib
import dis
import inspect
import re
import traceback
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

from attncourse import measure, testing  # noqa: F401  (registers the probes)
from attncourse.core.probes import PROBES
from attncourse.course.forbidden import ForbiddenError, asks_for_your_own, refused
from attncourse.course.places import learners_codes, learners_lines
from attncourse.measure import cost, queue_model, small_models  # noqa: F401

Function = Callable[..., Any]

_NUMPY = str(Path(np.__file__).parent)
_RAISES = ["LOAD_GLOBAL", "RAISE_VARARGS"]


@dataclass(frozen=True)
class Failure:
    """An exception of the learner's code. kind is its class, where the lines that led to it.

    fatal: the process was lost (time, memory, exit), so that nothing more can be asked.
    untouched: the stub raised it, in which nothing was written yet. error is the exception
    itself, where it was raised in this process.
    """

    kind: str
    message: str
    where: str = ""
    fatal: bool = False
    untouched: bool = False
    error: BaseException | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class Outcome:
    """What one call gave: a value or a failure, and the arguments it modified in place.

    modified holds positions of positional arguments and names of keyword arguments.
    """

    value: Any = None
    failure: Failure | None = None
    modified: tuple[int | str, ...] = ()

    @property
    def repeatable(self) -> bool:
        """Would the same come again? Not from a process that was lost, or has no memory left."""
        failure = self.failure
        return not (failure and (failure.fatal or failure.kind == "MemoryError"))


def execute(
    function: Function,
    probe: str | None,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    forbidden: Sequence[str] = (),
) -> Outcome:
    """Call `function`, or the named probe on it, with copies of the arguments."""
    given = tree_map(_copy, (list(args), dict(kwargs)))
    call = function if probe is None else PROBES[probe]
    positional = given[0] if probe is None else [function, *given[0]]
    try:
        with refused(forbidden), torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(
                0
            )  # torch.manual_seed is slow: it visits all devices
            value = call(*positional, **given[1])
    except (Exception, SystemExit) as error:
        return Outcome(failure=_failure(error))
    return Outcome(value, modified=_modified(args, kwargs, given))


def _copy(x: Any) -> Any:
    return x.detach().clone() if isinstance(x, Tensor) else x


def _failure(error: BaseException) -> Failure:
    """Describe an exception by its class, its first line and the lines of the learner's code."""
    message, kind = str(error).strip().partition("\n")[0], type(error).__name__
    where = learners_lines(error)
    if isinstance(error, MemoryError) or "can't allocate memory" in message:
        asked = re.search(r"allocate (\d+) bytes", message)
        size = f": it asked for {int(asked[1]) / 2**30:.1f} GiB at once" if asked else ""
        kind, message = "MemoryError", f"there is not enough memory{size}"
    elif asks_for_your_own(error):
        kind = ForbiddenError.__name__
    elif numpy := _numpy_given_a_tensor(error):
        message = f"{message[:400]}; {numpy} was given a PyTorch tensor: use PyTorch's own function"
    return Failure(kind, message[:500], where, untouched=_untouched(error), error=error)


def _untouched(error: BaseException) -> bool:
    """Was this raised by a function of the learner's that does nothing else?"""
    codes = learners_codes(error)
    return type(error) is NotImplementedError and len(codes) == 1 and _only_raises(codes[0])


def is_stub(function: Any) -> bool:
    """Does the function do nothing but raise NotImplementedError?"""
    with contextlib.suppress(Exception):  # of an object that answers as it likes
        return _only_raises(inspect.unwrap(function).__code__)
    return False


def _only_raises(code: types.CodeType) -> bool:
    steps = [i for i in dis.get_instructions(code) if i.opname not in ("RESUME", "NOP")]
    names = [step.argval for step in steps if step.opname == "LOAD_GLOBAL"]
    return names == ["NotImplementedError"] and [step.opname for step in steps] == _RAISES


def _numpy_given_a_tensor(error: BaseException) -> str:
    """The function of numpy's that the exception passed through with a tensor; none: ``""``."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        place, name = frame.f_code.co_filename, frame.f_code.co_name
        if place.endswith("_tensor.py") and name in ("__array__", "__array_wrap__"):
            return "numpy"
        given = [frame.f_locals.get(p) for p in frame.f_code.co_varnames[: _parameters(frame)]]
        if place.startswith(_NUMPY) and any(isinstance(x, Tensor) for x in given):
            return f"numpy's {name.strip('_').removesuffix('_dispatcher')}"
    return ""


def _parameters(frame: types.FrameType) -> int:
    return frame.f_code.co_argcount + frame.f_code.co_kwonlyargcount


def _modified(args: Sequence[Any], kwargs: Mapping[str, Any], given: Any) -> tuple[int | str, ...]:
    """The arguments whose copies no longer equal the originals."""
    before: dict[int | str, Any] = dict(enumerate(args)) | dict(kwargs)
    after: dict[int | str, Any] = dict(enumerate(given[0])) | given[1]
    return tuple(key for key in before if not _unchanged(before[key], after[key]))


def _unchanged(before: Any, after: Any) -> bool:
    a, b = tree_leaves(before), tree_leaves(after)
    return len(a) == len(b) and all(_same(x, y) for x, y in zip(a, b, strict=True))


def _same(a: Any, b: Any) -> bool:
    """The same number or the same tensor, NaN being equal to itself."""
    if not (isinstance(a, Tensor) and isinstance(b, Tensor)):
        return a is b or (type(a) is type(b) and bool(a == b))
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    if a.is_meta or torch.equal(a, b):
        return True
    return bool(((a == b) | ((a != a) & (b != b))).all())
