"""The judge's side of a worker: start it, ask it, end it when it takes too long."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from attncourse.course.checking import CheckResult, Result, run
from attncourse.course.execution import Failure, Outcome
from attncourse.course.exercise import Exercise, first_line
from attncourse.course.grading.channel import Channel, ChannelError, ChannelTimeout
from attncourse.course.grading.process import Log, Process
from attncourse.course.submission import Submission

STARTING = 120.0  # seconds until a fresh worker must have imported torch


@dataclass(frozen=True)
class Limits:
    """What a submission may use: seconds for a check, bytes of memory."""

    seconds: float = 10.0
    memory: int = 4 * 2**30


class Worker:
    """A process that holds one submission's functions; started when first needed.

    A worker that hangs, exits or dies is ended with all its children; the next question starts
    a fresh one, so that only the exercise at fault is lost.
    """

    def __init__(self, submission: Submission, limits: Limits) -> None:
        self.submission = submission
        self.limits = limits
        self.notes: tuple[str, ...] = ()
        self.log = Log()
        self._process: Process | None = None
        self._unloadable: Outcome | None = None

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def ask(
        self,
        function: str,
        probe: str | None,
        args: Sequence[Any],
        kwargs: dict[str, Any],
        forbidden: Sequence[str],
        seconds: float,
    ) -> Outcome:
        """The outcome of one call. A hang or a lost process is a fatal failure."""
        channel = self.start()
        if channel is None:
            return self._unloadable or _fatal("ProcessEnded", "its process could not be started.")
        try:
            request = {
                "op": "call",
                "function": function,
                "probe": probe,
                "forbidden": list(forbidden),
            }
            channel.send(request, list(args), kwargs, timeout=seconds)
            text, values = channel.receive(timeout=seconds)
            return _outcome(text, values)
        except ChannelTimeout:
            self.stop()
            limit = self.limits.seconds
            return _fatal("TimeoutError", f"it did not return within {limit:g} s, and was stopped.")
        except ChannelError:
            return _fatal("ProcessEnded", f"{self._lost()}.")

    def stop(self) -> None:
        """End the process and everything it started."""
        if self._process is not None:
            self._process.end()
        self._process = None

    def start(self) -> Channel | None:
        """Start the process unless it runs, and load the definitions.

        None, for good, if they do not load.
        """
        if self._process is not None:
            return self._process.channel
        if self._unloadable is not None:
            return None
        self._process = Process(self.limits.memory, self.log)
        channel = self._process.channel
        cells = [[cell.label, cell.source, list(cell.keep)] for cell in self.submission.cells]
        try:
            channel.receive(timeout=STARTING)
            channel.send({"op": "load", "cells": cells})
            text, _ = channel.receive(timeout=self.limits.seconds)
            notes = text.get("notes")
            self.notes = tuple(str(n)[:300] for n in notes[:20]) if isinstance(notes, list) else ()
            return channel
        except ChannelTimeout:
            self.stop()
            reason = f"its definitions did not load within {self.limits.seconds:g} s."
        except ChannelError:
            reason = f"while its definitions were loaded, {self._lost()}."
        except ValueError as error:
            self.stop()
            reason = f"its definitions cannot be loaded: {error}."
        self._unloadable = _fatal("LoadError", reason)
        return None

    def _lost(self) -> str:
        """What became of the process; it is cleared away."""
        fate = self._process.fate() if self._process else "the process that ran it is gone"
        self.stop()
        return fate


@dataclass
class RemoteAnswer:
    """One exercise's function in a worker, as a check sees it; time is limited per check."""

    worker: Worker
    function: str
    forbidden: tuple[str, ...] = ()
    _left: float = field(default=0.0, init=False)

    def begin(self) -> None:
        """Give the next check its full time; starting the process does not count."""
        self.worker.start()
        self._left = self.worker.limits.seconds

    def run(self, probe: str | None, args: Sequence[Any], kwargs: dict[str, Any]) -> Outcome:
        """Call the function, or the named probe on it, in the worker."""
        before = time.monotonic()
        outcome = self.worker.ask(
            self.function, probe, args, kwargs, self.forbidden, max(0.01, self._left)
        )
        self._left -= time.monotonic() - before
        return outcome


def grade(submission: Submission, worker: Worker, exercise: Exercise) -> Result:
    """The result of one exercise of a submission; a function that is not there is no attempt."""
    if exercise.name in submission.defined:
        return run(exercise, RemoteAnswer(worker, exercise.name, exercise.forbidden))
    message = f"{submission.path.name} defines no function {exercise.name}."
    checks = (
        CheckResult(name, first_line(check), "not attempted", message)
        for name, check in exercise.checks.items()
    )
    return Result(exercise.name, tuple(checks))


def _outcome(text: dict[str, Any], values: list[Any]) -> Outcome:
    """Turn a worker's frame into an Outcome of plain values, or raise ChannelError."""
    try:
        failure, modified = text["failure"], text["modified"]
        if failure is not None:
            kind, message, where = (str(word)[:500] for word in failure)
            return Outcome(failure=Failure(kind, message, where))
        keys = tuple(key if isinstance(key, int) else str(key)[:80] for key in modified[:20])
        return Outcome(values[0], modified=keys)
    except (KeyError, TypeError, ValueError, IndexError):
        raise ChannelError("it sent an answer that cannot be read") from None


def _fatal(kind: str, message: str) -> Outcome:
    return Outcome(failure=Failure(kind, message, fatal=True))
