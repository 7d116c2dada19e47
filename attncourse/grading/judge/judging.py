"""Running an exercise's checks on a submission in a worker."""

import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from attncourse.course import checking
from attncourse.course.checking import CheckResult, Result
from attncourse.course.execution import Failure, Outcome
from attncourse.course.exercise import Exercise, first_line
from attncourse.grading.judge.costs import COSTS, cost
from attncourse.grading.judge.exchange import Request
from attncourse.grading.judge.submission import Submission, shortcut
from attncourse.grading.judge.worker import Worker
from attncourse.grading.wire.protocol import Call
from attncourse.testing import secret_inputs


@dataclass
class RemoteAnswer:
    """One exercise's function in a worker, as a check sees it; time is limited per exercise.

    refused is why nothing is asked: the text of the submission shows a forbidden function.
    """

    worker: Worker
    function: str
    refused: str | None = None

    def begin(self) -> None:
        """Nothing to do: the exercise has its time, not the check."""

    def run(self, probe: str | None, args: Sequence[Any], kwargs: dict[str, Any]) -> Outcome:
        """Call the function, or the named probe on it, in the worker."""
        if self.refused:
            return Outcome(failure=Failure("ForbiddenError", self.refused))
        if probe in COSTS:
            return cost(self.worker, self.function, probe, args, kwargs)
        return self.worker.ask(Request(Call(self.function, probe), list(args), kwargs))


def grade(
    submission: Submission,
    worker: Worker,
    exercise: Exercise,
    secret: bytes = b"",
    run: Callable[[Exercise, RemoteAnswer], Result] = checking.run,
) -> Result:
    """The result of one exercise of a submission; a function that is not there is no attempt.

    What goes wrong after other exercises in the same process, so that it may be their fault, is
    tried again alone. With a secret the checks draw inputs that nobody could know before, the
    same for all who are graded with it. Raises GraderFault where the grader itself failed: then
    there is no result.
    """
    if exercise.name not in submission.defined:
        return _missing(submission, exercise)
    seconds = worker.limits.of(exercise)
    refused = shortcut(submission, exercise.name, exercise.forbidden)
    answer = RemoteAnswer(worker, exercise.name, refused)
    with secret_inputs(_inputs(secret, exercise)):
        worker.begin(exercise.forbidden, seconds)
        result = run(exercise, answer)
        if worker.doubtful:
            worker.begin(exercise.forbidden, seconds, alone=True)
            result = run(exercise, answer)
    return result


def _inputs(secret: bytes, exercise: Exercise) -> bytes:
    """The secret of one exercise's inputs: none tells that of another."""
    return hmac.digest(secret, exercise.name.encode(), "sha256") if secret else b""


def _missing(submission: Submission, exercise: Exercise) -> Result:
    missing = f"{submission.name} defines no function {exercise.name}."
    checks = (
        CheckResult(name, first_line(check), "not attempted", missing)
        for name, check in exercise.checks.items()
    )
    return Result(exercise.name, tuple(checks))
