"""What a teacher acts on: how the class is spread, what was hard, which mistakes were common."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from attncourse.grading.classroom.gradebook import Gradebook
from attncourse.grading.classroom.names import Student
from attncourse.grading.classroom.rows import Row

BINS = 10


@dataclass(frozen=True)
class Difficulty:
    """How one exercise went: how many passed it, tried it, and the mean share of its checks."""

    exercise: str
    passed: int
    attempted: int
    mean: float


@dataclass(frozen=True)
class Mistake:
    """A misconception by name: whose it is, and what the learner is told."""

    exercise: str
    name: str
    advice: str
    students: tuple[Student, ...]


def graded(book: Gradebook) -> list[Row]:
    """The rows that have points."""
    return [row for row in book.rows if row.points is not None]


def percents(book: Gradebook) -> list[float]:
    """Every student's points in per cent."""
    return [book.percent(row) or 0.0 for row in graded(book)]


def median(values: Sequence[float]) -> float | None:
    """The median; None of nothing."""
    return statistics.median(values) if values else None


def mean(values: Sequence[float]) -> float | None:
    """The mean; None of nothing."""
    return statistics.fmean(values) if values else None


def distribution(values: Sequence[float]) -> list[tuple[str, int]]:
    """How many students stand in each tenth: a label and a count."""
    width = 100 // BINS
    counts = [0] * BINS
    for value in values:
        counts[min(BINS - 1, int(value // width))] += 1
    ends = [f"{i * width}–{(i + 1) * width - 1}" for i in range(BINS - 1)] + [f"{100 - width}–100"]
    return list(zip(ends, counts, strict=True))


def difficulties(book: Gradebook) -> list[Difficulty]:
    """The exercises, the hardest first."""
    rows = graded(book)
    found = []
    for name in book.exercises:
        scores = [row.scores[name] for row in rows]
        shares = [score.share for score in scores if score.share is not None]
        passed = sum(score.state == "passed" for score in scores)
        attempted = sum(
            score.state not in ("not attempted", "needs-regrade", "unreadable", "unclear")
            for score in scores
        )
        found.append(Difficulty(name, passed, attempted, mean(shares) or 0.0))
    return sorted(found, key=lambda one: one.mean)


def mistakes(book: Gradebook) -> list[Mistake]:
    """The misconceptions found, the commonest first."""
    whose: dict[tuple[str, str, str], list[Student]] = {}
    for row in book.rows:
        for name, score in row.scores.items():
            checks = score.record["checks"] if score.record else ()
            named = {
                (c["misconception"]["name"], c["misconception"]["advice"])
                for c in checks
                if c["misconception"]
            }
            for known, advice in named:
                whose.setdefault((name, known, advice), []).append(row.student)
    found = [Mistake(*key, tuple(students)) for key, students in whose.items()]
    return sorted(found, key=lambda one: (-len(one.students), one.exercise, one.name))
