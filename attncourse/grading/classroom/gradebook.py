"""The gradebook: a pure function of what was found, the journal's records and the weights."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from attncourse.course import exercise as contract
from attncourse.grading.classroom.journal import Entry
from attncourse.grading.classroom.layouts import Handed, Refused
from attncourse.grading.classroom.manifest import canonical
from attncourse.grading.classroom.names import Student
from attncourse.grading.classroom.records import ExerciseRecord
from attncourse.grading.classroom.similarity import Answer, Pair, pairs
from attncourse.grading.classroom.weights import Scheme


@dataclass(frozen=True)
class File:
    """A file that was handed in, with what the journal knows of it; sha256 is of its content."""

    handed: Handed
    sha256: str
    entry: Entry

    @property
    def attempted(self) -> frozenset[str]:
        """The exercises that it answers, rightly or not."""
        states = self.entry.exercises
        return frozenset(n for n, r in states.items() if r["state"] != "not attempted")


@dataclass(frozen=True)
class Score:
    """One exercise of one student: its record, the file it is from, others that do not count."""

    exercise: str
    record: ExerciseRecord | None = None
    file: str = ""
    instead_of: tuple[str, ...] = ()

    @property
    def state(self) -> str:
        """As in the record; what was not handed in is not attempted."""
        return str(self.record["state"]) if self.record else "not attempted"

    @property
    def share(self) -> float | None:
        """The part of the checks that passed, without skipped ones; None if not known yet."""
        if self.record is None:
            return 0.0
        counted = [c for c in self.record["checks"] if c["state"] != "skipped"]
        if self.state == "needs-regrade" or not counted:
            return None
        return sum(c["state"] == "passed" for c in counted) / len(counted)


@dataclass(frozen=True)
class Row:
    """One student. late is None where the layout does not tell; points None if not known yet.

    state: graded, needs-regrade (a fault of the grader), unreadable, or no exercise found.
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
        told = [entry.reason for entry in self.refused]
        for file in self.files:
            closing = file.entry.closing
            told += [closing["unreadable"]] if closing["unreadable"] else []
            told += [f"{file.handed.name}: {note}" for note in closing["notes"]]
            if not (closing["exercises"] or closing["unreadable"] or closing["fault"]):
                told.append(f"{file.handed.name} defines no function of any exercise.")
        return told + self.versions

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
        chosen: dict[tuple[str, tuple[str, ...]], list[str]] = {}
        for score in self.scores.values():
            if score.instead_of:
                chosen.setdefault((score.file, score.instead_of), []).append(score.exercise)
        return [
            f"{file} counts, not {', '.join(others)}: {', '.join(names)}."
            for (file, others), names in chosen.items()
        ]


@dataclass(frozen=True)
class Gradebook:
    """A class: what was graded, for whom, under which conditions."""

    scheme: Scheme
    exercises: tuple[str, ...]
    rows: tuple[Row, ...]
    left_out: tuple[str, ...]
    manifest: Mapping[str, Any]
    systems: frozenset[str] = frozenset()

    def weight(self, name: str) -> float:
        """What an exercise counts, before points."""
        return self.scheme.weights.get(name, 0.0) if self.scheme.weights else 1.0

    def worth(self, name: str) -> float:
        """The points for an exercise that is all right."""
        everything = sum(map(self.weight, self.exercises))
        return self.scheme.points * self.weight(name) / everything if everything else 0.0

    def points(self, row: Row, name: str) -> float | None:
        """A student's points for an exercise; None where there are none to be given."""
        share = row.scores[name].share
        return None if row.points is None or share is None else round(share * self.worth(name), 2)

    @cached_property
    def duplicates(self) -> list[list[tuple[Student, str]]]:
        """Groups of files of different students that are the same, byte for byte, and answered."""
        same: dict[str, list[tuple[Student, str]]] = {}
        for row in self.rows:
            for file in row.files:
                if file.attempted:
                    same.setdefault(file.sha256, []).append((row.student, file.handed.name))
        groups = same.values()
        return sorted(sorted(g) for g in groups if len({student for student, _ in g}) > 1)

    @cached_property
    def similar(self) -> list[Pair]:
        """Pairs of answers that are alike."""
        given = {name: [row.answer(name) for row in self.rows] for name in self.exercises}
        return pairs({name: [one for one in found if one] for name, found in given.items()})

    @cached_property
    def digest(self) -> str:
        """SHA-256 of every record that counts: the same for the same class, however it was run."""
        records = (r for row in self.rows for f in row.files for r in f.entry.records())
        lines = sorted({canonical(record) for record in records})
        text = "\n".join([canonical(dict(self.manifest)), *lines])
        return hashlib.sha256(text.encode()).hexdigest()


def make(
    scheme: Scheme,
    files: Sequence[File],
    refused: Sequence[Refused],
    left_out: Sequence[str],
    manifest: Mapping[str, Any],
    systems: frozenset[str] = frozenset(),
) -> Gradebook:
    """The gradebook of a class."""
    given = {name for file in files for name in file.entry.closing["exercises"]}
    wanted = set(scheme.weights) or given
    exercises = tuple(name for name in contract.in_order() if name in wanted)
    students = sorted({f.handed.student for f in files} | {entry.student for entry in refused})
    empty = Gradebook(scheme, exercises, (), tuple(left_out), manifest, systems)
    rows = (
        _row(
            empty,
            student,
            [file for file in files if file.handed.student == student],
            [entry for entry in refused if entry.student == student],
        )
        for student in students
    )
    return Gradebook(scheme, exercises, tuple(rows), tuple(left_out), manifest, systems)


def _row(book: Gradebook, student: Student, files: list[File], refused: list[Refused]) -> Row:
    scores = {name: _score(name, files) for name in book.exercises}
    state = _state(files, scores)
    shares = {name: score.share for name, score in scores.items()}
    points = None
    if state == "graded":
        points = round(sum((shares[n] or 0.0) * book.worth(n) for n in book.exercises), 2)
    told = [file.handed.late for file in files if file.handed.late is not None]
    late = any(told) if told else None
    return Row(student, late, state, tuple(files), tuple(refused), scores, points)


def _state(files: list[File], scores: Mapping[str, Score]) -> str:
    closings = [file.entry.closing for file in files]
    faults = any(closing["fault"] for closing in closings)
    if faults or any(score.share is None for score in scores.values()):
        return "needs-regrade"
    if any(closing["exercises"] for closing in closings):
        return "graded"
    unreadable = not closings or any(closing["unreadable"] for closing in closings)
    return "unreadable" if unreadable else "no exercise found"


def _score(name: str, files: list[File]) -> Score:
    """The latest version that attempts the exercise counts; if none does, the latest."""
    have = [file for file in files if name in file.entry.exercises]
    tried = [file for file in have if name in file.attempted] or have
    if not tried:
        return Score(name)
    counts = max(tried, key=lambda file: (file.handed.rank, file.handed.name))
    others = tuple(file.handed.name for file in tried if file is not counts)
    attempted = name in counts.attempted
    record = counts.entry.exercises[name]
    return Score(name, record, counts.handed.name, others if attempted else ())
