"""Grading a class from the folder to the files in RESULTS, and going on where it stopped."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from attncourse.grading.classroom import (
    assignment,
    exports,
    gradebook,
    pages,
    roster,
    schedule,
    secret,
    settings,
)
from attncourse.grading.classroom.exports import Files
from attncourse.grading.classroom.files import NO_ROOM, WriteError, unwritten
from attncourse.grading.classroom.gradebook import Gradebook
from attncourse.grading.classroom.handed import ClassError, Collected
from attncourse.grading.classroom.jobs import Job, jobs_of, pending
from attncourse.grading.classroom.journal import NAME, Journal
from attncourse.grading.classroom.layouts import collect
from attncourse.grading.classroom.manifest import digest, manifest
from attncourse.grading.classroom.names import Student
from attncourse.grading.classroom.scores import File
from attncourse.grading.classroom.settings import Settings
from attncourse.grading.classroom.weights import Scheme
from attncourse.grading.classroom.work import Listener, Work
from attncourse.grading.judge.allowance import Limits


@dataclass(frozen=True)
class Order:
    """What the teacher asked for.

    level is the isolation in force; said is what counts, as far as it was said, and change allows
    that it differs from what the results remember; files are exports to be filled; regrade names
    students or exercises to be graded again. The checks draw their inputs by the secret: None is
    the one that the folder of results keeps, b"" gives the inputs that learners see.
    """

    level: str
    limits: Limits = field(default_factory=Limits)
    jobs: int = 1
    said: Settings = field(default_factory=Settings)
    change: bool = False
    files: Files = field(default_factory=Files)
    regrade: tuple[str, ...] = ()
    secret: bytes | None = field(default=b"", repr=False)


@dataclass
class Report:
    """What was done: the gradebook, how many were known already, and what else is to be said."""

    book: Gradebook
    graded: int = 0
    known: int = 0
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)
    written: list[str] = field(default_factory=list)


def grade_class(
    paths: Sequence[Path],
    out: Path,
    order: Order,
    listen: Listener = lambda done, total, whose: None,
    scheduler: schedule.Scheduler | None = None,
) -> Report:
    """Grade what is handed in under `paths` and write the results to `out`.

    Results that are in the journal of `out` already are taken from there. scheduler is by
    default `schedule.processes`. Raises UnclearError where the teacher has to say something, and
    ClassError, ArchiveError, ExportError, JournalError, SecretError and WriteError.
    """
    _prepare(out)
    said = settings.merge(settings.load(out), order.said, order.change)
    scheme = said.scheme or Scheme()
    if scheme.weights and said.exercises:
        raise ClassError("--exercises and the weights both say what counts: say it in one place")
    people = order.files.people(scheme)
    try:
        with tempfile.TemporaryDirectory(prefix="attncourse-class-") as folder, Journal(out) as log:
            order = replace(order, secret=_secret(out, order))
            conditions = manifest(order.level, order.limits, order.secret or b"")
            found = collect(paths, Path(folder), out, said.layout or "auto")
            jobs = jobs_of(found, digest(conditions))
            if not jobs and not found.refused:
                raise ClassError("there is nothing to grade: no notebook, no .py file and no zip")
            called = _called(people, found)
            left = pending(jobs, log.entries, order.regrade, called)
            settings.save(out, said)
            notes = _told(log, conditions)
            if digest(conditions) not in log.manifests:
                log.add(
                    [{"type": "manifest", "digest": digest(conditions), "manifest": conditions}]
                )
            work = Work(order.limits, order.level, order.secret or b"", log)
            seconds = work.grade(left, order.jobs, listen, scheduler)
            files = _files(jobs, log, called)
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        raise WriteError(unwritten(Path(error.filename or tempfile.gettempdir()), error)) from None
    _call(found, called)
    exercises = tuple(scheme.weights) or said.exercises or assignment.given(files)
    book = gradebook.make(scheme, exercises, said.prefer, files, found, conditions)
    written, more = exports.write(book, out, order.files)
    written = [*pages.write(book, out), *written]
    count = len(left) - len(work.gone)
    notes = [*notes, *more, *found.apart, *_absent(people, called)]
    return Report(book, count, len(jobs) - count, seconds, notes, written)


def _prepare(out: Path) -> None:
    """The folder of results: a new one, or one that an earlier run made."""
    if out.exists() and not out.is_dir():
        raise ClassError(f"{out} is a file: --out takes a folder")
    if out.is_dir() and any(out.iterdir()) and not (out / NAME).is_file():
        raise ClassError(f"{out} is not empty and holds no journal of an earlier run")
    try:
        out.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ClassError(f"{out} cannot be made: {error.strerror}") from None


def _secret(out: Path, order: Order) -> bytes:
    """The secret in force, which is kept in the folder of results."""
    if order.secret is None:
        return secret.own(out)
    return secret.keep(out, order.secret, order.change) if order.secret else b""


def _told(log: Journal, conditions: dict[str, Any]) -> list[str]:
    """What the state of the journal is worth telling."""
    told = [f"The journal ended in {log.cut} torn bytes, which were cut."] if log.cut else []
    if log.manifests and log.manifests[-1] != digest(conditions):
        changed = "The course, the limits, the isolation or the secret changed"
        told.append(f"{changed}: all was graded anew.")
    return told


def _called(people: Sequence[roster.Person], found: Collected) -> dict[Student, Student]:
    """The names of students in the exported file, for those who are found there."""
    students = {f.student for f in found.files} | {r.student for r in found.refused}
    return {s: person.student for s, person in roster.match(people, students).items()}


def _files(jobs: Mapping[str, Job], log: Journal, called: Mapping[Student, Student]) -> list[File]:
    """What the journal knows of each file, under the name of the gradebook."""
    files = []
    for key, job in jobs.items():
        if key in log.entries:
            handed = replace(job.handed, student=called.get(job.handed.student, job.handed.student))
            files.append(File(handed, job.sha256, log.entries[key], job.published))
    return files


def _call(found: Collected, called: Mapping[Student, Student]) -> None:
    """Give what was refused, and what told who is who, the names of the gradebook."""
    found.refused = [replace(r, student=called.get(r.student, r.student)) for r in found.refused]
    found.told = {called.get(student, student): by for student, by in found.told.items()}


def _absent(people: Sequence[roster.Person], called: Mapping[Student, Student]) -> list[str]:
    """How many of the course handed in nothing."""
    handed = set(called.values())
    absent = [person.name for person in people if person.student not in handed]
    if not absent:
        return []
    some = "; ".join(absent[:5]) + ("; ..." if len(absent) > 5 else "")
    return [f"{len(absent)} of {len(people)} in the course handed in nothing: {some}."]
