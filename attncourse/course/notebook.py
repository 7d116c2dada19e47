"""What a learner calls in a notebook: ``check`` and ``hint``."""

import os
import re
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from attncourse.course import exercise as contract
from attncourse.course import progress, report
from attncourse.course.cells import unreadable
from attncourse.course.checking import Result, run
from attncourse.course.kernel import KernelAnswer
from attncourse.course.kinds import describe
from attncourse.course.legible import say
from attncourse.course.patience import allowed
from attncourse.course.plugs.table import offer


class NotPassedError(AssertionError):
    """Raised by `check` under ``ATTNCOURSE_STRICT=1`` (our own test runs) instead of a report."""


def check(exercise: str | Callable[..., Any], function: Callable[..., Any] | None = None) -> None:
    """Check your function and show what was found: ``check(softmax)``.

    Give the exercise's name first where your function is called otherwise:
    ``check("softmax", my_softmax)``. Shows one line for each check and, where one failed, what
    your function computes instead; the result is kept for ``attncourse status``. After an
    exception in your function, ``%debug`` goes to where it was raised.

    >>> check("softmax", lambda x: x.exp() / x.exp().sum())
    ✘ softmax: 0 of 7 checks passed
         Your function does what this mistake does, on every input tried: You divided ...
    """
    answer = function if isinstance(exercise, str) else exercise
    try:
        name = exercise if isinstance(exercise, str) else _exercise_of(exercise)
    except contract.NoDocstringsError as error:
        return _refuse(str(error))
    if not (isinstance(exercise, str) or callable(answer)):
        return _refuse(f"check takes your function, not {describe(answer)}: check(softmax).")
    if not name:
        told = "check cannot tell which exercise this is for: name it, as in"
        return _refuse(f'{told} check("softmax", your_function).')
    try:
        found = contract.get(name)
    except contract.ExerciseError as error:
        return _refuse(str(error))
    if not callable(answer):
        return _refuse(f"check needs your function as well: check({name!r}, {name}).")
    if told := unreadable(name, getattr(answer, "__name__", "")):
        return _refuse(f"{name}: {told}")
    result = run(found, KernelAnswer(answer, found.forbidden, seconds=allowed(found)))
    if _strict() and result.state != "passed":
        raise NotPassedError(report.text(result))
    progress.record(result)
    return _show(result)


def hint(exercise: str | Callable[..., Any]) -> None:
    """Show the next hint of an exercise: ``hint("softmax")``; after the last, all of them.

    >>> hint("softmax")
    Hint 1 of 2: ...
    """
    try:
        name = exercise if isinstance(exercise, str) else _exercise_of(exercise)
        found = contract.get(name)
    except contract.ExerciseError as error:
        return _say(str(error))
    told = next_hint(found)
    return _say(told, lambda: {"text/markdown": _HINT.sub(r"**\1** ", told).replace("\n", "\n\n")})


_HINT = re.compile(r"^(Hint \d+ of \d+:) ", re.MULTILINE)


def _exercise_of(function: Any) -> str:
    """The exercise that a function is for: by its own name, or one that it is bound to.

    A partial, a lambda or an instance has no name of an exercise, but where `check` was called
    from, ``softmax = partial(...)`` may stand. The function's own name if neither is one.
    """
    own, known = getattr(function, "__name__", ""), contract.names()
    if own in known:
        return str(own)
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        for names in (frame.f_locals, frame.f_globals):
            for name in known:
                if name in names and names[name] is function:
                    return name
        frame = frame.f_back
    return own if isinstance(own, str) and own.isidentifier() else ""


def next_hint(exercise: contract.Exercise) -> str:
    """The text of the next hint, remembering that it was given."""
    given = progress.hints_given(exercise.name)
    count, hints = len(exercise.hints), exercise.hints
    if given >= count:
        listed = "\n".join(f"Hint {i} of {count}: {text}" for i, text in enumerate(hints, 1))
        return f"{listed}\nThere are no more hints for {exercise.name}."
    progress.record_hint(exercise.name, given + 1)
    return f"Hint {given + 1} of {count}: {hints[given]}"


def _strict() -> bool:
    return os.environ.get("ATTNCOURSE_STRICT") == "1"


def _refuse(message: str) -> None:
    """Say what is wrong with a call of `check`."""
    if _strict():
        raise NotPassedError(message)
    _say(message)


def _show(result: Result) -> None:
    """Rich HTML in Jupyter, plain text elsewhere."""
    more = _next_step(result)
    plain = report.text(result) + (f"\n{more}" if more else "")
    _say(plain, lambda: {"text/html": report.as_html(result, more)})


def _next_step(result: Result) -> str:
    """One line on what to do next."""
    if result.state == "not attempted":
        return f"Replace `raise NotImplementedError` in {result.exercise} and run the cell again."
    if result.state != "failed":
        return offer(result.exercise) if result.state == "passed" else ""
    hints = contract.get(result.exercise).hints
    left = max(0, len(hints) - progress.hints_given(result.exercise))
    return f'Stuck? hint("{result.exercise}") shows the next hint ({left} left).' if left else ""


def _in_jupyter() -> bool:
    """Are we in a kernel whose front end shows HTML (not a terminal)?"""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return shell is not None and hasattr(shell, "kernel")


def _say(message: str, rich: Callable[[], dict[str, str]] | None = None) -> None:
    """Print it, or in Jupyter show what is richer, with the message for all who read plain text."""
    if rich is None or not _in_jupyter():
        say(message)
        return
    from IPython.display import display

    display({"text/plain": message, **rich()}, raw=True)
