"""How long an answer may compute: longer where the solution itself takes long."""

import time

from attncourse.course.checking import LocalAnswer, run
from attncourse.course.exercise import Exercise

SECONDS = 5.0  # of processor time, for all checks of an exercise
TIMES_THE_REFERENCE = 20  # how much longer than the solution an answer may compute


def allowed(exercise: Exercise, seconds: float = SECONDS) -> float:
    """Seconds of processor time for an exercise, where at least `seconds` are given."""
    enough = seconds / TIMES_THE_REFERENCE
    return max(seconds, TIMES_THE_REFERENCE * reference_seconds(exercise, enough))


def used_up(seconds: float) -> str:
    """What is told of an answer that was stopped: the limit as given, not as measured."""
    return f"it used more processor time than it may {limit(seconds)}, and was stopped."


def limit(seconds: float) -> str:
    """The limit in words."""
    return f"({seconds:g} s, or {TIMES_THE_REFERENCE} times what the solution takes)"


def reference_seconds(exercise: Exercise, enough: float = 0.0) -> float:
    """Seconds of processor time that all checks of the exercise take with its solution.

    The first time imports what it needs, and counts only if it took no more than `enough`.
    """
    if exercise.name not in REFERENCE:
        took = _seconds(exercise)
        REFERENCE[exercise.name] = took if took <= enough else _seconds(exercise)
    return REFERENCE[exercise.name]


def _seconds(exercise: Exercise) -> float:
    before = time.process_time()
    run(exercise, LocalAnswer(exercise.solution))
    return time.process_time() - before


REFERENCE: dict[str, float] = {}
