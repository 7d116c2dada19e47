"""Grading a class from the folder to the files in RESULTS, and going on where it stopped."""

import difflib
import errno
import hashlib
import os
import stat
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from attncourse.course import exercise as contract
from attncourse.grading.classroom import exports, gradebook, pages, schedule, secret
from attncourse.grading.classroom.gradebook import File, Gradebook
from attncourse.grading.classroom.journal import NAME, Entry, Journal
from attncourse.grading.classroom.layouts import Collected, Handed, Refused, collect
from attncourse.grading.classroom.manifest import digest, manifest
from attncourse.grading.classroom.task import Task
from attncourse.grading.classroom.weights import Scheme
from attncourse.grading.judge.allowance import Limits
from attncourse.grading.judge.submission import LARGEST_FILE

Listener = Callable[[int, int, str], None]  # submissions done, of how many, whose was the last


class ClassError(ValueError):
    """The class cannot be graded as asked; the message is one sentence."""


@dataclass(frozen=True)
class Order:
    """What the teacher asked for.

    level is the isolation in force; regrade names students or exercises to be graded again;
    canvas is the gradebook that Canvas exported. The checks draw their inputs by the secret: None
    is one that the folder of results keeps for itself, b"" gives the inputs that learners see.
    """

    level: str
    limits: Limits = field(default_factory=Limits)
    jobs: int = 1
    scheme: Scheme = field(default_factory=Scheme)
    canvas: Path | None = None
    regrade: tuple[str, ...] = ()
    secret: bytes | None = field(default=b"", repr=False)


@dataclass(frozen=True)
class Job:
    """A file to be graded, under its key: what it depends on, whose it is, and its bytes."""

    key: str
    handed: Handed
    sha256: str


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
    default `schedule.processes`. Raises ClassError, ArchiveError, ExportError, JournalError and
    SecretError.
    """
    _prepare(out)
    if order.canvas is not None:
        exports.see(order.scheme, order.canvas)
    with tempfile.TemporaryDirectory(prefix="attncourse-class-") as temporary, Journal(out) as log:
        if order.secret is None:
            order = replace(order, secret=secret.own(out))
        conditions = manifest(order.level, order.limits, order.secret or b"")
        found = collect(paths, Path(temporary), out)
        jobs = _jobs(found, digest(conditions))
        if not jobs and not found.refused:
            raise ClassError("there is nothing to grade: no notebook, no .py file and no zip")
        pending = _pending(jobs, log, _again(order.regrade, jobs))
        notes = _told(log, conditions)
        if digest(conditions) not in log.manifests:
            told = {"type": "manifest", "digest": digest(conditions), "manifest": conditions}
            log.add([told])
        seconds = _grade(pending, log, order, listen, scheduler)
        known = {key: job for key, job in jobs.items() if key in log.entries}
        files = [File(job.handed, job.sha256, log.entries[key]) for key, job in known.items()]
    systems = frozenset(found.systems)
    book = gradebook.make(order.scheme, files, found.refused, found.left_out, conditions, systems)
    written, more = exports.write(book, out, order.canvas)
    written = [*pages.write(book, out), *written]
    count = len(pending)
    return Report(book, count, len(jobs) - count, seconds, [*notes, *more], written)


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


def _jobs(found: Collected, conditions: str) -> dict[str, Job]:
    """What there is to grade, by key, in the order of students and files."""
    jobs: dict[str, Job] = {}
    for handed in found.files:
        try:
            sha256 = hashlib.sha256(content(handed.path)).hexdigest()
        except OSError as error:
            reason = f"{handed.name} {_reason(error)}"
            found.refused.append(Refused(handed.student, handed.name, reason))
            continue
        student = handed.student
        key = digest([conditions, student.name, student.number, handed.name, sha256])
        jobs[key] = Job(key, handed, sha256)
    found.refused.sort()
    return jobs


def content(path: Path) -> bytes:
    """The bytes of a regular file, of no more than the limit. Raises OSError."""
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW
    with os.fdopen(os.open(path, flags), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "is not a regular file")
        read = file.read(LARGEST_FILE + 1)
    if len(read) > LARGEST_FILE:
        raise OSError(errno.EFBIG, f"is larger than {LARGEST_FILE // 2**20} MiB")
    return read


def _reason(error: OSError) -> str:
    if error.errno in (errno.EINVAL, errno.EFBIG):
        return str(error.strerror)
    return "is a link" if error.errno == errno.ELOOP else f"cannot be read: {error.strerror}"


def _again(words: Sequence[str], jobs: dict[str, Job]) -> Callable[[Job], tuple[str, ...] | None]:
    """Which exercises of a job to grade again: () for all of them, None for none."""
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
        if {student.name, student.number, str(student)} & (set(words) - set(named)):
            return ()
        return named or None

    return which


def _pending(
    jobs: dict[str, Job], log: Journal, again: Callable[[Job], tuple[str, ...] | None]
) -> list[tuple[Job, tuple[str, ...] | None]]:
    """The jobs that are not finished, each with the exercises that are left (None: all)."""
    pending: list[tuple[Job, tuple[str, ...] | None]] = []
    for key, job in jobs.items():
        entry = log.entries.get(key)
        if entry is None or entry.closing["fault"]:
            pending.append((job, None))
            continue
        wanted = again(job)
        if wanted == ():
            pending.append((job, None))
            continue
        left = _left(entry, wanted or ())
        if left:
            pending.append((job, left))
    return pending


def _left(entry: Entry, wanted: tuple[str, ...]) -> tuple[str, ...]:
    names = {*entry.missing, *wanted}
    return tuple(name for name in entry.closing["exercises"] if name in names)


def _told(log: Journal, conditions: dict[str, Any]) -> list[str]:
    """What the state of the journal is worth telling."""
    told = [f"The journal ended in {log.cut} torn bytes, which were cut."] if log.cut else []
    if log.manifests and log.manifests[-1] != digest(conditions):
        told.append("The course, the limits or the isolation changed: all was graded anew.")
    return told


def _grade(
    pending: list[tuple[Job, tuple[str, ...] | None]],
    log: Journal,
    order: Order,
    listen: Listener,
    scheduler: schedule.Scheduler | None,
) -> float:
    """Grade what is left; every result is on the disk before it is counted."""
    jobs = {job.key: job for job, _ in pending}
    seconds = 0.0
    listen(0, len(pending), "")
    chosen = scheduler or schedule.processes(min(order.jobs, max(1, len(pending))))
    alone = schedule.one_by_one(scheduler) if scheduler else schedule.processes(1)
    for done, graded in enumerate(schedule.run(_tasks(pending, order), chosen, alone), 1):
        log.add(graded.records, graded.seconds)
        seconds += graded.seconds
        listen(done, len(pending), str(jobs[graded.job].handed.student))
    return seconds


def _tasks(pending: list[tuple[Job, tuple[str, ...] | None]], order: Order) -> Iterator[Task]:
    """The tasks, each with its bytes, made when it is due."""
    for job, only in pending:
        read = content(job.handed.path)
        if hashlib.sha256(read).hexdigest() != job.sha256:
            raise ClassError(f"{job.handed.path} changed meanwhile: give the same command again")
        student = job.handed.student
        yield Task(
            job.key,
            student.name,
            student.number,
            job.handed.name,
            read,
            order.limits,
            order.level,
            only,
            order.secret or b"",
        )
