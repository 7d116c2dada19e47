"""What there is to grade: each file under a key of all that its result depends on."""

import difflib
import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from attncourse.course import exercise as contract
from attncourse.grading.classroom.handed import ClassError, Collected, Handed, Refused
from attncourse.grading.classroom.journal import Entry
from attncourse.grading.classroom.manifest import digest
from attncourse.grading.classroom.names import Student
from attncourse.grading.classroom.published import is_published
from attncourse.grading.classroom.roster import same_name
from attncourse.grading.judge.content import content
from attncourse.grading.judge.submission import UnreadableError


@dataclass(frozen=True)
class Job:
    """A file to be graded, under its key: what it depends on, whose it is, and its bytes.

    published as in `File`.
    """

    key: str
    handed: Handed
    sha256: str
    published: bool = False

    def content(self) -> bytes:
        """Its bytes, which must be those that the key is of. Raises CourseError."""
        read = content(self.handed.path, self.handed.name)
        if hashlib.sha256(read).hexdigest() != self.sha256:
            raise ClassError(f"{self.handed.name} changed while the class was graded")
        return read


Pending = list[tuple[Job, tuple[str, ...] | None]]  # with the exercises that are left; None: all


def jobs_of(found: Collected, conditions: str) -> dict[str, Job]:
    """What there is to grade, by key, in the order of students and files; the rest is refused."""
    jobs: dict[str, Job] = {}
    for handed in found.files:
        try:
            read = content(handed.path, handed.name)
        except UnreadableError as error:
            found.refused.append(Refused(handed.student, handed.name, str(error)))
            continue
        student, sha256 = handed.student, hashlib.sha256(read).hexdigest()
        key = digest([conditions, student.name, student.number, handed.name, sha256])
        jobs[key] = Job(key, handed, sha256, is_published(read))
    found.refused.sort()
    return jobs


def pending(
    jobs: Mapping[str, Job],
    known: Mapping[str, Entry],
    regrade: Sequence[str],
    called: Mapping[Student, Student],
) -> Pending:
    """The jobs that are not finished, or of which something is to be graded again.

    called gives the names that students have in the gradebook, if others. Raises ClassError for a
    word that names no student and no exercise.
    """
    again = _again(regrade, jobs, called)
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
    words: Sequence[str], jobs: Mapping[str, Job], called: Mapping[Student, Student]
) -> Callable[[Job], tuple[str, ...] | None]:
    """Which exercises of a job to grade again; None means all of them."""
    exercises = contract.names()
    students = {job.handed.student for job in jobs.values()}
    named = tuple(word for word in words if word in exercises)
    whole = {
        student
        for word in set(words) - set(named)
        for student in _meant(word, students, called, exercises)
    }
    return lambda job: None if job.handed.student in whole else named


def _meant(
    word: str,
    students: Collection[Student],
    called: Mapping[Student, Student],
    exercises: Iterable[str],
) -> list[Student]:
    """The students of that name, in either order, or of that number. Raises ClassError."""
    names = {
        s: {t for n in (s, called.get(s, s)) for t in (n.name, n.number, str(n))} for s in students
    }
    found = [s for s in students if word in names[s]]
    found = found or [s for s in students if any(same_name(word, name) for name in names[s])]
    if not found:
        known = [*exercises, *(name for these in names.values() for name in these)]
        near = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
        offer = f"; did you mean {near[0]!r}?" if near else ""
        raise ClassError(f"--regrade: there is no exercise and no student {word!r}{offer}")
    return found
