"""What a submission may use: seconds, bytes, and how long is waited for it."""

import time
from dataclasses import dataclass

from attncourse.course.checking import LocalAnswer, run
from attncourse.course.exercise import Exercise
from attncourse.grading.sandbox import kernel

TIMES_THE_REFERENCE = 20  # how much longer than the solution an answer may compute


@dataclass(frozen=True)
class Limits:
    """What a submission may use.

    seconds of processor time for an exercise (more where the solution itself takes long), bytes
    of memory, and seconds of processor time for all exercises together. Who sleeps in a call
    instead is stopped after so many seconds; in all exercises together he may three times. Time
    that passes depends on the machine, and decides only far away from what a busy one needs.
    """

    seconds: float = 5.0
    memory: int = 2 * 2**30
    budget: float = 45.0
    sleep: float = 2.0

    @property
    def sleeps(self) -> float:
        """Seconds that may be slept in all exercises together."""
        return 3 * self.sleep

    def of(self, exercise: Exercise) -> float:
        """Seconds of processor time for one exercise."""
        enough = self.seconds / TIMES_THE_REFERENCE
        return max(self.seconds, TIMES_THE_REFERENCE * reference_seconds(exercise, enough))


def waiting(seconds: float) -> float:
    """Seconds that may pass where `seconds` of processor time are allowed.

    Few where the system does not tell apart who sleeps and who is kept from computing.
    """
    return 8 * seconds + 20 if kernel.tells_sleep() else 2 * seconds + 2


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
