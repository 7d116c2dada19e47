"""A student's line of the gradebook."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from attncourse.grading.classroom.handed import Refused
from attncourse.grading.classroom.names import Student
from attncourse.grading.classroom.scores import File, Score, chosen
from attncourse.grading.classroom.similarity import Answer


@dataclass(frozen=True)
class Row:
    """One student. late is None where the layout does not tell; points None if not known yet.

    state: graded, needs-regrade (a fault of the grader), unclear (several files, and it cannot
    be told which counts), partly unreadable, unreadable, or no exercise found.
    """

    student: Student
    late: bool | None
    state: str
    files: tuple[File, ...]
    refused: tuple[Refused, ...]
    scores: Mapping[str, Score]
    points: float | None

    @property
    def notes(self) -> list[str]:
        """What the student should know beside the checks."""
        told = self.unread
        for file in self.files:
            closing = file.entry.closing
            told += [f"{file.handed.name}: {note}" for note in closing["notes"]]
            if not (closing["exercises"] or closing["unreadable"] or closing["fault"]):
                told.append(f"{file.handed.name} defines no function of any exercise.")
        return told + self.versions

    @property
    def unread(self) -> list[str]:
        """Why what was handed in could not be read, a sentence for each."""
        closings = (file.entry.closing for file in self.files)
        told = [entry.reason for entry in self.refused]
        return told + [one["unreadable"] for one in closings if one["unreadable"]]

    def answer(self, name: str) -> Answer | None:
        """What counts for an exercise, to be compared with others; None if nothing was tried."""
        file = next((f for f in self.files if f.handed.name == self.scores[name].file), None)
        if file is None or name not in file.attempted:
            return None
        told = file.entry.closing["prints"].get(name)
        return Answer(self.student, file.handed.name, **told) if told else None

    @property
    def versions(self) -> list[str]:
        """Which of several files counts, a sentence for each choice."""
        known: dict[tuple[str, tuple[str, ...]], list[str]] = {}
        unclear: dict[tuple[str, ...], list[str]] = {}
        for score in self.scores.values():
            if score.unclear:
                unclear.setdefault(score.unclear, []).append(score.exercise)
            elif score.instead_of:
                known.setdefault((score.file, score.instead_of), []).append(score.exercise)
        return [
            f"{file} counts, not {', '.join(others)}: {', '.join(names)}."
            for (file, others), names in known.items()
        ] + [
            f"It cannot be told which of {', '.join(files)} counts, and they differ: "
            f"{', '.join(names)}."
            for files, names in unclear.items()
        ]


@dataclass(frozen=True)
class Choosing:
    """By what a row is made: the exercises that count, and names of the files that are preferred.

    worth gives the points of an exercise that is all right.
    """

    exercises: Sequence[str]
    worth: Mapping[str, float]
    prefer: tuple[str, ...] = field(default=())


def of_student(by: Choosing, student: Student, files: list[File], refused: list[Refused]) -> Row:
    """The line of one student."""
    scores = {name: chosen(name, files, refused, by.prefer) for name in by.exercises}
    state = _state(files, scores)
    points = None
    if state == "graded":
        points = sum((scores[n].share or 0.0) * by.worth[n] for n in by.exercises)
    told = [file.handed.late for file in files if file.handed.late is not None]
    late = any(told) if told else None
    return Row(student, late, state, tuple(files), tuple(refused), scores, points)


def _state(files: list[File], scores: Mapping[str, Score]) -> str:
    closings = [file.entry.closing for file in files]
    states = {score.state for score in scores.values()}
    if not any(closing["exercises"] for closing in closings):
        if any(closing["fault"] for closing in closings):
            return "needs-regrade"
        unreadable = not closings or any(closing["unreadable"] for closing in closings)
        return "unreadable" if unreadable else "no exercise found"
    known = all(score.share is not None for score in scores.values())
    if any(closing["fault"] for closing in closings) or "needs-regrade" in states:
        return "needs-regrade"
    if "unclear" in states:
        return "unclear"
    if "unreadable" in states:
        return "partly unreadable"
    return "graded" if known else "needs-regrade"
