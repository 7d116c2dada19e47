"""Running an exercise's checks on a submission in a worker."""

import hmac
from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Any

from attncourse.course.checking import CheckResult, Result
from attncourse.course.execution import Failure, Outcome
from attncourse.course.exercise import Exercise, first_line
from attncourse.grading.judge.costs import call, cost
from attncourse.grading.judge.dialogues import Dialogues, Question
from attncourse.grading.judge.exchange import Reply, concluded
from attncourse.grading.judge.submission import Submission, shortcut
from attncourse.grading.judge.worker import Worker
from attncourse.grading.wire import replay
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
        return self.reply(Question(probe, args, kwargs), ()).outcome

    def reply(self, question: Question, known: Container[bytes]) -> Reply:
        """The worker's reply, which is read unless its digest is among the `known`."""
        probe, args, kwargs = question.probe, question.args, question.kwargs
        if self.refused:
            return concluded(Outcome(failure=Failure("ForbiddenError", self.refused)))
        if probe in replay.COSTS:
            return concluded(cost(self.worker, self.function, probe, args, kwargs))
        if question.request is None:
            question.request = call(self.function, probe, args, kwargs)
        return self.worker.reply(question.request, known)


class Memory:
    """The dialogues of all exercises that a process grades, on the inputs of one secret."""

    def __init__(self, secret: bytes = b"") -> None:
        self.secret = secret
        self._dialogues: dict[str, Dialogues] = {}

    def of(self, exercise: Exercise) -> Dialogues:
        """The dialogues of one exercise."""
        found = self._dialogues.get(exercise.name)
        if found is None or found.exercise is not exercise:
            found = self._dialogues[exercise.name] = Dialogues(exercise)
        return found


def grade(
    submission: Submission, worker: Worker, exercise: Exercise, memory: Memory | None = None
) -> Result:
    """The result of one exercise of a submission; a function that is not there is no attempt.

    What goes wrong after other exercises in the same process, so that it may be their fault, is
    tried again alone. With a memory that has a secret the checks draw inputs that nobody could
    know before, the same for all who are graded with it. Raises GraderFault where the grader
    itself failed: then there is no result.
    """
    if exercise.name in submission.defined:
        seconds = worker.limits.of(exercise)
        refused = shortcut(submission, exercise.name, exercise.forbidden)
        memory = memory or Memory()
        key, dialogues = memory.secret, memory.of(exercise)
        inputs = hmac.digest(key, exercise.name.encode(), "sha256") if key else b""
        answer = RemoteAnswer(worker, exercise.name, refused)
        with secret_inputs(inputs):
            worker.begin(exercise.forbidden, seconds)
            result = dialogues.run(answer)
            if worker.doubtful:
                worker.begin(exercise.forbidden, seconds, alone=True)
                result = dialogues.run(answer)
        return result
    missing = f"{submission.path.name} defines no function {exercise.name}."
    checks = (
        CheckResult(name, first_line(check), "not attempted", missing)
        for name, check in exercise.checks.items()
    )
    return Result(exercise.name, tuple(checks))
