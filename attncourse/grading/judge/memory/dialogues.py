"""What checks ask and conclude, remembered: where a class gives equal answers, equal things follow.

A check is a dialogue: it asks the learner's function on inputs that are the same for all, and
concludes from the answers alone. So what it asks next, and what it concludes, is known as soon
as the same was answered before, bit for bit; and it runs only where an answer says what is new.
"""

import hashlib
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from attncourse.course.calls import Call, Repeated
from attncourse.course.checking import CheckResult, Result, attempt, each_check, explain
from attncourse.course.execution import Function, Outcome
from attncourse.course.exercise import Exercise
from attncourse.grading.judge.exchange import Request
from attncourse.grading.judge.memory import outcomes
from attncourse.grading.judge.memory.outcomes import Key, Outcomes
from attncourse.grading.judge.memory.replies import Reply

# What is remembered of one exercise, at most: a class in which no two answers are equal is large.
MOST = 16 * 2**20  # bytes of questions
MOST_NODES = 5_000
MOST_RESULTS = 1_000
LARGEST_RESULT = 2**12  # numbers in the tensors of one result


@dataclass(eq=False)
class Question:
    """A call of the learner's function, or of a probe on it, on these inputs.

    key tells the inputs apart from others; repeated is what the course's own functions give on
    them; request is the question as it was sent.
    """

    probe: str | None
    args: Sequence[Any]
    kwargs: dict[str, Any]
    key: Key | None = None
    repeated: Repeated = field(default_factory=dict[Function, Outcome])
    request: Request | None = None

    def answered(self, outcome: Outcome) -> Call:
        """The call that was made by asking it."""
        return Call(self.probe, self.args, self.kwargs, outcome, self.repeated)


@runtime_checkable
class Answerer(Protocol):
    """Something that can be asked, and that says so when it gives the same answer again."""

    def begin(self) -> None:
        """A check begins."""
        ...

    def reply(self, question: Question, known: Container[bytes]) -> Reply:
        """The reply, which is read unless its digest is among the `known`."""
        ...


@dataclass(eq=False)
class _Node:
    """A point of a check's dialogue: what is asked there and what follows, or the conclusion."""

    question: Question | None = None
    after: dict[bytes, "_Node"] = field(default_factory=dict)
    result: CheckResult | None = None


@dataclass(eq=False)
class _Talk:
    """What was asked and answered in one check, and asking on: an `Answer` for it."""

    answerer: Answerer
    memory: "Dialogues"
    heard: list[tuple[Question, Reply]] = field(default_factory=list)
    told: int = 0  # of what was heard, how much the check has been told

    def begin(self) -> None:
        """It has begun already."""

    def ask(self, question: Question, known: Container[bytes] = ()) -> Reply:
        """Ask, and remember what was said."""
        reply = self.answerer.reply(question, known)
        self.heard.append((question, reply))
        return reply

    def run(self, probe: str | None, args: Sequence[Any], kwargs: dict[str, Any]) -> Outcome:
        """Tell the check what was heard; ask for what was not."""
        self.told += 1
        if self.told <= len(self.heard):
            return self.heard[self.told - 1][1].outcome
        return self.ask(self.memory.question(probe, args, kwargs)).outcome

    def call(self, probe: str | None, args: Any, kwargs: Any, outcome: Outcome) -> Call:
        """What the check was told last."""
        return self.heard[self.told - 1][0].answered(outcome)

    def calls(self) -> list[Call]:
        """What was heard, as a diagnosis needs it."""
        return [question.answered(reply.outcome) for question, reply in self.heard]


class Dialogues:
    """The dialogues of one exercise's checks, on one set of inputs."""

    def __init__(self, exercise: Exercise, outcomes: Outcomes) -> None:
        self.exercise = exercise
        self._outcomes = outcomes
        self._roots = {name: _Node() for name in exercise.checks}
        self._questions: dict[Any, Question] = {}
        self._results: dict[bytes, Result] = {}
        self._bytes = self._nodes = 0

    def run(self, answerer: Answerer) -> Result:
        """The result of all checks: that of `checking.run`."""
        talks: dict[str, _Talk] = {}

        def one(name: str) -> CheckResult:
            talks[name] = _Talk(answerer, self)
            answerer.begin()
            return self._attempt(name, talks[name])

        found = each_check(self.exercise, one)
        said = _all_that_was_said(talks)
        if said in self._results:
            return self._results[said]
        calls = {name: talk.calls() for name, talk in talks.items()}
        result = explain(self.exercise, found, calls)
        if said is not None and len(self._results) < MOST_RESULTS and _small(result.checks):
            self._results[said] = result
        return result

    def question(self, probe: str | None, args: Sequence[Any], kwargs: dict[str, Any]) -> Question:
        """The question; the same one wherever the same is asked, if that can be remembered."""
        key, size = outcomes.key(args, kwargs), outcomes.size_of(args, kwargs)
        made = Question(probe, args, kwargs, key, self._outcomes.on(probe, key))
        if key is None or self._bytes + size > MOST:
            return made
        kept = self._questions.setdefault((probe, key), made)
        self._bytes += size if kept is made else 0
        return kept

    def _attempt(self, name: str, talk: _Talk) -> CheckResult:
        """Follow what was said before as far as it leads; from there on, run the check."""
        node: _Node | None = self._roots[name]
        while node is not None and node.question is not None:
            reply = talk.ask(node.question, node.after)
            node = node.after.get(reply.digest) if reply.digest else None
        if node is not None and node.result is not None:
            return node.result
        result, _ = attempt(self.exercise, name, talk, talk.call)
        self._remember(name, talk, result)
        return result

    def _remember(self, name: str, talk: _Talk, result: CheckResult) -> None:
        node = self._roots[name]
        for question, reply in talk.heard:
            if self._questions.get((question.probe, question.key)) is not question:
                return
            node.question = question
            if reply.digest is None or self._nodes >= MOST_NODES:
                return
            self._nodes += reply.digest not in node.after
            node = node.after.setdefault(reply.digest, _Node())
        node.result = result if _small([result]) else None


def _all_that_was_said(talks: dict[str, _Talk]) -> bytes | None:
    """A digest of every reply to every check; None if one of them has none."""
    digests = [[reply.digest for _, reply in talk.heard] for talk in talks.values()]
    if not all(all(found) for found in digests):
        return None
    return hashlib.blake2b(repr(digests).encode(), digest_size=32).digest()


def _small(checks: Sequence[CheckResult]) -> bool:
    values = (value for check in checks for value in (check.actual, check.expected))
    sizes = (value.numel() for value in values if isinstance(value, Tensor))
    return sum(sizes) <= LARGEST_RESULT
