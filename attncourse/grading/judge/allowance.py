"""What a submission may use: seconds, bytes, and how long is waited for it."""

from dataclasses import dataclass

from attncourse.course.exercise import Exercise
from attncourse.course.patience import SECONDS, allowed
from attncourse.grading.sandbox import kernel


@dataclass(frozen=True)
class Limits:
    """What a submission may use.

    seconds of processor time for an exercise (more where the solution itself takes long), bytes
    of memory, and seconds of processor time for all exercises together. Who sleeps in a call
    instead is stopped after so many seconds; in all exercises together he may three times. Time
    that passes depends on the machine, and decides only far away from what a busy one needs.
    """

    seconds: float = SECONDS
    memory: int = 2 * 2**30
    budget: float = 45.0
    sleep: float = 2.0

    @property
    def sleeps(self) -> float:
        """Seconds that may be slept in all exercises together."""
        return 3 * self.sleep

    def of(self, exercise: Exercise) -> float:
        """Seconds of processor time for one exercise."""
        return allowed(exercise, self.seconds)


def waiting(seconds: float) -> float:
    """Seconds that may pass where `seconds` of processor time are allowed.

    Few where the system does not tell apart who sleeps and who is kept from computing.
    """
    return 8 * seconds + 20 if kernel.tells_sleep() else 2 * seconds + 2
