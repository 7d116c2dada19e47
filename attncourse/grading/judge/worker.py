"""The judge's side of a worker: start it, ask it, end it when it takes too long.

Everything that a worker says goes through `exchange`: plain values of a fixed form, or a lost
process. There is no answer that means "passed".
"""

import contextlib
import functools
from collections.abc import Sequence
from typing import Any, Protocol, TypeVar, runtime_checkable

from attncourse.course.execution import Failure, Outcome
from attncourse.course.patience import limit, used_up
from attncourse.grading.judge.account import Account
from attncourse.grading.judge.allowance import Limits
from attncourse.grading.judge.counting import Counter
from attncourse.grading.judge.exchange import UNREAD, Reader, Request, claimed, outcome_of
from attncourse.grading.judge.process import Fate, Log, Process
from attncourse.grading.judge.submission import Submission
from attncourse.grading.judge.zygote import GraderFault, Zygote
from attncourse.grading.wire.channel import ChannelClosed, ChannelTimeout
from attncourse.grading.wire.frames import ChannelError, plain_text
from attncourse.grading.wire.protocol import (
    MOST_FUNCTIONS,
    MOST_NOTES,
    Load,
    Ran,
    Renew,
    encode_cells,
)


@runtime_checkable
class Said(Protocol):
    """What is read of an answer: an outcome, or what stands for one."""

    @property
    def repeatable(self) -> bool:
        """Would the same answer come again?"""
        ...


S = TypeVar("S", bound=Said)


