"""Running the checks of an exercise on a learner's function, here or in another process."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from attncourse.course.attempt import (
    OF_THE_COURSE,
    Answer,
    CheckResult,
    LearnerError,
    State,
    Student,
    attempt,
)
from attncourse.course.calls import Call
from attncourse.course.diagnose import Diagnosis, diagnosis
from attncourse.course.execution import Outcome, execute
from attncourse.course.exercise import Exercise, first_line
from attncourse.course.kinds import describe, kind_problem, strange
from attncourse.course.properties import comparable, describe_difference, property_that_broke
from attncourse.course.relations import shape_relation
from attncourse.testing import same_value

__all__ = [
    "Answer",
    "CheckResult",
    "LearnerError",
    "LocalAnswer",
    "Result",
    "State",
    "Student",
    "attempt",
    "each_check",
    "explain",
    "run",
]

NOT_RUN = "(not run)"


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

    @property
    def fault(self) -> str:
        """What the grader itself failed at; nothing where it did not."""
        return next((check.message for check in self.checks if check.fault), "")


def run(exercise: Exercise, answer: Answer, made: Callable[..., Call] = Call) -> Result:
    """Run every check; then name the mistake behind each failure.

    Each call is recorded as it is `made`. After a fatal failure (the process was lost) the
    remaining checks are not run and fail with the same message.
    """
    calls: dict[str, list[Call]] = {}

    def one(name: str) -> CheckResult:
        answer.begin()
        result, calls[name] = attempt(exercise, name, answer, made)
        return result

    return explain(exercise, each_check(exercise, one), calls)


def each_check(exercise: Exercise, one: Callable[[str], CheckResult]) -> list[CheckResult]:
    """What `one` gives for each check; nothing is asked of it after a fatal failure."""
    results: list[CheckResult] = []
    for name, check in exercise.checks.items():
        lost = next((result for result in results if result.fatal), None)
        description = f"{first_line(check)} {NOT_RUN}"
        results.append(replace(lost, name=name, description=description) if lost else one(name))
    return results


def explain(
    exercise: Exercise, results: Sequence[CheckResult], calls: Mapping[str, list[Call]]
) -> Result:
    """The results of all checks, with what the calls made in them show of the failures.

    What cannot be explained stands as it was found: the marks do not depend on words.
    """
    try:
        found = diagnosis(exercise, results, calls)
        told = [_explain(exercise, each, calls, found) for each in results]
    except Exception as fault:
        more = f"The grader failed at saying more ({type(fault).__name__}); {OF_THE_COURSE}."
        told = [
            replace(r, message=f"{_sentence(r.message)} {more}") if r.state == "failed" else r
            for r in results
        ]
    return Result(exercise.name, tuple(_one_kind(told, calls)))


def _explain(
    exercise: Exercise,
    result: CheckResult,
    calls: Mapping[str, list[Call]],
    found: Diagnosis,
) -> CheckResult:
    """Add the misconception, or the property that broke, and the values to draw."""
    made = calls.get(result.name)
    if result.state != "failed" or result.fatal or not made:
        return result
    if result.unusable:
        message = _kind_in_words(exercise, result, made[-1])
        return replace(result, message=message, misconception=found.named)
    others = [call for said in calls.values() for call in said]
    message = property_that_broke(made, exercise, others) or _compared(result)
    message = f"{message} {found.hints.get(result.name, '')}".strip()
    told = replace(result, message=message, misconception=found.named)
    if (call := _first_difference(exercise, made)) is None:
        return told
    actual, expected = call.outcome.value, call.repeat(exercise.solution).value
    return replace(told, actual=actual, expected=expected, mask=_mask_of(exercise, call))


def _kind_in_words(exercise: Exercise, result: CheckResult, call: Call) -> str:
    """The message, and what is right about a tensor of the wrong kind."""
    actual, expected = call.outcome.value, call.repeat(exercise.solution).value
    both = isinstance(actual, Tensor) and isinstance(expected, Tensor) and call.probe is None
    plain = both and not strange(actual) and actual.device == expected.device
    more = shape_relation(actual, expected) if plain and not call.outcome.modified else None
    return f"{_sentence(result.message)} {more}" if more else result.message


def _one_kind(results: Sequence[CheckResult], calls: Mapping[str, list[Call]]) -> list[CheckResult]:
    """A result of the wrong kind is told once: what follows from it is no news.

    Where it is None, a list or a pair, other checks find the same of other sizes; and what has no
    value, or one of another shape, has no gradient to be compared.
    """
    first = next((each for each in results if _of_the_wrong_kind(each, calls)), None)
    if first is None:
        return list(results)
    return [
        replace(each, message=first.message, unusable=True)
        if _follows(each, first, calls)
        else each
        for each in results
    ]


def _of_the_wrong_kind(result: CheckResult, calls: Mapping[str, list[Call]]) -> bool:
    made = calls.get(result.name)
    if not (made and result.unusable and result.state == "failed" and made[-1].probe is None):
        return False
    return not (made[-1].outcome.failure or made[-1].outcome.modified)


def _follows(result: CheckResult, first: CheckResult, calls: Mapping[str, list[Call]]) -> bool:
    made = calls.get(result.name)
    if result.state != "failed" or not made:
        return False
    if _of_the_wrong_kind(result, calls):
        one, other = (calls[each.name][-1].outcome.value for each in (result, first))
        told_without_sizes = strange(one) or not isinstance(one, Tensor)
        return bool(told_without_sizes) and describe(one) == describe(other)
    return made[-1].probe == "gradients" and not made[-1].outcome.modified


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


def _first_difference(exercise: Exercise, calls: list[Call]) -> Call | None:
    for call in calls:
        expected = call.repeat(exercise.solution)
        if comparable(call, expected) and not same_value(call.outcome.value, expected.value):
            return call
    return None


def _mask_of(exercise: Exercise, call: Call) -> Tensor | None:
    """The mask that was given with scores, as large as they are; None where it hides nothing.

    One of another form is about other scores, those that the function makes of its tokens.
    """
    given = inspect.signature(exercise.solution).bind(*call.args, **call.kwargs).arguments
    mask, scores, value = given.get("mask"), next(iter(given.values())), call.outcome.value
    if call.probe is not None or not isinstance(mask, Tensor) or mask.all():
        return None
    both = isinstance(scores, Tensor) and isinstance(value, Tensor)  # no pair of results
    if not both or scores.shape != value.shape:
        return None
    sizes = zip(reversed(mask.shape), reversed(value.shape), strict=False)
    fits = mask.ndim <= value.ndim and all(size in (1, whole) for size, whole in sizes)
    return mask.expand(value.shape) if fits else None


def _sentence(message: str) -> str:
    return message if message.endswith((".", "!", "?")) or not message else f"{message}."
