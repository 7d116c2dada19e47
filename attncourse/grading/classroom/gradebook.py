"""The gradebook: a pure function of what was found, the journal's records and the settings."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from attncourse.course import exercise as contract
from attncourse.grading.classroom.handed import Collected
from attncourse.grading.classroom.manifest import canonical
from attncourse.grading.classroom.names import Student
from attncourse.grading.classroom.rows import Choosing, Row, of_student
from attncourse.grading.classroom.scores import File
from attncourse.grading.classroom.similarity import Pair, pairs
from attncourse.grading.classroom.weights import Scheme


@dataclass(frozen=True)
class Gradebook:
    """A class: what was graded, for whom, under which conditions.

    told says of each student what told whose the files are; apart are sentences on students whose
    names look the same.
    """

    scheme: Scheme
    exercises: tuple[str, ...]
    rows: tuple[Row, ...]
    left_out: tuple[str, ...]
    manifest: Mapping[str, Any]
    systems: frozenset[str] = frozenset()
    told: Mapping[Student, str] = ()  # type: ignore[assignment]
    apart: tuple[str, ...] = ()

    def weight(self, name: str) -> float:
        """What an exercise counts, before points."""
        return self.scheme.weights.get(name, 0.0) if self.scheme.weights else 1.0

    def worth(self, name: str) -> float:
        """The points for an exercise that is all right."""
        everything = sum(map(self.weight, self.exercises))
        return self.scheme.points * self.weight(name) / everything if everything else 0.0

    def points(self, row: Row, name: str) -> float | None:
        """A student's points for an exercise; None where they are not known."""
        share = row.scores[name].share
        return None if share is None else round(share * self.worth(name), 2)

    def total(self, row: Row) -> float | None:
        """A student's points in all, as they are told; None where they are not known."""
        return None if row.points is None else round(row.points, 2)

    def percent(self, row: Row) -> float | None:
        """A student's part of all points, from what is not rounded; None where it is not known."""
        return None if row.points is None else 100 * row.points / self.scheme.points

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
    exercises: Sequence[str],
    prefer: Sequence[str],
    files: Sequence[File],
    found: Collected,
    manifest: Mapping[str, Any],
) -> Gradebook:
    """The gradebook of a class, in which these exercises count."""
    counted = tuple(name for name in contract.in_order() if name in exercises)
    empty = Gradebook(
        scheme,
        counted,
        (),
        tuple(found.left_out),
        manifest,
        frozenset(found.systems),
        found.told,
        tuple(found.apart),
    )
    by = Choosing(counted, {name: empty.worth(name) for name in counted}, tuple(prefer))
    students = sorted({f.handed.student for f in files} | {e.student for e in found.refused})
    rows = (
        of_student(
            by,
            student,
            [file for file in files if file.handed.student == student],
            [entry for entry in found.refused if entry.student == student],
        )
        for student in students
    )
    return replace(empty, rows=tuple(rows))
