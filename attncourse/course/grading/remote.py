"""The judge's side of a worker: start it, ask it, end it when it takes too long.

Everything that a worker says goes through `channel.decode` and `_outcome`: plain values of a
fixed form, or a lost process. There is no answer that means "passed".
"""

import contextlib
import hmac
import math
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attncourse.course import submission as submissions
from attncourse.course.checking import CheckResult, LocalAnswer, Result, run
from attncourse.course.diagnose import same_value
from attncourse.course.execution import Failure, Outcome
from attncourse.course.exercise import Exercise, first_line
from attncourse.course.fingerprints import Print
from attncourse.course.grading import replay
from attncourse.course.grading.channel import (
    LARGEST_ANSWER,
    LARGEST_REQUEST,
    Channel,
    ChannelError,
    ChannelTimeout,
    plain_text,
)
from attncourse.course.grading.process import Fate, Log, Process
from attncourse.course.grading.zygote import GraderFault, Zygote
from attncourse.course.parsing import Cell, Parsed, UnreadableError
from attncourse.course.submission import Submission, shortcut
from attncourse.testing import secret_inputs

TIMES_THE_REFERENCE = 20  # how much longer than the solution an answer may compute
READING = 5  # seconds of processor time to read a file, and
READING_MEMORY = 2 * 2**30  # bytes


@dataclass(frozen=True)
class Limits:
    """What a submission may use.

    seconds of processor time for an exercise (more where the solution itself takes long), bytes
    of memory, and seconds of processor time for all exercises together. Waiting is limited
    too, to twice as long and two seconds more, since time that passes depends on the machine.
    """

    seconds: float = 5.0
    memory: int = 2 * 2**30
    budget: float = 45.0

    def of(self, exercise: Exercise) -> float:
        """Seconds of processor time for one exercise."""
        enough = self.seconds / TIMES_THE_REFERENCE
        return max(self.seconds, TIMES_THE_REFERENCE * reference_seconds(exercise, enough))


def waiting(seconds: float) -> float:
    """Seconds that may pass where `seconds` of processor time are allowed."""
    return 2 * seconds + 2


def reference_seconds(exercise: Exercise, enough: float = 0.0) -> float:
    """Seconds of processor time that all checks of the exercise take with its solution.

    The first time imports what it needs, and counts only if it took no more than `enough`.
    """
    if exercise.name not in _REFERENCE:
        took = _seconds(exercise)
        _REFERENCE[exercise.name] = took if took <= enough else _seconds(exercise)
    return _REFERENCE[exercise.name]


def _seconds(exercise: Exercise) -> float:
    before = time.process_time()
    run(exercise, LocalAnswer(exercise.solution))
    return time.process_time() - before


_REFERENCE: dict[str, float] = {}


