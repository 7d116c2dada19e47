"""Why there is no function of an exercise's name, once a submission has run: in a sentence."""

import difflib
import inspect
from collections.abc import Iterable, Sequence

from attncourse.course import exercise as contract
from attncourse.course.checking import CheckResult, Result, State
from attncourse.course.exercise import Exercise, first_line
from attncourse.grading.judge.submission import Submission
from attncourse.grading.parsing.parser import Function

ALIKE = 0.6  # from here on two names resemble each other


def missing(submission: Submission, notes: Sequence[str], exercise: Exercise) -> Result:
    """The result where the function is not there: not attempted, unless something was written.

    notes are on what failed while the cells ran.
    """
    state: State = "failed"
    told = _lost(submission, notes, exercise.name) or renamed(submission, exercise)
    if told is None:
        state, told = (
            "not attempted",
            f"{submission.name} defines no function {exercise.name}.",
        )
    checks = (
        CheckResult(name, first_line(check), state, told, unusable=True, absent=True)
        for name, check in exercise.checks.items()
    )
    return Result(exercise.name, tuple(checks))


def nothing_found(submission: Submission, notes: Sequence[str]) -> str:
    """What is told of a submission that defines no function of any exercise."""
    if submission.notes and not submission.cells:
        return " ".join(submission.notes)
    asked = (renamed(submission, exercise) for exercise in contract.all_exercises().values())
    questions = [f"{question[0].upper()}{question[1:]}" for question in asked if question]
    told = [f"{submission.name} defines no function of any exercise.", *questions[:1]]
    return " ".join([*told, *submission.notes, *notes])


def renamed(submission: Submission, exercise: Exercise) -> str | None:
    """A question about the function that may be meant; None if there is none."""
    known, wanted = contract.names(), tuple(inspect.signature(exercise.solution).parameters)
    others = {f.name: f for f in submission.functions if f.name not in known}
    alike = [f for f in others.values() if _resemble(f.name, exercise.name)]
    same = [f for f in others.values() if f.parameters == wanted]
    for found in _nearest([f for f in alike if f in same], exercise.name):
        return f"{_instead(exercise, found)} takes the same arguments: was it renamed?"
    for found in _nearest(same if len(wanted) > 1 else [], exercise.name):
        return f"{_instead(exercise, found)} takes the same arguments: was it renamed?"
    for found in _nearest(alike, exercise.name):
        return f"{_instead(exercise, found)} has a name like it: was it renamed?"
    return None


def _lost(submission: Submission, notes: Iterable[str], name: str) -> str | None:
    """What became of a function that stands in the text; None if it does not."""
    cells = [function.label for function in submission.functions if function.name == name]
    if not cells:
        return None
    told = [note for note in (*submission.notes, *notes) if note.startswith(_of(cells[-1]))]
    if told:
        return f"there is no `{name}`, since {told[0]}"
    return f"`{name}` is no function once all of {submission.name} has run."


def _of(label: str) -> tuple[str, str]:
    return f"{label} ", f"{label},"


def _instead(exercise: Exercise, found: Function) -> str:
    return f"there is no `{exercise.name}`, but `{found.name}`"


def _resemble(name: str, other: str) -> bool:
    a, b = name.lower(), other.lower()
    return b in a or a in b or difflib.SequenceMatcher(None, a, b).ratio() >= ALIKE


def _nearest(found: Sequence[Function], name: str) -> list[Function]:
    """The one whose name is nearest; none of none."""
    ratio = difflib.SequenceMatcher
    return sorted(found, key=lambda f: -ratio(None, f.name.lower(), name).ratio())[:1]
