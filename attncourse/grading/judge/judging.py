"""Running an exercise's checks on a submission in a worker."""

import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from attncourse.course import checking
from attncourse.course.checking import Result
from attncourse.course.execution import Function, Outcome
from attncourse.course.exercise import Exercise
from attncourse.grading.judge.claims import sizes_of, written_into
from attncourse.grading.judge.costs import COSTS, cost
from attncourse.grading.judge.exchange import Request
from attncourse.grading.judge.missing import missing
from attncourse.grading.judge.room import room
from attncourse.grading.judge.submission import Submission
from attncourse.grading.judge.veil import Veil
from attncourse.grading.judge.worker import Worker
from attncourse.grading.judge.zygote import GraderFault
from attncourse.grading.wire.protocol import Call
from attncourse.testing import secret_inputs


@dataclass
class RemoteAnswer:
    """One exercise's function in a worker, as a check sees it; time is limited per exercise.

    Where the solution is known, an answer may be larger than its own, but not without end.
    modifies are arguments that the function is known to write into, whatever its worker says.
    """

    worker: Worker
    function: str
    solution: Function | None = None
    modifies: frozenset[int | str] = frozenset()

    def begin(self) -> None:
        """Nothing to do: the exercise has its time, not the check."""

    def run(self, probe: str | None, args: Sequence[Any], kwargs: dict[str, Any]) -> Outcome:
        """Call the function, or the named probe on it, in the worker."""
        if probe in COSTS:
            return cost(self.worker, self.function, self.solution, probe, args, kwargs)
        outcome = self.worker.ask(self.request(probe, args, kwargs))
        return self._known(outcome, probe, args, kwargs) if self.modifies else outcome

    def request(self, probe: str | None, args: Sequence[Any], kwargs: dict[str, Any]) -> Request:
        """The call as it is sent to the worker."""
        most = room(self.solution, probe, args, kwargs)
        return Request(Call(self.function, probe, most), list(args), kwargs)

    def _known(
        self, outcome: Outcome, probe: str | None, args: Sequence[Any], kwargs: dict[str, Any]
    ) -> Outcome:
        """The outcome of a call with what is known of it besides."""
        given = {*range(len(args)), *kwargs} if probe is None else set()
        modified = given & (self.modifies | set(outcome.modified))
        return replace(outcome, modified=tuple(sorted(modified, key=str)))


def grade(
    submission: Submission,
    worker: Worker,
    exercise: Exercise,
    secret: bytes = b"",
    run: Callable[[Exercise, RemoteAnswer], Result] = checking.run,
) -> Result:
    """The result of one exercise of a submission.

    What gives nothing to compare after other exercises in the same process, so that it may be
    their fault (definitions that run only once, memory that is gone), is tried again alone. With
    a secret the checks draw inputs that nobody could know before, the same for all who are graded
    with it, and no word of the submission tells them. Raises GraderFault where the grader itself
    failed: then there is no result.
    """
    seconds = worker.limits.of(exercise)
    answer = RemoteAnswer(worker, exercise.name, exercise.solution)
    worker.begin(exercise.forbidden, seconds)
    if not worker.has(exercise.name):
        return missing(submission, worker.notes, exercise)
    with secret_inputs(_inputs(secret, exercise)):
        result = run(exercise, answer)
        if worker.doubtful or (worker.shared and any(check.unusable for check in result.checks)):
            worker.begin(exercise.forbidden, seconds, alone=True)
            result = run(exercise, answer)
        if result.passed and (modifies := written_into(worker, exercise, secret)):
            result = run(exercise, replace(answer, modifies=modifies))
        if secret:
            sizes = sizes_of(exercise, secret)
            result = Veil(submission, sizes, exercise.forbidden).over(result)
    if result.fault:
        raise GraderFault(result.fault)
    return result


def _inputs(secret: bytes, exercise: Exercise) -> bytes:
    """The secret of one exercise's inputs: none tells that of another."""
    return hmac.digest(secret, exercise.name.encode(), "sha256") if secret else b""
