"""Calling a learner's function once, and telling everything that happened.

The same `execute` runs in the learner's notebook and in the grader's worker process.
"""

import linecache
import re
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

from attncourse import measure, testing  # noqa: F401  (registers the probes)
from attncourse.core.probes import PROBES
from attncourse.course.forbidden import refused
from attncourse.measure import cost  # noqa: F401

Function = Callable[..., Any]

# Frames of these files are not the learner's: this package and Python's own, installed packages.
_OURS = (str(Path(__file__).parents[1]), str(Path(linecache.__file__).parent), "<frozen ")
_INSTALLED = ("site-packages", "dist-packages")


@dataclass(frozen=True)
class Failure:
    """An exception of the learner's code. kind is its class, where the line that raised it.

    fatal: the process was lost (time, memory, exit), so that nothing more can be asked.
    """

    kind: str
    message: str
    where: str = ""
    fatal: bool = False


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
    """Describe an exception by its class, its first line and the line of the learner's code."""
    message, kind = str(error).strip().partition("\n")[0], type(error).__name__
    if isinstance(error, MemoryError) or "can't allocate memory" in message:
        asked = re.search(r"allocate (\d+) bytes", message)
        size = f": it asked for {int(asked[1]) / 2**30:.1f} GiB at once" if asked else ""
        kind, message = "MemoryError", f"there is not enough memory{size}"
    return Failure(kind, message[:500], _place(error))


def _place(error: BaseException) -> str:
    """The innermost line of the learner's own code that the exception passed through."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if frame.filename.startswith(_OURS) or any(part in frame.filename for part in _INSTALLED):
            continue
        line = (frame.line or linecache.getline(frame.filename, frame.lineno or 0)).strip()
        return f"line {frame.lineno}: {line}" if line else ""
    return ""


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
