"""What there is to grade: each file under a key of all that its result depends on."""

import difflib
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from attncourse.core.errors import CourseError
from attncourse.course import exercise as contract
from attncourse.grading.classroom.journal import Entry
from attncourse.grading.classroom.layouts import Collected, Handed, Refused
from attncourse.grading.classroom.manifest import digest
from attncourse.grading.judge.content import content
from attncourse.grading.judge.submission import UnreadableError


class ClassError(CourseError):
    """The class cannot be graded as asked."""


@dataclass(frozen=True)
class Job:
    """A file to be graded, under its key: what it depends on, whose it is, and its bytes."""

    key: str
    handed: Handed
    sha256: str

    def content(self) -> bytes:
        """Its bytes, which must be those that the key is of. Raises ClassError."""
        read = content(self.handed.path, self.handed.name)
        if hashlib.sha256(read).hexdigest() != self.sha256:
            raise ClassError(f"{self.handed.path} changed meanwhile: give the same command again")
        return read


Pending = list[tuple[Job, tuple[str, ...] | None]]  # with the exercises that are left; None: all


def jobs_of(found: Collected, conditions: str) -> dict[str, Job]:
    """What there is to grade, by key, in the order of students and files; the rest is refused."""
    jobs: dict[str, Job] = {}
    for handed in found.files:
        try:
            sha256 = hashlib.sha256(content(handed.path, handed.name)).hexdigest()
        except UnreadableError as error:
            found.refused.append(Refused(handed.student, handed.name, str(error)))
            continue
        student = handed.student
        key = digest([conditions, student.name, student.number, handed.name, sha256])
        jobs[key] = Job(key, handed, sha256)
    found.refused.sort()
    return jobs


def pending(jobs: Mapping[str, Job], known: Mapping[str, Entry], regrade: Sequence[str]) -> Pending:
    """The jobs that are not finished, or of which something is to be graded again.

    Raises ClassError for a word that names no student and no exercise.
    """
    again = _again(regrade, jobs)
    return [
        (job, left)
        for key, job in jobs.items()
        if (left := _left(known.get(key), again(job))) is None or left
    ]


def _left(entry: Entry | None, wanted: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """The exercises that are to be graded; None means all, also those that are not known yet."""
    if entry is None or entry.closing["fault"] or wanted is None:
        return None
    names = {*entry.missing, *wanted}
    return tuple(name for name in entry.closing["exercises"] if name in names)


def _again(
    words: Sequence[str], jobs: Mapping[str, Job]
) -> Callable[[Job], tuple[str, ...] | None]:
    """Which exercises of a job to grade again; None means all of them."""
    students = {job.handed.student for job in jobs.values()}
    by_name = {name for s in students for name in (s.name, s.number, str(s)) if name}
    exercises = contract.names()
    for word in words:
        if word not in exercises and word not in by_name:
            near = difflib.get_close_matches(word, [*exercises, *by_name], n=1, cutoff=0.5)
            offer = f"; did you mean {near[0]!r}?" if near else ""
            raise ClassError(f"--regrade: there is no exercise and no student {word!r}{offer}")
    named = tuple(word for word in words if word in exercises)

    def which(job: Job) -> tuple[str, ...] | None:
        student = job.handed.student
        whole = {student.name, student.number, str(student)} & (set(words) - set(named))
        return None if whole else named

    return which
