"""How long is waited for an answer: as long as the process computes, or is kept from computing.

A busy machine lets a process stand in line, and that is no fault of a submission; who sleeps
computes nothing on any machine. The system counts both, and what is computed, so that the same
answer is stopped, or not, on a quiet machine and on a busy one. Where it does not count, the
time that passes decides, and a limit of the system's own.
"""

import time
from collections.abc import Callable

from attncourse.grading.sandbox import kernel
from attncourse.grading.wire.protocol import Seen

GLANCE = 0.1  # seconds after which a process is looked at that has not answered
BETWEEN = 0.5  # seconds between one look and the next, at most


class Patience:
    """What one process may do while it is waited for, in as many requests as there are.

    `most` is the processor time at which it is late, `sleep` how long it may sleep in a request;
    `slept` is how long it did in the last one, as far as that was looked at.
    """

    def __init__(self, look: Callable[[], Seen], most: float, sleep: float) -> None:
        self.most = most
        self.sleep = sleep
        self.slept = 0.0
        self._look = look
        self._computed = 0.0  # at most: while nothing is asked of it, it computes nothing
        self._first: float | None = None
        self._began = self._next = self._deadline = 0.0

    def begin(self, seconds: float) -> None:
        """A request begins, for which so many seconds are waited at most."""
        self._began = time.monotonic()
        self._deadline, self._next = self._began + seconds, self._began + GLANCE
        self._first, self.slept = None, 0.0

    def left(self) -> float:
        """Seconds that may be waited before this is asked again; 0 when the patience ends."""
        now = time.monotonic()
        if now >= self._next:
            over = self._see()
            self._next = now + min(max(self.sleep - self.slept, GLANCE), BETWEEN)
            if over:
                self._deadline = now
        return max(0.0, min(self._deadline, self._next) - now)

    def end(self) -> bool:
        """The answer is there: was it in time? Looked at only where it could be late."""
        self._computed += time.monotonic() - self._began
        long = self._first is not None or self._computed >= self.most
        return not (long and self._see())

    def _see(self) -> bool:
        """Look at what it did; has it computed or slept for longer than it may?"""
        seen = self._look()
        self._computed = seen.cpu or 0.0
        if seen.busy is not None:
            awake = time.monotonic() - seen.busy - kernel.in_line()
            self._first = awake if self._first is None else self._first
            self.slept = max(self.slept, awake - self._first)
        return self._computed >= self.most or self.slept >= self.sleep
