"""What is concluded from remembered dialogues is what the checks themselves conclude."""

import functools
from dataclasses import replace

import pytest
import torch

from attncourse.course.checking import LocalAnswer, run
from attncourse.course.execution import Failure, Outcome, execute
from attncourse.course.exercise import all_exercises
from attncourse.grading.judge.memory import dialogues
from attncourse.grading.judge.memory.dialogues import Dialogues, Question
from attncourse.grading.judge.memory.grading import Memory
from attncourse.grading.judge.memory.outcomes import Outcomes
from attncourse.grading.judge.memory.replies import concluded, received
from attncourse.grading.wire.frames import encode
from attncourse.testing import secret_inputs

ANSWERS = {
    f"{name}: {kind} {which}": (name, function)
    for name, exercise in all_exercises().items()
    for kind, functions in (
        ("right", {"solution": exercise.solution, **exercise.right}),
        ("wrong", exercise.wrong),
    )
    for which, function in functions.items()
}


class Frames:
    """A function that answers in frames, as a worker does; counts what it was asked."""

    def __init__(self, function):
        self.function = function
        self.asked = 0
        self.read = 0

    def begin(self):
        pass

    def reply(self, question, known):
        self.asked += 1
        outcome = execute(self.function, question.probe, question.args, question.kwargs)
        failure = outcome.failure
        if question.probe in ("flops", "largest_tensor", "operators"):
            return concluded(outcome)
        told = failure and [failure.kind, failure.message, failure.where, failure.untouched]
        text = {"id": "1", "failure": told, "modified": list(outcome.modified)}
        head, body = encode(text, outcome.value)
        reply = received(head, body, "1", known)
        self.read += reply.digest not in known
        return reply


class Lost(Frames):
    """A function whose process is lost at the second call."""

    def reply(self, question, known):
        if self.asked == 1:
            self.asked += 1
            return concluded(Outcome(failure=Failure("ProcessEnded", "it ended.", fatal=True)))
        return super().reply(question, known)


def told(result):
    """A result without the values that are drawn."""
    return [
        (c.name, c.description, c.state, c.message, c.misconception, c.unusable, c.fatal)
        for c in result.checks
    ]


@pytest.fixture
def counted(exercise):
    """The toy exercise, and how often each of its checks ran."""
    runs = dict.fromkeys(exercise.checks, 0)

    def counting(name, check):
        @functools.wraps(check)
        def checked(student):
            runs[name] += 1
            check(student)

        return checked

    checks = {name: counting(name, check) for name, check in exercise.checks.items()}
    return replace(exercise, checks=checks, forbidden=()), runs


@functools.cache
def remembering(name):
    """One memory for all answers to an exercise, as a class makes it."""
    return Dialogues(all_exercises()[name], Outcomes())


@pytest.mark.by_turns
@pytest.mark.parametrize("answer", ANSWERS)
def test_for_every_answer_of_the_course_it_is_what_the_checks_conclude(answer):
    name, function = ANSWERS[answer]
    exercise = all_exercises()[name]
    expected = told(run(exercise, LocalAnswer(function)))
    first, again = Frames(function), Frames(function)
    assert told(remembering(name).run(first)) == expected
    assert told(remembering(name).run(again)) == expected
    assert again.asked == first.asked


def test_what_was_said_before_is_not_read_and_no_check_runs_again(counted):
    exercise, runs = counted
    memory = Dialogues(exercise, Outcomes())
    first = memory.run(Frames(exercise.solution))
    again = Frames(lambda x, *, plus=0.0: 2 * x + plus)
    assert memory.run(again) is first
    assert set(runs.values()) == {1}
    assert (again.asked, again.read) == (3, 0)


def test_where_an_answer_says_something_new_that_check_alone_runs(counted):
    exercise, runs = counted
    memory = Dialogues(exercise, Outcomes())
    memory.run(Frames(exercise.solution))
    result = memory.run(Frames(lambda x, *, plus=0.0: 2 * x + (plus and 1.0)))
    assert [check.state for check in result.checks] == ["passed", "failed", "passed"]
    assert list(runs.values()) == [1, 2, 1]
    nearly = memory.run(Frames(lambda x, *, plus=0.0: 2 * x * (1 + 1e-15) + plus))
    assert nearly.state == "passed"
    assert list(runs.values()) == [2, 3, 2]


def test_after_a_lost_process_nothing_is_asked_and_nothing_of_it_remembered(counted):
    exercise, runs = counted
    memory = Dialogues(exercise, Outcomes())
    for _ in range(2):
        lost = Lost(exercise.solution)
        result = memory.run(lost)
        assert [check.fatal for check in result.checks] == [False, True, True]
        assert lost.asked == 2
    assert list(runs.values()) == [1, 2, 0]
    assert memory.run(Frames(exercise.solution)).state == "passed"


def test_a_lack_of_memory_is_not_remembered(counted):
    exercise, runs = counted

    def greedy(x, *, plus=0.0):
        raise MemoryError

    memory = Dialogues(exercise, Outcomes())
    for _ in range(2):
        assert memory.run(Frames(greedy)).state == "failed"
    assert set(runs.values()) == {2}


@pytest.mark.parametrize("limit", ["MOST", "MOST_NODES", "MOST_RESULTS", "LARGEST_RESULT"])
def test_what_is_not_remembered_is_concluded_all_the_same(counted, monkeypatch, limit):
    monkeypatch.setattr(dialogues, limit, -1)
    exercise, _ = counted
    memory = Dialogues(exercise, Outcomes())
    for function in (exercise.solution, exercise.wrong["squared"]) * 2:
        assert told(memory.run(Frames(function))) == told(run(exercise, LocalAnswer(function)))
    assert (memory._questions == {}) is (limit == "MOST")
    assert (memory._nodes == 0) is (limit in ("MOST", "MOST_NODES"))
    assert (memory._results == {}) is (limit in ("MOST_RESULTS", "LARGEST_RESULT"))


def test_inputs_that_are_too_large_to_be_kept_are_asked_for_anew(exercise):
    memory = Dialogues(exercise, Outcomes())
    large = torch.zeros(2**20)
    first, second = (memory.question(None, (large,), {}) for _ in range(2))
    assert first.key is second.key is None
    assert memory.question(None, (large[:9],), {}) is memory.question(None, (large[:9],), {})
    assert memory.question(None, (large[:9],), {}) is not memory.question("x", (large[:9],), {})


def test_another_secret_has_another_memory_and_another_exercise_of_the_name_too(counted):
    exercise, _ = counted
    memory = Memory(b"secret")
    assert memory.of(exercise) is memory.of(exercise)
    assert memory.of(exercise) is not memory.of(replace(exercise))
    with secret_inputs(b"one"):
        one = Dialogues(exercise, Outcomes())
        assert one.run(Frames(exercise.solution)).state == "passed"
    asked = next(iter(one._questions.values()))
    assert isinstance(asked, Question)
