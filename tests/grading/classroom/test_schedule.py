"""Processes that judge: a lost one costs a second try, what stalled is repeated alone."""

import os
import signal
import time

import pytest
from made_class import SOFTMAX

from attncourse.grading.classroom import schedule
from attncourse.grading.classroom.task import Graded, Task
from attncourse.grading.judge.allowance import Limits


def made(job, text=SOFTMAX, level="limits", **changes):
    told = {"student": job, "number": "", "file": f"{job}.py", "content": text.encode()}
    return Task(job=job, limits=Limits(seconds=2.0), level=level, **told | changes)


def result(job, *exercises, state="passed", stalled=()):
    records = [{"exercise": name, "state": state} for name in exercises]
    closing = {"fault": "", "exercises": exercises}
    return Graded(job, tuple(records), closing, 1.0, tuple(stalled))


def test_two_processes_grade_what_one_does():
    tasks = [made(f"s{i}") for i in range(2)]
    found = sorted(schedule.processes(2)(tasks), key=lambda graded: graded.job)
    assert [graded.job for graded in found] == ["s0", "s1"]
    assert {graded.exercises[0]["state"] for graded in found} == {"passed"}
    assert found[0].records == schedule.grade_submission(tasks[0]).records


def dying(pipe):
    """A judge that dies of one submission, and hangs at another."""
    while (task := pipe.recv()) is not None:
        if task.job == "poison":
            os.kill(os.getpid(), signal.SIGKILL)
        if task.job == "sleep":
            time.sleep(60)
        if task.job == "once" and not os.path.exists(task.file):
            open(task.file, "w").close()
            os._exit(1)
        pipe.send(result(task.job, "softmax"))


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(schedule, "_judge", dying)
    monkeypatch.setattr(schedule, "patience", lambda limits: 1.0)
    monkeypatch.setattr(schedule.preload, "context", schedule_context)


def schedule_context():
    from multiprocessing import get_context

    return get_context("fork")


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.usefixtures("quick")
def test_a_lost_judge_costs_its_submission_a_second_try_and_no_other(tmp_path):
    tasks = [made("a"), made("poison"), made("once", file=str(tmp_path / "x")), made("sleep")]
    found = {graded.job: graded for graded in schedule.processes(2)([*tasks, made("b")])}
    assert found.keys() == {"a", "poison", "once", "sleep", "b"}
    assert [found[job].closing["fault"] for job in ("a", "once", "b")] == [""] * 3
    assert found["poison"].closing["fault"] == "the grader's process was lost"
    assert found["sleep"].closing["fault"] == "the grader did not answer in time"


def test_what_stalled_is_repeated_once_alone_and_the_rest_is_kept():
    asked = []

    def first(tasks):
        for task in tasks:
            stalled = ("b",) if task.job == "s1" else ()
            yield result(task.job, "a", "b", state="first", stalled=stalled)

    def alone(tasks):
        for task in tasks:
            asked.append((task.job, task.only))
            yield result(task.job, *task.only, state="second", stalled=task.only)

    found = {g.job: g for g in schedule.run([made("s1"), made("s2")], first, alone)}
    assert asked == [("s1", ("b",))]
    states = [(r["exercise"], r["state"]) for r in found["s1"].exercises]
    assert states == [("a", "first"), ("b", "second")]
    assert found["s1"].closing["exercises"] == ("a", "b")
    assert found["s1"].seconds == 2.0
