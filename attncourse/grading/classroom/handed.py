"""What was handed in: files, what cannot be graded, and what told whose it is."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from attncourse.core.errors import CourseError
from attncourse.grading.classroom.names import Student


class ClassError(CourseError):
    """The class cannot be graded as asked."""


@dataclass(frozen=True)
class Choice:
    """An answer to a question: the option and its value, and what it means."""

    option: str
    value: object
    meaning: str


class UnclearError(ClassError):
    """Something that the teacher has to say: the message is the question."""

    def __init__(self, question: str, choices: Sequence[Choice]) -> None:
        super().__init__(question)
        self.choices = tuple(choices)


@dataclass(frozen=True)
class Handed:
    """A file that a student handed in; name is the student's own, with its folders.

    late is None where the layout does not tell; rank orders versions of the same work.
    """

    student: Student
    name: str
    path: Path
    late: bool | None = None
    rank: tuple[int, int] = (0, 0)


@dataclass(frozen=True, order=True)
class Refused:
    """Something that cannot be graded, and why: one sentence.

    unread: an answer may be in it, so that what is nowhere else is not known.
    """

    student: Student
    name: str
    reason: str
    unread: bool = True


@dataclass
class Collected:
    """All that was found. left_out are files that belong to no student.

    told says of each student what told whose the files are; apart are sentences on students whose
    names look the same.
    """

    files: list[Handed] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    systems: set[str] = field(default_factory=set)
    told: dict[Student, str] = field(default_factory=dict)
    apart: list[str] = field(default_factory=list)
