"""What a submission may use: seconds, bytes, and how long is waited for it."""

from dataclasses import dataclass

from attncourse.course.exercise import Exercise
from attncourse.course.patience import SECONDS, allowed


@dataclass(frozen=True)
class Limits:
    """What a submission may use.

    seconds of processor time for an exercise (more where the solution itself takes long), bytes
    of memory, and seconds of processor time for all exercises together. Waiting is limited
    too, to twice as long and two seconds more, since time that passes depends on the machine.
    """

    seconds: float = SECONDS
    memory: int = 2 * 2**30
    budget: float = 45.0

    def of(self, exercise: Exercise) -> float:
        """Seconds of processor time for one exercise."""
        return allowed(exercise, self.seconds)


def waiting(seconds: float) -> float:
    """Seconds that may pass where `seconds` of processor time are allowed."""
    return 2 * seconds + 2
