"""What a submission has used, and what is left of it for the exercise at hand."""

import time

from attncourse.grading.judge.allowance import Limits, waiting
from attncourse.grading.judge.process import Fate


class Account:
    """What the processes of one submission have used, one after the other.

    `cpu` are seconds of processor time, as far as known; `slept` seconds that it slept, in calls
    that took long; `waited` seconds that the judge has waited, up to the last exercise. `seconds`
    of processor time are for the exercise at hand.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.seconds = limits.seconds
        self.cpu = self.slept = 0.0
        self.waited = 0.0
        self._before = 0.0  # of the processor time, what exercises before used in this process
        self._began = self._deadline = 0.0

    @property
    def patience(self) -> float:
        """Seconds that may be waited for the exercise in all."""
        return waiting(self.seconds)

    @property
    def left(self) -> float:
        """Seconds that may still be waited for the exercise."""
        return max(0.01, self._deadline - time.monotonic())

    @property
    def used_up(self) -> bool:
        """Has the submission no time left, for whatever exercise?"""
        return (
            self.cpu >= self.limits.budget
            or self.overslept
            or self.waited >= waiting(self.limits.budget)
        )

    @property
    def overslept(self) -> bool:
        """Has it slept for longer than it may?"""
        return self.slept >= self.limits.sleeps

    def process_starts(self) -> None:
        """A fresh process works for the exercise."""
        self._before = 0.0
        self._wait()

    def process_goes_on(self, used: float) -> None:
        """A process that has used so many seconds works for another exercise."""
        self._book(used)
        self._before = used
        self._wait()

    def process_ends(self, fate: Fate) -> None:
        """What it used is known."""
        self._book(fate.cpu)

    def excuse(self, seconds: float) -> None:
        """So long was waited for what is no fault of the submission."""
        self._began += seconds
        self._deadline += seconds

    def computed_too_long(self, fate: Fate) -> bool:
        """Did a process that has just ended use all the time for the exercise?"""
        return fate.cpu - self._before >= self.seconds - 0.01

    def _book(self, used: float) -> None:
        self.cpu += used - self._before
        self.waited += time.monotonic() - self._began

    def _wait(self) -> None:
        self._began = time.monotonic()
        self._deadline = self._began + self.patience
