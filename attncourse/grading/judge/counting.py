"""Counting what a call costs where nothing of the submission runs: see `costs`."""

import time
from typing import Any

from attncourse.course.execution import Failure, Outcome
from attncourse.grading.judge.exchange import Request, outcome_of
from attncourse.grading.judge.process import Log, Process
from attncourse.grading.judge.zygote import Zygote
from attncourse.grading.wire.frames import ChannelError
from attncourse.grading.wire.protocol import Repeat

UNCONFIRMED = Outcome(
    failure=Failure(
        "CostError",
        "its cost could not be confirmed: the result must follow from the arguments by "
        "operators of PyTorch, the same each time",
    )
)

LITTLE = 1.0  # seconds: of those that an exercise has, not worth another process


class Counter:
    """Repeats recorded calls in a process of its own, started when first needed.

    All of one submission, since a record can gain no more there than by its own exercise. memory
    is in bytes. `starting` is how many seconds it took to start processes: no fault of the
    submission that waited for it.
    """

    def __init__(self, memory: int) -> None:
        self.starting = 0.0
        self._memory = memory
        self._process: Process | None = None
        self._busy = 0.0  # seconds, for the exercises so far

    def begin(self) -> None:
        """An exercise begins, which has its full time, or as good as that."""
        if self._busy > LITTLE:
            self.end()

    def repeat(
        self, zygote: Zygote, told: Any, probe: str | None, given: tuple[Any, Any], seconds: float
    ) -> Outcome:
        """Repeat a record, under a probe or plainly, in `seconds`; a failure of any kind is one."""
        process = self._started(zygote, seconds)
        began = time.monotonic()
        try:
            record, constants = told
            request = Request(Repeat(str(record), probe), *given, constants)
            return process.ask(request, outcome_of, seconds)
        except (ChannelError, TypeError, ValueError):
            self.end()
            return UNCONFIRMED
        finally:
            self._busy += time.monotonic() - began

    def end(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None:
            process.end()

    def _started(self, zygote: Zygote, seconds: float) -> Process:
        if self._process is None:
            before = time.monotonic()
            self._busy = 0.0
            self._process = Process(zygote, self._memory, seconds, Log())
            self.starting += time.monotonic() - before
        return self._process
