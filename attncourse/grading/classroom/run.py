"""Grading a class from the folder to the files in RESULTS, and going on where it stopped."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from attncourse.grading.classroom import exports, gradebook, pages, schedule, secret
from attncourse.grading.classroom.gradebook import File, Gradebook
from attncourse.grading.classroom.jobs import ClassError, Pending, jobs_of, pending
from attncourse.grading.classroom.journal import NAME, Journal
from attncourse.grading.classroom.layouts import collect
from attncourse.grading.classroom.manifest import digest, manifest
from attncourse.grading.classroom.task import Task
from attncourse.grading.classroom.weights import Scheme
from attncourse.grading.judge.allowance import Limits

Listener = Callable[[int, int, str], None]  # submissions done, of how many, whose was the last


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
        jobs = jobs_of(found, digest(conditions))
        if not jobs and not found.refused:
            raise ClassError("there is nothing to grade: no notebook, no .py file and no zip")
        left = pending(jobs, log.entries, order.regrade)
        notes = _told(log, conditions)
        if digest(conditions) not in log.manifests:
            log.add([{"type": "manifest", "digest": digest(conditions), "manifest": conditions}])
        seconds = _grade(left, log, order, listen, scheduler)
        known = {key: job for key, job in jobs.items() if key in log.entries}
        files = [File(job.handed, job.sha256, log.entries[key]) for key, job in known.items()]
    systems = frozenset(found.systems)
    book = gradebook.make(order.scheme, files, found.refused, found.left_out, conditions, systems)
    written, more = exports.write(book, out, order.canvas)
    written = [*pages.write(book, out), *written]
    count = len(left)
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


def _told(log: Journal, conditions: dict[str, Any]) -> list[str]:
    """What the state of the journal is worth telling."""
    told = [f"The journal ended in {log.cut} torn bytes, which were cut."] if log.cut else []
    if log.manifests and log.manifests[-1] != digest(conditions):
        told.append("The course, the limits or the isolation changed: all was graded anew.")
    return told


def _grade(
    left: Pending,
    log: Journal,
    order: Order,
    listen: Listener,
    scheduler: schedule.Scheduler | None,
) -> float:
    """Grade what is left; every result is on the disk before it is counted."""
    jobs = {job.key: job for job, _ in left}
    seconds = 0.0
    listen(0, len(left), "")
    chosen = scheduler or schedule.processes(min(order.jobs, max(1, len(left))))
    alone = schedule.one_by_one(scheduler) if scheduler else schedule.processes(1)
    for done, graded in enumerate(schedule.run(_tasks(left, order), chosen, alone), 1):
        log.add(graded.records)
        log.took(graded.job, graded.seconds)
        seconds += graded.seconds
        listen(done, len(left), str(jobs[graded.job].handed.student))
    return seconds


def _tasks(left: Pending, order: Order) -> Iterator[Task]:
    """The tasks, each with its bytes, made when it is due."""
    for job, only in left:
        handed, secret = job.handed, order.secret or b""
        whose = job.key, handed.student.name, handed.student.number, handed.name
        yield Task(*whose, job.content(), order.limits, order.level, only, secret)