class Worker:
    """Holds one submission's functions in a confined process; started when first needed.

    A worker that hangs, exits or dies is ended with all its children; the next exercise has a
    fresh one anyway, so that only the exercise at fault is lost. Without a zygote it makes its
    own. `stalled` tells that the last process lost was ended for the time that passed and
    not for the time it computed: on a busy machine the exercise deserves a second try.
    """

    def __init__(
        self, submission: Submission, limits: Limits, zygote: Zygote | None = None
    ) -> None:
        self.submission = submission
        self.limits = limits
        self.notes: tuple[str, ...] = ()
        self.log = Log()
        self.cpu = 0.0  # seconds of processor time used by processes that have ended
        self.waited = 0.0  # seconds that the judge has waited for them
        self.memory = 0  # bytes that the largest of them held at once
        self.stalled = False
        self._zygote = zygote
        self._own: Zygote | None = None
        self._process: Process | None = None
        self._counter: Process | None = None
        self._unloadable: Outcome | None = None
        self._forbidden: tuple[str, ...] = ()
        self._seconds = limits.seconds
        self._deadline = 0.0
        self._began = 0.0

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def begin(self, forbidden: Sequence[str] = (), seconds: float | None = None) -> None:
        """An exercise begins: what is asked next goes to a fresh process, with its full time."""
        self._end()
        self._forbidden = tuple(forbidden)
        self._seconds = self.limits.seconds if seconds is None else seconds

    def ask(
        self,
        function: str,
        probe: str | None,
        args: Sequence[Any],
        kwargs: dict[str, Any],
        largest: int = LARGEST_ANSWER,
    ) -> Outcome:
        """The outcome of one call. A hang or a lost process is a fatal failure.

        largest is how many bytes of JSON the answer may have.
        """
        channel = self.start()
        if channel is None:
            return self._unloadable or _fatal("ProcessEnded", "its process could not be started.")
        identity = secrets.token_hex(8)
        request = {"op": "call", "id": identity, "function": function, "probe": probe}
        try:
            channel.send(request, list(args), kwargs, timeout=self._left())
            channel.largest = largest
            return _outcome(*channel.receive(timeout=self._left()), identity)
        except ChannelError as error:
            return _fatal(*self._lost(error))

    def cost(self, function: str, probe: str, args: Sequence[Any], kwargs: Any) -> Outcome:
        """What a call costs, counted by a process in which nothing of the submission runs.

        The worker only tells which operators the call uses, and is not believed: see `replay`.
        """
        args, kwargs = replay.real((list(args), kwargs))
        others = replay.changed((args, kwargs))
        told = self.ask(function, "record", args, kwargs, replay.LARGEST)
        if told.failure:
            return told if told.failure.kind != "Unrepeatable" else _UNCONFIRMED
        plain = self.ask(function, None, args, kwargs), self.ask(function, None, *others)
        lost = next((p for p in (*plain,) if p.failure), None)
        if lost:
            return lost
        counted = self._repeat(told.value, probe, (args, kwargs))
        again = [self._repeat(told.value, None, given) for given in ((args, kwargs), others)]
        if any(o.failure for o in (counted, *again)) or type(counted.value) is not int:
            return _UNCONFIRMED
        same = (same_value(a.value, b.value) for a, b in zip(plain, again, strict=True))
        return counted if all(same) else _UNCONFIRMED

    def _repeat(self, told: Any, probe: str | None, given: tuple[Any, Any]) -> Outcome:
        """Repeat a record elsewhere; a failure of any kind is one."""
        identity, most = secrets.token_hex(8), waiting(self._seconds)
        counter = self._count()
        try:
            text, constants = told
            request = {"op": "repeat", "id": identity, "probe": probe, "record": str(text)}
            counter.channel.send(request, *given, constants, timeout=most)
            return _outcome(*counter.channel.receive(timeout=most), identity)
        except (ChannelError, TypeError, ValueError):
            self._end_counter()
            return _UNCONFIRMED

    def _count(self) -> Process:
        """The process that counts; what it takes to start is no fault of the submission."""
        if self._counter is None:
            before = time.monotonic()
            zygote = (self._zygote or self._own_zygote()).counting
            seconds = max(1, math.ceil(self._seconds))
            self._counter = Process(zygote, self.limits.memory, seconds, Log())
            self._deadline += time.monotonic() - before
            self._began += time.monotonic() - before
        return self._counter

    def _end_counter(self) -> None:
        counter, self._counter = self._counter, None
        if counter is not None:
            counter.end()

    def start(self) -> Channel | None:
        """Start the process unless it runs, and load the definitions.

        None, for good, if they do not load or the submission has used up its time.
        """
        if self._process is not None:
            return self._process.channel
        if self._unloadable is None and self._spent():
            self.stalled = self.cpu < self.limits.budget
            budget = f"{self.limits.budget:g} s of processor time"
            self._unloadable = _fatal("BudgetError", f"the submission has used up its {budget}.")
        if self._unloadable is not None:
            return None
        try:
            return self._load(self._fork())
        except ChannelError as error:
            kind, reason = self._lost(error)
            self._unloadable = _fatal(kind, f"while its definitions were loaded, {reason}")
        except ValueError as error:
            self._end()
            self._unloadable = _fatal("LoadError", f"its definitions cannot be loaded: {error}.")
        return None

    def stop(self) -> None:
        """End the process and everything it started."""
        with contextlib.suppress(GraderFault):  # then nothing is left to be ended
            self._end()
        if self._own is not None:
            self._own.stop()
        self._own = None

    def _fork(self) -> Channel:
        """A fresh process."""
        zygote = self._zygote or self._own_zygote()
        self._process = Process(
            zygote, self.limits.memory, max(1, math.ceil(self._seconds)), self.log
        )
        self._began = time.monotonic()
        self._deadline = self._began + waiting(self._seconds)
        return self._process.channel

    def _own_zygote(self) -> Zygote:
        if self._own is None:
            self._own = Zygote()
        return self._own

    def _load(self, channel: Channel) -> Channel:
        """Have it run the definitions."""
        cells = [[cell.label, cell.source, list(cell.keep)] for cell in self.submission.cells]
        identity = secrets.token_hex(8)
        request = {"op": "load", "id": identity, "cells": cells, "forbidden": self._forbidden}
        channel.send(request, timeout=self._left())
        text, _ = channel.receive(timeout=self._left())
        notes = text.get("notes")
        if text.get("id") != identity or not isinstance(notes, list):
            raise ChannelError("it sent an answer that cannot be read")
        self.notes = tuple(plain_text(note, 300) for note in notes[:20])
        return channel

    def _left(self) -> float:
        return max(0.01, self._deadline - time.monotonic())

    def _spent(self) -> bool:
        budget = self.limits.budget
        return self.cpu >= budget or self.waited >= waiting(budget)

    def _end(self, patience: float = 0.0) -> Fate | None:
        """End the process; remember what it used."""
        self._end_counter()
        process, self._process = self._process, None
        if process is None:
            return None
        fate = process.end(patience)
        self.cpu += fate.cpu
        self.waited += time.monotonic() - self._began
        self.memory = max(self.memory, fate.memory)
        return fate

    def _lost(self, error: ChannelError) -> tuple[str, str]:
        """What became of the process, which is cleared away: a kind and a sentence."""
        late = isinstance(error, ChannelTimeout)
        fate = self._end(0.0 if late else 1.0) or Fate(0)
        self.stalled = late
        # told are the limits as given, not as measured: records of the same must be the same
        least = f"{self.limits.seconds:g} s"
        allowed = f"({least}, or {TIMES_THE_REFERENCE} times what the solution takes)"
        if not late and fate.code < 0 and fate.cpu >= self._seconds - 0.1:
            told = f"it used more processor time than it may {allowed}, and was stopped."
            return "TimeoutError", told
        if late:
            told = f"it did not return in time for what it may compute {allowed}, and was stopped."
            return "TimeoutError", told
        if fate.code == -9 and not str(error).startswith("the other side"):
            return "ProcessEnded", "the process that ran it sent what is not an answer."
        return "ProcessEnded", f"{fate}."


