"""A record in words: the same sentences as in the notebook, without the expected values.

Learners' reports say what is wrong and why. What would have been right they find out themselves.
"""

import re
from collections.abc import Mapping
from typing import Any

from attncourse.course import report
from attncourse.course.calls import Misconception
from attncourse.course.checking import CheckResult, Result
from attncourse.course.exercise import get
from attncourse.grading.classroom.gradebook import Gradebook
from attncourse.grading.classroom.rows import Row
from attncourse.grading.classroom.scores import Score

# ..., expected 0.25. / expected the int 4. / expected True.
_VALUE = r"(?:the \w+ )?(?:'[^']*'|\"[^\"]*\"|-?[\d.]*\d(?:e[+-]?\d+)?|-?inf|nan|True|False)"
_EXPECTED = re.compile(rf"[,;] expected {_VALUE}(?=\.?(?:\s|$))")


def result(record: Mapping[str, Any], show_expected: bool = False) -> Result:
    """A record as what the reports of a notebook are made of."""
    checks = []
    for check in record["checks"]:
        known = check["misconception"]
        message = check["message"] if show_expected else without_expected(check["message"])
        named = Misconception(known["name"], known["advice"]) if known else None
        flags = {flag: check[flag] for flag in ("unusable", "absent")}
        told = (check["name"], check["description"], check["state"], message, named)
        checks.append(CheckResult(*told, **flags))
    return Result(record["exercise"], tuple(checks))


def without_expected(message: str) -> str:
    """A message without the values that were expected (their kind and shape stay)."""
    return _EXPECTED.sub("", message)


def next_hint(score: Score) -> str:
    """The first hint of an exercise that is not passed; nothing where it is."""
    hints = get(score.exercise).hints
    return hints[0] if hints and score.state in ("failed", "not attempted") else ""


def unknown(score: Score) -> str:
    """Why there is no grade for an exercise."""
    if score.unclear:
        return f"no grade yet: {', '.join(score.unclear)} differ, and it is not clear which counts"
    return f"no grade yet: it may be in {', '.join(score.hidden)}, which could not be read"


def feedback(book: Gradebook, row: Row) -> str:
    """All that a student is told, as plain text."""
    told = (
        [f"{book.total(row):g} of {book.scheme.points:g} points"] if row.points is not None else []
    )
    for name in book.exercises:
        score = row.scores[name]
        if score.hidden or score.unclear:
            told.append(f"{name}: {unknown(score)}")
        elif score.record is None:
            told.append(f"{report.MARKS['not attempted']} {name}: not handed in")
        elif score.state == "needs-regrade":
            told.append(f"{name}: to be graded again")
        else:
            told.append(report.text(result(score.record)))
    return "\n".join([*told, *(f"Note: {note}" for note in row.notes)])
