"""Grading with a memory: `judging.grade`, where equal answers are concluded from once."""

import functools
from collections.abc import Container
from dataclasses import dataclass

from attncourse.course.checking import Result
from attncourse.course.exercise import Exercise
from attncourse.grading.judge import judging
from attncourse.grading.judge.costs import COSTS
from attncourse.grading.judge.judging import RemoteAnswer
from attncourse.grading.judge.memory.dialogues import Dialogues, Question
from attncourse.grading.judge.memory.outcomes import Outcomes
from attncourse.grading.judge.memory.replies import Reply, concluded, received
from attncourse.grading.judge.submission import Submission
from attncourse.grading.judge.worker import Worker


class Memory:
    """What a process that grades a class remembers, on the inputs of one secret."""

    def __init__(self, secret: bytes = b"") -> None:
        self.secret = secret
        self._outcomes = Outcomes()
        self._dialogues: dict[str, Dialogues] = {}

    def grade(self, submission: Submission, worker: Worker, exercise: Exercise) -> Result:
        """The result of one exercise of a submission: that of `judging.grade`."""
        return judging.grade(submission, worker, exercise, self.secret, self._run)

    def of(self, exercise: Exercise) -> Dialogues:
        """The dialogues of one exercise."""
        found = self._dialogues.get(exercise.name)
        if found is None or found.exercise is not exercise:
            found = self._dialogues[exercise.name] = Dialogues(exercise, self._outcomes)
        return found

    def _run(self, exercise: Exercise, answer: RemoteAnswer) -> Result:
        return self.of(exercise).run(Remote(answer))


@dataclass(frozen=True)
class Remote:
    """A function in a worker, asked questions whose replies may be known."""

    answer: RemoteAnswer

    def begin(self) -> None:
        """A check begins."""
        self.answer.begin()

    def reply(self, question: Question, known: Container[bytes]) -> Reply:
        """The worker's reply, which is read unless its digest is among the `known`."""
        probe, args, kwargs = question.probe, question.args, question.kwargs
        if self.answer.modifies or probe in COSTS:
            return concluded(self.answer.run(probe, args, kwargs))
        if question.request is None:
            question.request = self.answer.request(probe, args, kwargs)
        reply = self.answer.worker.read(question.request, functools.partial(received, known=known))
        return reply if isinstance(reply, Reply) else concluded(reply)


@functools.lru_cache(maxsize=1)
def own_memory(secret: bytes = b"") -> Memory:
    """What this process remembers of all that it grades by one secret."""
    return Memory(secret)