def read(path: Path, zygote: Zygote) -> Submission:
    """Read a submission; its text is parsed in a confined process, in bounded time.

    Raises UnreadableError, and GraderFault where the grader itself failed.
    """
    return submissions.read(path, _Parser(zygote))


@dataclass(frozen=True)
class _Parser:
    """Parses in a child of the zygote."""

    zygote: Zygote

    def parse(self, text: str, name: str, watched: frozenset[str]) -> Parsed:
        process = Process(self.zygote, READING_MEMORY, READING, Log())
        try:
            request = {"op": "parse", "id": "", "text": text, "name": name}
            process.channel.send(request | {"watched": sorted(watched)}, timeout=2.0 * READING)
            process.channel.largest = LARGEST_REQUEST
            answer, _ = process.channel.receive(timeout=2.0 * READING)
            return _parsed(answer)
        except UnreadableError:
            raise
        except (ChannelError, ValueError):
            told = f"{name} cannot be read: it takes too much time or memory"
            raise UnreadableError(told) from None
        finally:
            process.end()


def _parsed(answer: dict[str, Any]) -> Parsed:
    """What the parser found, as values of a fixed form. Raises UnreadableError or ChannelError."""
    if isinstance(answer.get("unreadable"), str):
        raise UnreadableError(plain_text(answer["unreadable"], 500))
    try:
        cells = [(plain_text(a, 200), str(b), tuple(map(int, c))) for a, b, c in answer["cells"]]
        uses = [(str(a), str(b), int(c), plain_text(d, 200)) for a, b, c, d in answer["uses"]]
        return Parsed(
            tuple(Cell(*cell) for cell in cells),
            None if answer["chapter"] is None else str(answer["chapter"]),
            tuple(map(str, answer["defined"])),
            tuple(plain_text(note, 500) for note in answer["notes"]),
            tuple(uses),
            tuple(_print(*one) for one in answer["prints"]),
        )
    except (KeyError, TypeError, ValueError):
        raise ChannelError("it sent an answer that cannot be read") from None


