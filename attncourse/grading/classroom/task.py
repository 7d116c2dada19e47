"""Grading one submission: plain data in, plain records out, at module level.

So that it can run in any process that has the package: the pool's, or a cluster's.
"""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from attncourse.course import exercise as contract
from attncourse.grading.classroom import records
from attncourse.grading.classroom.records import Closing, ExerciseRecord, Prints, Whose
from attncourse.grading.judge.allowance import Limits
from attncourse.grading.judge.memory.grading import own_memory
from attncourse.grading.judge.reading import read
from attncourse.grading.judge.submission import Submission, UnreadableError
from attncourse.grading.judge.worker import Worker
from attncourse.grading.judge.zygote import GraderFault, Zygote, own_zygote

TRIES = 2  # how often an exercise is tried where the grader itself fails

T = TypeVar("T")


@dataclass(frozen=True)
class Task:
    """A submission to be graded. only: these exercises of it; None means all.

    With a secret the checks draw inputs that nobody could know before.
    """

    job: str
    student: str
    number: str
    file: str
    content: bytes
    limits: Limits
    level: str
    only: tuple[str, ...] | None = None
    secret: bytes = field(default=b"", repr=False)

    @property
    def whose(self) -> Whose:
        """What its records begin with."""
        return {
            "job": self.job,
            "student": self.student,
            "number": self.number,
            "file": self.file,
        }


@dataclass(frozen=True)
class Graded:
    """What came of it: the record of each exercise graded, and the one that closes it.

    stalled are exercises stopped for the time that passed: a busy machine may be to blame.
    """

    job: str
    exercises: tuple[ExerciseRecord, ...]
    closing: Closing
    seconds: float = 0.0
    stalled: tuple[str, ...] = field(default=())

    @property
    def records(self) -> tuple[ExerciseRecord | Closing, ...]:
        """All of them, in the order in which they are kept."""
        return (*self.exercises, self.closing)


def grade_submission(task: Task) -> Graded:
    """Grade the exercises of one submission. Whatever fails becomes a record, never a raise."""
    began = time.monotonic()
    zygote = own_zygote(task.level)
    try:
        submission = _again(lambda: _read(task, zygote))
    except UnreadableError as error:
        unread = records.closing(task.whose, task.level, unreadable=str(error))
        return Graded(task.job, (), unread, time.monotonic() - began)
    except Exception as fault:
        return lost(task, records.told(fault))
    graded: dict[str, ExerciseRecord] = {}
    stalled: list[str] = []
    notes = list(submission.notes)
    names = [n for n in submission.exercises if task.only is None or n in task.only]
    with Worker(submission, task.limits, zygote) as worker:
        # those that forbid the same one after the other: they can share a process
        for name in sorted(names, key=lambda name: contract.get(name).forbidden):
            graded[name], late = _grade(task, submission, worker, name)
            stalled += [name] if late else []
            notes += [note for note in worker.notes if note not in notes]
    end = _closing(task, submission, notes)
    in_order = tuple(graded[name] for name in names)
    return Graded(task.job, in_order, end, time.monotonic() - began, tuple(stalled))


def lost(task: Task, reason: str) -> Graded:
    """What stands in the journal where the grader itself failed: no grade, and never 0."""
    return Graded(task.job, (), records.closing(task.whose, task.level, fault=reason))


def _read(task: Task, zygote: Zygote) -> Submission:
    """Read the content under the name that the student gave it."""
    with tempfile.TemporaryDirectory(prefix="attncourse-") as folder:
        path = Path(folder) / task.file.rpartition("/")[2]
        path.write_bytes(task.content)
        return read(path, zygote)


def _grade(
    task: Task, submission: Submission, worker: Worker, name: str
) -> tuple[ExerciseRecord, bool]:
    """The record of one exercise, and whether it was stopped for the time that passed."""
    exercise, memory = contract.get(name), own_memory(task.secret)
    try:
        result = _again(lambda: memory.grade(submission, worker, exercise))
    except Exception as fault:
        return records.of_fault(task.whose, name, fault), False
    stalled = worker.stalled and any(check.fatal for check in result.checks)
    return records.of_result(task.whose, result), stalled


def _closing(task: Task, submission: Submission, notes: list[str]) -> Closing:
    """The record that closes a submission that was read."""
    defined = sorted(submission.defined)
    return records.closing(task.whose, task.level) | {
        "exercises": list(submission.exercises),
        "defined": defined,
        "notes": [records.plain(note) for note in notes],
        "prints": {name: _prints(submission, name) for name in defined},
    }


def _prints(submission: Submission, name: str) -> Prints:
    """The fingerprints of an answer: of its function and of those that it calls."""
    reached = submission.reaches(name)
    lines: list[str] = []
    marks: list[list[int]] = []
    for found in submission.prints:
        if found.name in reached:
            at = len(lines)
            marks += [[code, first + at, last + at] for code, first, last in found.marks]
            lines += found.lines
    return {"lines": lines, "marks": marks}


def _again(attempt: Callable[[], T]) -> T:
    """Try again where the grader itself failed; what belongs to the submission is raised."""
    for _ in range(TRIES - 1):
        try:
            return attempt()
        except GraderFault:
            continue
    return attempt()
