"""Grading one submission: plain data in, plain records out, at module level.

So that it can run in any process that has the package: the pool's, or a cluster's.
"""

import functools
import math
import re
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from attncourse.course import exercise as contract
from attncourse.course.checking import CheckResult, Result
from attncourse.course.kinds import matrix_of
from attncourse.grading.judge.allowance import Limits
from attncourse.grading.judge.memory.grading import Memory
from attncourse.grading.judge.reading import read
from attncourse.grading.judge.submission import Submission, UnreadableError
from attncourse.grading.judge.worker import Worker
from attncourse.grading.judge.zygote import GraderFault, Zygote, own_zygote
from attncourse.grading.wire.frames import plain_text

LARGEST_FIGURE = 24  # rows and columns that are kept of a learner's matrix
TRIES = 2  # how often an exercise is tried where the grader itself fails

_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]{6,}\b")  # differs from run to run


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


@dataclass(frozen=True)
class Graded:
    """What came of it: records for the journal, the last of which closes the submission.

    stalled are exercises stopped for the time that passed: a busy machine may be to blame.
    """

    job: str
    records: tuple[dict[str, Any], ...]
    seconds: float = 0.0
    stalled: tuple[str, ...] = field(default=())


def grade_submission(task: Task) -> Graded:
    """Grade the exercises of one submission. Whatever fails becomes a record, never a raise."""
    began = time.monotonic()
    zygote = own_zygote(task.level)
    try:
        submission = _again(lambda: _read(task, zygote))
    except UnreadableError as error:
        unread = closing(task, unreadable=_plain(str(error)))
        return Graded(task.job, (unread,), time.monotonic() - began)
    except Exception as fault:
        return lost(task, _fault(fault))
    records: dict[str, dict[str, Any]] = {}
    stalled: list[str] = []
    notes = list(submission.notes)
    names = [n for n in submission.exercises if task.only is None or n in task.only]
    with Worker(submission, task.limits, zygote) as worker:
        # those that forbid the same one after the other: they can share a process
        for name in sorted(names, key=lambda name: contract.get(name).forbidden):
            records[name], late = _grade(task, submission, worker, name)
            stalled += [name] if late else []
            notes += [note for note in worker.notes if note not in notes]
    end = closing(
        task,
        exercises=list(submission.exercises),
        defined=sorted(submission.defined),
        notes=[_plain(note) for note in notes],
        prints={name: _prints(submission, name) for name in sorted(submission.defined)},
    )
    in_order = [records[name] for name in names]
    return Graded(task.job, (*in_order, end), time.monotonic() - began, tuple(stalled))


def lost(task: Task, reason: str) -> Graded:
    """What stands in the journal where the grader itself failed: no grade, and never 0."""
    return Graded(task.job, (closing(task, fault=reason),))


def closing(task: Task, **told: Any) -> dict[str, Any]:
    """The record that closes a submission."""
    empty = {"exercises": [], "defined": [], "notes": [], "unreadable": "", "fault": ""}
    more = {"prints": {}, "isolation": task.level}
    return {"type": "submission", **_whose(task), **empty, **more} | told


def _whose(task: Task) -> dict[str, Any]:
    return {
        "job": task.job,
        "student": task.student,
        "number": task.number,
        "file": task.file,
    }


def _read(task: Task, zygote: Zygote) -> Submission:
    """Read the content under the name that the student gave it."""
    with tempfile.TemporaryDirectory(prefix="attncourse-") as folder:
        path = Path(folder) / task.file.rpartition("/")[2]
        path.write_bytes(task.content)
        return read(path, zygote)


def _grade(
    task: Task, submission: Submission, worker: Worker, name: str
) -> tuple[dict[str, Any], bool]:
    """The record of one exercise, and whether it was stopped for the time that passed."""
    record = {"type": "exercise", **_whose(task), "exercise": name}
    try:
        result: Result = _again(
            lambda: _memory(task.secret).grade(submission, worker, contract.get(name))
        )
    except Exception as fault:
        failed = {"state": "needs-regrade", "fault": _fault(fault), "passed": 0, "of": 0}
        return record | failed | {"checks": [], "figure": None}, False
    told = {"state": result.state, "passed": result.passed, "of": len(result.checks), "fault": ""}
    checks = [_check(check) for check in result.checks]
    stalled = bool(worker.stalled) and any(check.fatal for check in result.checks)
    return record | told | {"checks": checks, "figure": _figure(result.checks)}, stalled


def _prints(submission: Submission, name: str) -> dict[str, Any]:
    """The fingerprints of an answer: of its function and of those that it calls, with their lines.

    A mark is a hash, and the numbers of the first and the last line of it.
    """
    reached = submission.reaches(name)
    lines: list[str] = []
    marks: list[list[int]] = []
    for found in submission.prints:
        if found.name in reached:
            at = len(lines)
            marks += [[code, first + at, last + at] for code, first, last in found.marks]
            lines += found.lines
    return {"lines": lines, "marks": marks}


def _again(attempt: Any) -> Any:
    """Try again where the grader itself failed; what belongs to the submission is raised."""
    for _ in range(TRIES - 1):
        try:
            return attempt()
        except GraderFault:
            continue
    return attempt()


def _check(check: CheckResult) -> dict[str, Any]:
    known = check.misconception
    return {
        "name": check.name,
        "description": check.description,
        "state": check.state,
        "message": _plain(check.message),
        "misconception": {"name": known.name, "advice": known.advice} if known else None,
    }


def _figure(checks: Sequence[CheckResult]) -> dict[str, Any] | None:
    """The learner's own matrix in the first failed check that has one, rounded and cut."""
    for check in checks:
        matrix = matrix_of(check.actual) if check.state == "failed" else None
        if matrix is not None and not matrix.is_complex():
            corner = matrix[:LARGEST_FIGURE, :LARGEST_FIGURE].to(torch.float64).tolist()
            return {
                "check": check.description,
                "shape": list(matrix.shape),
                "values": [[_number(value) for value in row] for row in corner],
            }
    return None


def _number(value: float) -> float | str:
    """Four digits; what JSON has no number for is a string."""
    return float(f"{value:.4g}") + 0.0 if math.isfinite(value) else str(value)


def _plain(text: str) -> str:
    """Text of a submission, fit to be shown and the same in every run."""
    return _ADDRESS.sub("0x…", plain_text(text, 2000))


def _fault(fault: Exception) -> str:
    return _plain(f"{type(fault).__name__}: {str(fault).partition(chr(10))[0]}")


@functools.lru_cache(maxsize=1)
def _memory(secret: bytes) -> Memory:
    """What this process remembers of what the class said."""
    return Memory(secret)