class Worker:
    """Holds one submission's functions in a confined process; started when first needed.

    A worker that hangs, exits or dies is ended with all its children; only the exercise at
    fault is lost. The next one finds its functions as if nothing had run: all cells are run
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
        self.functions: frozenset[str] = frozenset()  # that it says are there
        self.log = Log()
        self.account = Account(limits)
        self.stalled = False
        self.doubtful = False
        self._zygote = zygote
        self._own: Zygote | None = None
        self._process: Process | None = None
        self._counter = Counter(limits.memory)
        self._unloadable: Outcome | None = None
        self._forbidden: tuple[str, ...] = ()
        self._fresh = True
        self._used = False  # by an exercise that came before

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
        self._counter.begin()
        self.stalled = self.doubtful = False
        self._used = True
        self.account.seconds = self.limits.seconds if seconds is None else seconds
        if alone or tuple(forbidden) != self._forbidden or self._kept_apart():
            self._end()
        self._forbidden = tuple(forbidden)

    def has(self, function: str) -> bool:
        """Is the function there, once all has run? Also where that cannot be told."""
        cells = self.submission.cells
        return bool(cells) and (self.start() is None or function in self.functions)

    @property
    def shared(self) -> bool:
        """Has another exercise run before in the same process?"""
        return not self._fresh

    def ask(self, request: Request) -> Outcome:
        """The outcome of one request. A hang or a lost process is a fatal failure."""
        return self.read(request, outcome_of)

    def read(self, request: Request, read: Reader[S]) -> S | Outcome:
        """What is read of the answer to one request; or the outcome where there is no answer."""
        process = self.start()
        if process is None:
            return self._unloadable or _NOT_STARTED
        try:
            answer = process.ask(request, read, self.account.left)
        except ChannelError as error:
            return _fatal(*self._lost(error))
        self.account.slept += process.patience.slept
        if not answer.repeatable:
            self.doubtful |= not self._fresh
        return answer

    def repeat(self, told: Any, probe: str | None, given: tuple[Any, Any]) -> Outcome:
        """Repeat a record, under a probe or plainly, where nothing of the submission runs."""
        before = self._counter.starting
        zygote = self._zygotes().counting
        outcome = self._counter.repeat(zygote, told, probe, given, self.account.patience)
        self.account.excuse(self._counter.starting - before)
        return outcome

    def start(self) -> Process | None:
        """The process, which is started unless it runs, in which all cells have run.

        None, for good, if they do not load or the submission has used up its time.
        """
        if self._process is not None and not self._used:
            return self._process
        renewed = self._process is not None and self._renew(self._process)
        self._used = False
        if self._process is not None and renewed and not self.account.used_up:
            return self._process
        with contextlib.suppress(GraderFault):  # it is not needed any more
            self._end()
        if self._unloadable is None and self.account.used_up:
            self.stalled = self.account.cpu < self.limits.budget
            self._unloadable = _fatal("BudgetError", self._spent())
        return None if self._unloadable else self._loaded(self._fork())

    def stop(self) -> None:
        """End the process and everything it started."""
        with contextlib.suppress(GraderFault):  # then nothing is left to be ended
            self._counter.end()
            self._end()
        if self._own is not None:
            self._own.stop()
        self._own = None

    def _fork(self) -> Process:
        """A fresh process."""
        seconds, most = self.account.seconds, 0.0 if self._kept_apart() else self.limits.budget
        given = self.limits.memory, seconds, self.log
        zygote = self._zygotes().refusing(self._forbidden)
        self._process = Process(zygote, *given, most=most, sleep=self.limits.sleep)
        self._fresh = True
        self.account.process_starts()
        return self._process

    def _zygotes(self) -> Zygote:
        """What starts its processes."""
        if self._zygote is None and self._own is None:
            self._own = Zygote()
        return self._zygote or self._own  # type: ignore[return-value]

    def _kept_apart(self) -> bool:
        """Must each exercise have its own process? Where a function may leave threads behind."""
        return self._zygotes().level == "limits"

    def _loaded(self, process: Process) -> Process | None:
        """The process, after it has run the cells; None, for good, if that fails."""
        try:
            self._run(process, Load(encode_cells(self.submission.cells)))
        except ChannelError as error:
            kind, reason = self._lost(error)
            self._unloadable = _fatal(kind, f"while its cells were run, {reason}")
        except ValueError as error:
            self._end()
            self._unloadable = _fatal("LoadError", f"its cells cannot be run: {error}.")
        return self._process

    def _renew(self, process: Process) -> bool:
        """Have it run the cells anew, if it says that nothing else is left there."""
        try:
            used = process.extend(self.account.seconds)
            if used is None:
                return False
            self._fresh = False
            self.account.process_goes_on(used)
            return self._run(process, Renew()).clean is True
        except (ChannelError, GraderFault):
            return False

    def _run(self, process: Process, order: Load | Renew) -> Ran:
        """Have it run the cells, and keep what it notes. Raises ChannelError."""
        read = functools.partial(claimed, Ran)
        ran, _ = process.ask(Request(order), read, self.account.left)
        self.account.slept += process.patience.slept
        if not (isinstance(ran.notes, list) and isinstance(ran.functions, list)):
            raise ChannelError(UNREAD)
        if isinstance(order, Load):  # before it has seen any input, which a note could tell
            self.notes = tuple(plain_text(note, 300) for note in ran.notes[:MOST_NOTES])
        self.functions = frozenset(plain_text(name, 80) for name in ran.functions[:MOST_FUNCTIONS])
        return ran

    def _end(self, patience: float = 0.0) -> Fate | None:
        """End the process; remember what it used."""
        process, self._process = self._process, None
        if process is None:
            return None
        fate = process.end(patience)
        self.account.process_ends(fate)
        return fate

    def _spent(self) -> str:
        """What the submission has used up: words that no measure enters."""
        if self.account.overslept and self.account.cpu < self.limits.budget:
            return f"the submission has slept for the {self.limits.sleeps:g} s that it may in all."
        return f"the submission has used up its {self.limits.budget:g} s of processor time."

    def _lost(self, error: ChannelError) -> tuple[str, str]:
        """What became of the process, which is cleared away: a kind and a sentence."""
        late, gone = (isinstance(error, kind) for kind in (ChannelTimeout, ChannelClosed))
        slept = self._process.patience.slept if self._process else 0.0
        self.account.slept += slept
        self._counter.end()
        fate = self._end(1.0 if gone else 0.0) or Fate(0)
        computed = self.account.computed_too_long(fate)
        self.stalled = late and not computed
        if computed and (late or fate.code < 0):
            return "TimeoutError", used_up(self.limits.seconds)
        self.doubtful |= not self._fresh
        if late and slept >= self.limits.sleep:
            told = f"it did not return: it slept for {self.limits.sleep:g} s, and was stopped."
            return "TimeoutError", told
        if late:
            allowed = limit(self.limits.seconds)
            told = f"it did not return in time for what it may compute {allowed}, and was stopped."
            return "TimeoutError", told
        told = f"{fate}" if gone else "the process that ran it sent what is not an answer"
        return "ProcessEnded", f"{told}."


def _fatal(kind: str, told: str) -> Outcome:
    return Outcome(failure=Failure(kind, told, fatal=True))


_NOT_STARTED = _fatal("ProcessEnded", "its process could not be started.")
