"""One check of an exercise, run on a learner's function: what it found, and what it asked."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

from attncourse.course import failures
from attncourse.course.calls import Call, Misconception
from attncourse.course.execution import Failure, Outcome
from attncourse.course.exercise import Exercise, first_line
from attncourse.course.kinds import kind_problem
from attncourse.testing import Mismatch, Skipped

State = Literal["passed", "failed", "not attempted", "skipped"]

OF_THE_COURSE = "this is a fault of the course, not yours"


@runtime_checkable
class Answer(Protocol):
    """Something that can call the learner's function: in this process or another."""

    def begin(self) -> None:
        """A check begins: it has its full time."""
        ...

    def run(self, probe: str | None, args: Sequence[Any], kwargs: dict[str, Any]) -> Outcome:
        """Call the function, or the named probe on it."""
        ...


@dataclass(frozen=True)
class CheckResult:
    """What one check found.

    message says what broke, for the learner; misconception names the mistake where one is known;
    actual and expected are the values to draw, where there are any, and mask what hides a part of
    them. unusable: there was no value to compare (an exception, the wrong kind, a modified
    argument); fatal as in Failure; absent: there was no function. fault: the check itself broke, so
    that nothing is known of the answer.
    """

    name: str
    description: str
    state: State
    message: str = ""
    misconception: Misconception | None = None
    actual: Any = None
    expected: Any = None
    mask: Any = None
    unusable: bool = False
    fatal: bool = False
    absent: bool = False
    fault: bool = False


class LearnerError(Exception):
    """The learner's function could not give a value that a check can use."""

    def __init__(self, message: str, failure: Failure | None = None) -> None:
        super().__init__(message)
        self.failure = failure


class Student:
    """The learner's function as a check sees it: callable, and recording every call.

    made gives what is recorded of a call: its probe, its inputs and its outcome.
    """

    def __init__(
        self, exercise: Exercise, answer: Answer, made: Callable[..., Call] = Call
    ) -> None:
        self.exercise = exercise
        self.answer = answer
        self.made = made
        self.calls: list[Call] = []

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The learner's result; raises LearnerError where it is none."""
        return self._ask(None, args, kwargs)

    def __probe__(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return self._ask(name, args, kwargs)

    def _ask(self, probe: str | None, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        outcome = self.answer.run(probe, args, kwargs)
        call = self.made(probe, args, kwargs, outcome)
        self.calls.append(call)
        if outcome.failure:
            raise LearnerError(failures.in_words(outcome.failure), outcome.failure)
        if outcome.modified:
            raise LearnerError(_modified(self.exercise, outcome.modified))
        expected = call.repeat(self.exercise.solution)
        problem = None if expected.failure else kind_problem(outcome.value, expected.value)
        if problem:
            raise LearnerError(problem)
        return outcome.value


def attempt(
    exercise: Exercise, name: str, answer: Answer, made: Callable[..., Call] = Call
) -> tuple[CheckResult, list[Call]]:
    """What one check finds, and the calls that it makes, each as it is `made`."""
    student = Student(exercise, answer, made)
    return _run_check(name, exercise.checks[name], student), student.calls


def _run_check(name: str, check: Callable[..., Any], student: Student) -> CheckResult:
    description = first_line(check)
    try:
        check(student)
    except Skipped as reason:
        return CheckResult(name, description, "skipped", str(reason))
    except Mismatch as error:
        return CheckResult(
            name, description, "failed", error.sentence, None, error.actual, error.expected
        )
    except LearnerError as error:
        return _without_a_value(name, description, student.exercise, error)
    except Exception as fault:
        why = f"the grader could not compare your result ({type(fault).__name__}); {OF_THE_COURSE}."
        return CheckResult(name, description, "skipped", why, fault=True)
    return CheckResult(name, description, "passed")


def _without_a_value(
    name: str, description: str, exercise: Exercise, error: LearnerError
) -> CheckResult:
    failure = error.failure
    if failure and failure.untouched:
        message = f"{exercise.name} still raises NotImplementedError."
        return CheckResult(name, description, "not attempted", message)
    fatal = bool(failure and failure.fatal)
    return CheckResult(name, description, "failed", str(error), unusable=True, fatal=fatal)


def _modified(exercise: Exercise, places: Sequence[int | str]) -> str:
    parameters = list(inspect.signature(exercise.solution).parameters)
    known: dict[int | str, str] = dict(enumerate(parameters))
    names = [known.get(key, str(key)) for key in places]
    return (
        f"your function modified its argument {', '.join(names)}; work on a copy "
        "instead (operators such as += and methods that end in _ write into their input)."
    )
