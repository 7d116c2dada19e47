"""What stands in the journal: plain data without a clock, the same whenever it is made again."""

import math
import re
from collections.abc import Sequence
from typing import Any, Literal, TypedDict

import torch

from attncourse.course.checking import CheckResult, Result
from attncourse.course.kinds import matrix_of
from attncourse.grading.wire.frames import plain_text

LARGEST_FIGURE = 24  # rows and columns that are kept of a learner's matrix

_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]{6,}\b")  # differs from run to run


class Whose(TypedDict):
    """The job, the student's name and number, the file's name."""

    job: str
    student: str
    number: str
    file: str


class Named(TypedDict):
    """A mistake that was named."""

    name: str
    advice: str


class Check(TypedDict):
    """One check of an exercise."""

    name: str
    description: str
    state: str
    message: str
    misconception: Named | None
    unusable: bool
    absent: bool


class Figure(TypedDict):
    """The learner's own matrix in a check: its shape, and a corner of its values."""

    check: str
    shape: list[int]
    values: list[list[float | str]]


class ExerciseRecord(Whose):
    """One exercise; the state is a result's, or needs-regrade with the grader's own fault."""

    type: Literal["exercise"]
    exercise: str
    state: str
    fault: str
    passed: int
    of: int
    checks: list[Check]
    figure: Figure | None


class Prints(TypedDict):
    """The lines of an answer, and its marks: a hash, the numbers of the first and last line."""

    lines: list[str]
    marks: list[list[int]]


class Closing(Whose):
    """The record that closes a submission: its exercises, or why there are none."""

    type: Literal["submission"]
    exercises: list[str]
    defined: list[str]
    notes: list[str]
    unreadable: str
    fault: str
    prints: dict[str, Prints]
    isolation: str


class Conditions(TypedDict):
    """The conditions under which what follows was graded."""

    type: Literal["manifest"]
    digest: str
    manifest: dict[str, Any]


Record = ExerciseRecord | Closing | Conditions


def of_result(whose: Whose, result: Result) -> ExerciseRecord:
    """The record of an exercise that was graded."""
    return {
        "type": "exercise",
        **whose,
        "exercise": result.exercise,
        "state": result.state,
        "fault": "",
        "passed": result.passed,
        "of": len(result.checks),
        "checks": [_check(check) for check in result.checks],
        "figure": _figure(result.checks),
    }


def of_fault(whose: Whose, exercise: str, fault: Exception) -> ExerciseRecord:
    """The record of an exercise at which the grader itself failed: no grade, and never 0."""
    return {
        "type": "exercise",
        **whose,
        "exercise": exercise,
        "state": "needs-regrade",
        "fault": told(fault),
        "passed": 0,
        "of": 0,
        "checks": [],
        "figure": None,
    }


def closing(whose: Whose, isolation: str, fault: str = "", unreadable: str = "") -> Closing:
    """The record that closes a submission in which nothing was found yet."""
    return {
        "type": "submission",
        **whose,
        "exercises": [],
        "defined": [],
        "notes": [],
        "unreadable": plain(unreadable),
        "fault": fault,
        "prints": {},
        "isolation": isolation,
    }


def plain(text: str) -> str:
    """Text of a submission, fit to be shown and the same in every run."""
    return _ADDRESS.sub("0x…", plain_text(text, 2000))


def told(fault: Exception) -> str:
    """A fault of the grader in a line."""
    return plain(f"{type(fault).__name__}: {str(fault).partition(chr(10))[0]}")


def _check(check: CheckResult) -> Check:
    known = check.misconception
    return {
        "name": check.name,
        "description": check.description,
        "state": check.state,
        "message": plain(check.message),
        "misconception": {"name": known.name, "advice": known.advice} if known else None,
        "unusable": check.unusable,
        "absent": check.absent,
    }


def _figure(checks: Sequence[CheckResult]) -> Figure | None:
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
    """Four digits, as many as are finite; what JSON has no number for is a string."""
    if not math.isfinite(value):
        return str(value)
    rounded = float(f"{value:.4g}") + 0.0
    return rounded if math.isfinite(rounded) else value  # the largest numbers round to infinity
