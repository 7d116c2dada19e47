"""Handing submissions to processes and collecting what comes back.

A scheduler takes tasks and yields what came of each, in any order. `processes` is the one for
one machine, `cluster.Cluster` the one for several.
"""

import contextlib
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from multiprocessing import connection
from typing import Any

import torch

from attncourse.core.errors import CourseError
from attncourse.grading.classroom import preload
from attncourse.grading.classroom.task import Graded, Task, grade_submission, lost
from attncourse.grading.judge.allowance import Limits, waiting
from attncourse.grading.sandbox.levels import confirm

Scheduler = Callable[[Iterable[Task]], Iterator[Graded]]

TRIES = 2  # how often a submission is given to a process that is then lost


class ClusterError(CourseError):
    """A cluster cannot grade this class; the message is one sentence."""


def run(tasks: Iterable[Task], scheduler: Scheduler, alone: Scheduler) -> Iterator[Graded]:
    """Grade all; what was stopped for the time that passed is repeated once, alone, at the end."""
    stalled: list[tuple[Task, Graded]] = []
    given: dict[str, Task] = {}

    def remembered() -> Iterator[Task]:
        for task in tasks:
            given[task.job] = task
            yield task

    for graded in scheduler(remembered()):
        task = given.pop(graded.job)
        if graded.stalled:
            stalled.append((task, graded))
        else:
            yield graded
    before = {graded.job: graded for _, graded in stalled}
    for second in alone(replace(task, only=graded.stalled) for task, graded in stalled):
        first = before[second.job]
        kept = (r for r in first.exercises if r["exercise"] not in first.stalled)
        end = second.closing if second.closing["fault"] else first.closing
        seconds = first.seconds + second.seconds
        yield Graded(second.job, (*kept, *second.exercises), end, seconds)


def here(tasks: Iterable[Task]) -> Iterator[Graded]:
    """One after the other in this process."""
    return map(grade_submission, tasks)


def one_by_one(scheduler: Scheduler) -> Scheduler:
    """The same scheduler, given no task before the last one is done."""

    def schedule(tasks: Iterable[Task]) -> Iterator[Graded]:
        for task in tasks:
            yield from scheduler([task])

    return schedule


def processes(jobs: int) -> Scheduler:
    """A scheduler over this many processes, each with a zygote of its own."""

    def schedule(tasks: Iterable[Task]) -> Iterator[Graded]:
        pool = _Pool(jobs)
        try:
            yield from pool.run(iter(tasks))
        finally:
            pool.stop()

    return schedule


@dataclass
class _Judge:
    """One process and what it is at work on."""

    process: Any
    pipe: Any
    task: Task | None = None
    deadline: float = 0.0


class _Pool:
    """Processes that judge. One that is lost costs its submission a second try, and no other."""

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs
        self.judges: list[_Judge] = []
        self.losses: dict[str, int] = {}

    def run(self, tasks: Iterator[Task]) -> Iterator[Graded]:
        """Grade all tasks; what each gave, as it comes."""
        again: list[Task] = []
        while True:
            self._hand_out(tasks, again)
            busy = [judge for judge in self.judges if judge.task]
            if not busy:
                return
            left = max(0.0, min(judge.deadline for judge in busy) - time.monotonic())
            ready = connection.wait([judge.pipe for judge in busy], left)
            for judge in busy:
                if judge.pipe in ready:
                    yield from self._collect(judge, again)
                elif time.monotonic() > judge.deadline:
                    yield from self._lose(judge, again, "the grader did not answer in time")

    def stop(self) -> None:
        """End all processes: those at work at once, the others when they have read so."""
        for judge in self.judges:
            if judge.task is not None:
                judge.process.kill()
            with contextlib.suppress(OSError):
                judge.pipe.send(None)
            judge.pipe.close()
        for judge in self.judges:
            judge.process.join(timeout=10.0)
            if judge.process.is_alive():
                judge.process.kill()
                judge.process.join()
        self.judges.clear()

    def _hand_out(self, tasks: Iterator[Task], again: list[Task]) -> None:
        """Give every idle judge a task; start judges while there are tasks for them."""
        while True:
            idle = next((judge for judge in self.judges if judge.task is None), None)
            if idle is None and len(self.judges) >= self.jobs:
                return
            task = again.pop() if again else next(tasks, None)
            if task is None:
                return
            judge = idle or self._start()
            judge.task = task
            judge.deadline = time.monotonic() + patience(task.limits)
            with contextlib.suppress(OSError):  # a judge that is gone is found when collected
                judge.pipe.send(task)

    def _start(self) -> _Judge:
        context = preload.context()
        ours, theirs = context.Pipe()
        process = context.Process(target=_judge, args=(theirs,), daemon=True)
        process.start()
        theirs.close()
        self.judges.append(_Judge(process, ours))
        return self.judges[-1]

    def _collect(self, judge: _Judge, again: list[Task]) -> Iterator[Graded]:
        try:
            graded = judge.pipe.recv()
        except (EOFError, OSError):
            yield from self._lose(judge, again, "the grader's process was lost")
            return
        judge.task = None
        yield graded

    def _lose(self, judge: _Judge, again: list[Task], reason: str) -> Iterator[Graded]:
        """End a judge; its task is tried once more, and then needs to be graded again."""
        task = judge.task
        self.judges.remove(judge)
        judge.pipe.close()
        judge.process.kill()
        judge.process.join()
        if task is None:
            return
        self.losses[task.job] = self.losses.get(task.job, 0) + 1
        if self.losses[task.job] < TRIES:
            again.append(task)
        else:
            yield lost(task, reason)


def patience(limits: Limits) -> float:
    """Seconds after which a judge is thought to hang: far more than a submission may take."""
    return 2 * waiting(limits.budget) + 120


def _judge(pipe: Any) -> None:
    """A process that grades what it is given until its parent hangs up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's
    torch.set_num_threads(1)
    with contextlib.suppress(EOFError, OSError):
        while (task := pipe.recv()) is not None:
            confirm(task.level)
            pipe.send(grade_submission(task))
