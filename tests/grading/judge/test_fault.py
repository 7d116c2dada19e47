"""A check that breaks is the grader's fault: there is no result, and so no mark."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from attncourse.course.checking import CheckResult, Result
from attncourse.grading.judge import judging
from attncourse.grading.judge.submission import Submission
from attncourse.grading.judge.worker import Worker
from attncourse.grading.judge.zygote import GraderFault


class Idle(Worker):
    """A worker that is not asked."""

    def __init__(self):
        self.limits = SimpleNamespace(of=lambda exercise: 1.0)
        self.doubtful = False

    shared = False

    def has(self, function):
        return True

    def begin(self, *given, **more):
        pass


def test_a_fault_in_a_check_is_never_the_learners(exercise, monkeypatch):
    monkeypatch.setattr(judging, "written_into", lambda *given: frozenset())
    broken = CheckResult("it", "it", "skipped", "the grader could not compare it.", fault=True)
    passed = CheckResult("other", "other", "passed")
    worker = Idle()
    submission = Submission(Path("a.py"), defined=frozenset({exercise.name}))

    def grade(*checks):
        result = Result(exercise.name, checks)
        return judging.grade(submission, worker, exercise, run=lambda *given: result)

    assert grade(passed).state == "passed"
    with pytest.raises(GraderFault, match="could not compare"):
        grade(passed, broken)
