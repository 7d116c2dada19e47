"""Ending what computes too long, in the process that it runs in.

Processor time decides, so that a busy machine ends nothing; a wait without computing may be ended
as well. Only where the system has timers, and in the main thread; elsewhere nothing is ended.
"""

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

STEP = 0.05  # seconds between two looks at the clock, once time is up


class OutOfTime(BaseException):
    """What ran has used its time; no exception that a learner's `except Exception` catches."""


@contextlib.contextmanager
def limited(seconds: float, waiting: float | None = None) -> Iterator[None]:
    """Raise OutOfTime in what runs here once it has computed, or waited idly, for so long."""
    possible = hasattr(signal, "setitimer")
    if not possible or threading.current_thread() is not threading.main_thread():
        yield
        return
    clock = _Clock(seconds, waiting)
    numbers = [signal.SIGPROF] if waiting is None else [signal.SIGPROF, signal.SIGALRM]
    before = [(number, signal.signal(number, clock.look)) for number in numbers]
    try:
        signal.setitimer(signal.ITIMER_PROF, max(seconds, 1e-3), STEP)
        if waiting is not None:
            signal.setitimer(signal.ITIMER_REAL, waiting, waiting / 4)
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        if waiting is not None:
            signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before:
            signal.signal(number, handler)


class _Clock:
    """What this thread has used since it was made."""

    def __init__(self, seconds: float, waiting: float | None) -> None:
        self.seconds = seconds
        self.waiting = waiting
        self.began, self.computed = time.monotonic(), time.thread_time()

    def look(self, *interrupted: Any) -> None:
        """Raise OutOfTime if the time is up."""
        used, passed = time.thread_time() - self.computed, time.monotonic() - self.began
        if used >= self.seconds:
            raise OutOfTime("computed")
        if self.waiting is not None and passed >= self.waiting and used < passed / 10:
            raise OutOfTime("waited")
