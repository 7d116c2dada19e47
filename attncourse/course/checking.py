"""Running the checks of an exercise on a learner's function, here or in another process."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, runtime_checkable

from torch import Tensor

from attncourse.course.diagnose import (
    Call,
    Misconception,
    comparable,
    describe_difference,
    misconception,
    property_that_broke,
)
from attncourse.course.execution import Failure, Outcome, execute
from attncourse.course.exercise import Exercise, first_line
from attncourse.course.kinds import describe, kind_problem
from attncourse.testing import Mismatch, Skipped, same_value

State = Literal["passed", "failed", "not attempted", "skipped"]


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
class LocalAnswer:
    """A learner's function in this process."""

    function: Callable[..., Any]
    forbidden: tuple[str, ...] = ()

    def begin(self) -> None:
        """Nothing to do: time is not limited here."""

    def run(self, probe: str | None, args: Sequence[Any], kwargs: dict[str, Any]) -> Outcome:
        """Call it here, on copies of the arguments."""
        return execute(self.function, probe, args, kwargs, self.forbidden)


@dataclass(frozen=True)
class CheckResult:
    """What one check found.

    message says what broke, for the learner; misconception names the mistake where one is known;
    actual and expected are the values to draw, where there are any. unusable: there was no value
    to compare (an exception, the wrong kind, a modified argument); fatal as in Failure.
    """

    name: str
    description: str
    state: State
    message: str = ""
    misconception: Misconception | None = None
    actual: Any = None
    expected: Any = None
    unusable: bool = False
    fatal: bool = False


@dataclass(frozen=True)
class Result:
    """All checks of one exercise."""

    exercise: str
    checks: tuple[CheckResult, ...]

    @property
    def state(self) -> State:
        """Failed if any check failed, or if some passed and others still raise NotImplementedError.

        Not attempted only if no check got further; with a skipped check it is never passed.
        """
        states = {check.state for check in self.checks}
        if "failed" in states or {"passed", "not attempted"} <= states:
            return "failed"
        for state in ("not attempted", "skipped"):
            if state in states:
                return state
        return "passed"

    @property
    def passed(self) -> int:
        """The number of checks passed."""
        return sum(check.state == "passed" for check in self.checks)


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
            raise LearnerError(_failure_message(outcome.failure), outcome.failure)
        if outcome.modified:
            parameters = list(inspect.signature(self.exercise.solution).parameters)
            known: dict[int | str, str] = dict(enumerate(parameters))
            names = [known.get(key, str(key)) for key in outcome.modified]
            raise LearnerError(
                f"your function modified its argument {', '.join(names)}; work on a new tensor "
                "instead (operators such as += and methods that end in _ write into their input)."
            )
        expected = call.repeat(self.exercise.solution)
        problem = None if expected.failure else kind_problem(outcome.value, expected.value)
        if problem:
            raise LearnerError(problem)
        return outcome.value


def run(exercise: Exercise, answer: Answer) -> Result:
    """Run every check; then name the mistake behind each failure.

    After a fatal failure (the process was lost) the remaining checks are not run and fail with
    the same message.
    """
    calls: dict[str, list[Call]] = {}

    def one(name: str) -> CheckResult:
        answer.begin()
        result, calls[name] = attempt(exercise, name, answer)
        return result

    return explain(exercise, each_check(exercise, one), calls)


def each_check(exercise: Exercise, one: Callable[[str], CheckResult]) -> list[CheckResult]:
    """What `one` gives for each check; nothing is asked of it after a fatal failure."""
    results: list[CheckResult] = []
    for name, check in exercise.checks.items():
        lost = next((result for result in results if result.fatal), None)
        description = f"{first_line(check)} (not run)"
        results.append(replace(lost, name=name, description=description) if lost else one(name))
    return results


def explain(
    exercise: Exercise, results: Sequence[CheckResult], calls: Mapping[str, list[Call]]
) -> Result:
    """The results of all checks, with the mistakes that the calls made in them show."""
    everything = [call for made in calls.values() for call in made]
    explained = (_explain(exercise, r, calls.get(r.name, []), everything) for r in results)
    return Result(exercise.name, tuple(explained))


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
        failure = error.failure
        if failure and failure.untouched:
            message = f"{student.exercise.name} still raises NotImplementedError."
            return CheckResult(name, description, "not attempted", message)
        fatal = bool(failure and failure.fatal)
        return CheckResult(name, description, "failed", str(error), unusable=True, fatal=fatal)
    return CheckResult(name, description, "passed")


def _explain(
    exercise: Exercise, result: CheckResult, calls: list[Call], everything: list[Call]
) -> CheckResult:
    """Add the misconception, or the property that broke, and the values to draw."""
    if result.state != "failed" or result.fatal or not calls:
        return result
    if calls[-1].outcome.failure and calls[-1].outcome.failure.kind == "ForbiddenError":
        return result
    found = misconception(exercise, calls, everything)
    if result.unusable:
        return replace(result, misconception=found)
    actual, expected = _first_difference(exercise, calls) or (result.actual, result.expected)
    message = property_that_broke(calls, exercise) or _compared(result)
    return replace(result, message=message, misconception=found, actual=actual, expected=expected)


def _compared(result: CheckResult) -> str:
    """The check's own message, with the difference of what it compared, in words."""
    message = result.message
    if result.actual is None and result.expected is None:
        return message
    actual, expected = _first_unequal(result.actual, result.expected)
    if isinstance(actual, Tensor) and isinstance(expected, Tensor):
        problem = kind_problem(actual, expected, "it came as") or describe_difference(
            actual, expected
        )
        return f"{message} {problem[0].lower()}{problem[1:]}"
    say = repr if type(actual) is type(expected) and isinstance(actual, int | float) else describe
    return f"{message} it is {say(actual)}, expected {say(expected)}."


def _first_unequal(a: Any, b: Any) -> tuple[Any, Any]:
    """The values themselves, or the first two that differ where both are tuples or lists."""
    both = isinstance(a, tuple | list) and isinstance(b, tuple | list) and len(a) == len(b)
    pairs = zip(a, b, strict=True) if both else ()
    return next((_first_unequal(x, y) for x, y in pairs if not same_value(x, y)), (a, b))


def _first_difference(exercise: Exercise, calls: list[Call]) -> tuple[Any, Any] | None:
    for call in calls:
        expected = call.repeat(exercise.solution)
        if comparable(call, expected) and not same_value(call.outcome.value, expected.value):
            return call.outcome.value, expected.value
    return None


def _failure_message(failure: Failure) -> str:
    place = f" ({failure.where})" if failure.where else ""
    if failure.fatal or failure.kind == "ForbiddenError":
        return failure.message + place
    message = f": {failure.message}" if failure.message else ""
    return f"your function raised {failure.kind}{message}{place}"