def _print(name: Any, lines: Any, marks: Any) -> Print:
    """Fingerprints as values of a fixed form. Raises TypeError or ValueError."""
    text = tuple(plain_text(line, 200, keep="\t") for line in lines)
    places = [(int(code), int(first), int(last)) for code, first, last in marks]
    if any(not 0 <= first <= last < len(text) for _, first, last in places):
        raise ValueError("a fingerprint must be of lines that are there")
    return Print(str(name), text, tuple(places))


@dataclass
class RemoteAnswer:
    """One exercise's function in a worker, as a check sees it; time is limited per exercise.

    refused is why nothing is asked: the text of the submission shows a forbidden function.
    """

    worker: Worker
    function: str
    refused: str | None = None

    def begin(self) -> None:
        """Nothing to do: the exercise has its time, not the check."""

    def run(self, probe: str | None, args: Sequence[Any], kwargs: dict[str, Any]) -> Outcome:
        """Call the function, or the named probe on it, in the worker."""
        if self.refused:
            return Outcome(failure=Failure("ForbiddenError", self.refused))
        if probe in replay.COSTS:
            return self.worker.cost(self.function, probe, args, kwargs)
        return self.worker.ask(self.function, probe, args, kwargs)


def grade(
    submission: Submission, worker: Worker, exercise: Exercise, secret: bytes = b""
) -> Result:
    """The result of one exercise of a submission; a function that is not there is no attempt.

    The definitions are loaded anew, in a fresh process. With a secret the checks draw inputs
    that nobody could know before, the same for all who are graded with it. Raises GraderFault
    where the grader itself failed: then there is no result.
    """
    if exercise.name in submission.defined:
        worker.stalled = False
        worker.begin(exercise.forbidden, worker.limits.of(exercise))
        refused = shortcut(submission, exercise.name, exercise.forbidden)
        inputs = hmac.digest(secret, exercise.name.encode(), "sha256") if secret else b""
        try:
            with secret_inputs(inputs):
                return run(exercise, RemoteAnswer(worker, exercise.name, refused))
        finally:
            worker.begin()
    missing = f"{submission.path.name} defines no function {exercise.name}."
    checks = (
        CheckResult(name, first_line(check), "not attempted", missing)
        for name, check in exercise.checks.items()
    )
    return Result(exercise.name, tuple(checks))


def _outcome(text: dict[str, Any], values: list[Any], identity: str) -> Outcome:
    """Turn a worker's frame into an Outcome of plain values, or raise ChannelError."""
    unread = ChannelError("it sent an answer that cannot be read")
    failure, modified = text.get("failure"), text.get("modified")
    if text.get("id") != identity or type(modified) is not list or len(values) != 1:
        raise unread
    if failure is not None:
        if type(failure) is not list or len(failure) != 3:
            raise unread
        kind, told, where = (plain_text(word, 500) for word in failure)
        return Outcome(failure=Failure(kind or "Exception", told, where))
    keys = (key if type(key) is int else plain_text(key, 80) for key in modified[:20])
    return Outcome(values[0], modified=tuple(keys))


_UNCONFIRMED = Outcome(
    failure=Failure(
        "CostError",
        "its cost could not be confirmed: the result must follow from the arguments by "
        "operators of PyTorch, the same each time",
    )
)


def _fatal(kind: str, told: str) -> Outcome:
    return Outcome(failure=Failure(kind, told, fatal=True))
