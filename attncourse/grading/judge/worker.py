"""The judge's side of a worker: start it, ask it, end it when it takes too long.

Everything that a worker says goes through `frames.decode` and `exchange.outcome_of`: plain
values of a fixed form, or a lost process. There is no answer that means "passed".
"""

import contextlib
import math
import secrets
import time
from collections.abc import Container, Sequence
from typing import Any

from attncourse.course.execution import Failure, Outcome
from attncourse.grading.judge.allowance import TIMES_THE_REFERENCE, Limits, waiting
from attncourse.grading.judge.counting import Counter
from attncourse.grading.judge.exchange import Reply, Request, concluded, received
from attncourse.grading.judge.process import Fate, Log, Process
from attncourse.grading.judge.submission import Submission
from attncourse.grading.judge.zygote import GraderFault, Zygote
from attncourse.grading.wire.channel import Channel, ChannelTimeout
from attncourse.grading.wire.frames import LARGEST_ANSWER, ChannelError, encode_cells, plain_text


class Worker:
    """Holds one submission's functions in a confined process; started when first needed.

    A worker that hangs, exits or dies is ended with all its children; only the exercise at
    fault is lost. The next one finds its definitions as if nothing had run: they are loaded
    anew, in the same process if that says that nothing else is left there, or in another.
    Without a zygote it makes its own.

    `stalled` tells that the last process lost was ended for the time that passed and not for
    the time it computed: on a busy machine the exercise deserves a second try. `doubtful` tells
    that what went wrong may be the fault of an exercise that ran before in the same process.
    """

    def __init__(
        self, submission: Submission, limits: Limits, zygote: Zygote | None = None
    ) -> None:
        self.submission = submission
        self.limits = limits
        self.notes: tuple[str, ...] = ()
        self.log = Log()
        self.cpu = 0.0  # seconds of processor time used, as far as known
        self.waited = 0.0  # seconds that the judge has waited, up to the last exercise
        self.memory = 0  # bytes that the largest process that has ended held at once
        self.stalled = False
        self.doubtful = False
        self._zygote = zygote
        self._own: Zygote | None = None
        self._process: Process | None = None
        self._counter = Counter(limits.memory)
        self._unloadable: Outcome | None = None
        self._forbidden: tuple[str, ...] = ()
        self._seconds = limits.seconds
        self._fresh = True
        self._used = False  # by an exercise that came before
        self._before = 0.0  # of the processor time, what exercises before used in this process
        self._deadline = 0.0
        self._began = 0.0

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def begin(
        self, forbidden: Sequence[str] = (), seconds: float | None = None, alone: bool = False
    ) -> None:
        """An exercise begins: what is asked next finds no trace of another, and its full time.

        alone: in a process where nothing else ever ran.
        """
        self._counter.end()
        self.stalled = self.doubtful = False
        self._used = True
        self._seconds = self.limits.seconds if seconds is None else seconds
        if alone or tuple(forbidden) != self._forbidden or self._kept_apart():
            self._end()
        self._forbidden = tuple(forbidden)

    def reply(
        self, request: Request, known: Container[bytes] = (), largest: int = LARGEST_ANSWER
    ) -> Reply:
        """The reply to one request. A hang or a lost process is a fatal failure.

        It is read unless its digest is among the `known`; it may have `largest` bytes of JSON.
        """
        channel = self.start()
        if channel is None:
            return concluded(self._unloadable or _NOT_STARTED)
        identity = secrets.token_hex(8)
        try:
            channel.send_raw(request.head(identity), request.body, self._left())
            channel.largest = largest
            reply = received(*channel.receive_raw(self._left()), identity, known)
        except ChannelError as error:
            return concluded(_fatal(*self._lost(error)))
        if reply.digest is None and reply.outcome.failure:
            self.doubtful |= not self._fresh
        return reply

    def repeat(self, told: Any, probe: str | None, given: tuple[Any, Any]) -> Outcome:
        """Repeat a record, under a probe or plainly, where nothing of the submission runs."""
        before = self._counter.starting
        zygote = (self._zygote or self._own_zygote()).counting
        outcome = self._counter.repeat(zygote, told, probe, given, waiting(self._seconds))
        self._deadline += self._counter.starting - before
        self._began += self._counter.starting - before
        return outcome

    def start(self) -> Channel | None:
        """Start the process unless it runs, and load the definitions.

        None, for good, if they do not load or the submission has used up its time.
        """
        if self._process is not None and not self._used:
            return self._process.channel
        renewed = self._process is not None and self._renew()
        self._used = False
        if self._process is not None and renewed and not self._spent():
            return self._process.channel
        with contextlib.suppress(GraderFault):  # it is not needed any more
            self._end()
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
            self._counter.end()
            self._end()
        if self._own is not None:
            self._own.stop()
        self._own = None

    def _fork(self) -> Channel:
        """A fresh process."""
        zygote = self._zygote or self._own_zygote()
        budget = math.ceil(self.limits.budget)
        most = self._whole if self._kept_apart() else max(self._whole, budget)
        self._process = Process(zygote, self.limits.memory, self._whole, self.log, most)
        self._fresh, self._before = True, 0.0
        self._begin_waiting()
        return self._process.channel

    @property
    def _whole(self) -> int:
        """Seconds of processor time for one exercise, as the system counts them."""
        return max(1, math.ceil(self._seconds))

    def _own_zygote(self) -> Zygote:
        if self._own is None:
            self._own = Zygote()
        return self._own

    def _kept_apart(self) -> bool:
        """Must each exercise have its own process? Where a function may leave threads behind."""
        return (self._zygote or self._own_zygote()).level == "limits"

    def _load(self, channel: Channel) -> Channel:
        """Have it run the definitions."""
        cells = encode_cells(self.submission.cells)
        self._order(channel, "load", {"cells": cells, "forbidden": self._forbidden})
        return channel

    def _renew(self) -> bool:
        """Have the process run the definitions anew, if it says that nothing else is left there."""
        process = self._process
        if process is None:
            return False
        try:
            used = process.extend(self._whole)
            if used is None:
                return False
            self.cpu += used - self._before
            self._before, self._fresh = used, False
            self.waited += time.monotonic() - self._began
            self._begin_waiting()
            return self._order(process.channel, "renew", {}).get("clean") is True
        except (ChannelError, GraderFault):
            return False

    def _order(self, channel: Channel, order: str, more: dict[str, Any]) -> dict[str, Any]:
        """Have it run the definitions, and keep what it notes. Raises ChannelError."""
        identity = secrets.token_hex(8)
        channel.send({"op": order, "id": identity, **more}, timeout=self._left())
        text, _ = channel.receive(timeout=self._left())
        notes = text.get("notes")
        if text.get("id") != identity or not isinstance(notes, list):
            raise ChannelError("it sent an answer that cannot be read")
        self.notes = tuple(plain_text(note, 300) for note in notes[:20])
        return text

    def _begin_waiting(self) -> None:
        self._began = time.monotonic()
        self._deadline = self._began + waiting(self._seconds)

    def _left(self) -> float:
        return max(0.01, self._deadline - time.monotonic())

    def _spent(self) -> bool:
        budget = self.limits.budget
        return self.cpu >= budget or self.waited >= waiting(budget)

    def _end(self, patience: float = 0.0) -> Fate | None:
        """End the process; remember what it used."""
        process, self._process = self._process, None
        if process is None:
            return None
        fate = process.end(patience)
        self.cpu += fate.cpu - self._before
        self.waited += time.monotonic() - self._began
        self.memory = max(self.memory, fate.memory)
        return fate

    def _lost(self, error: ChannelError) -> tuple[str, str]:
        """What became of the process, which is cleared away: a kind and a sentence."""
        late = isinstance(error, ChannelTimeout)
        self._counter.end()
        fate = self._end(0.0 if late else 1.0) or Fate(0)
        computed = fate.cpu - self._before >= self._whole - 0.1
        self.stalled = late and not computed
        # told are the limits as given, not as measured: records of the same must be the same
        least = f"{self.limits.seconds:g} s"
        allowed = f"({least}, or {TIMES_THE_REFERENCE} times what the solution takes)"
        if computed and (late or fate.code < 0):
            told = f"it used more processor time than it may {allowed}, and was stopped."
            return "TimeoutError", told
        self.doubtful |= not self._fresh
        if late:
            told = f"it did not return in time for what it may compute {allowed}, and was stopped."
            return "TimeoutError", told
        if fate.code == -9 and not str(error).startswith("the other side"):
            return "ProcessEnded", "the process that ran it sent what is not an answer."
        return "ProcessEnded", f"{fate}."


def _fatal(kind: str, told: str) -> Outcome:
    return Outcome(failure=Failure(kind, told, fatal=True))


_NOT_STARTED = _fatal("ProcessEnded", "its process could not be started.")
