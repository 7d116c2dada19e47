"""Handing submissions to a Dask cluster: the scheduler of `schedule`, on other machines.

A worker grades as a process of this machine does, with a zygote of its own; its records are the
same, so that the results do not tell where they were made. A worker that could make others is
refused.
"""

import contextlib
import time
import uuid
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any

import torch
from distributed import Client, Future, KilledWorker, WorkerPlugin, as_completed, get_worker

from attncourse.grading.classroom import task as grading
from attncourse.grading.classroom.manifest import manifest
from attncourse.grading.classroom.schedule import ClusterError, patience
from attncourse.grading.classroom.task import Graded, Task, lost
from attncourse.grading.judge.allowance import Limits
from attncourse.grading.judge.zygote import own_zygote
from attncourse.grading.sandbox import IsolationError, choose
from attncourse.grading.wire.frames import plain_text

AHEAD = 3  # submissions given to a worker at a time, so that it never waits for the next
RETRIES = 3
CONNECTING = 30.0  # seconds for a scheduler to answer, and for a first worker to be there


class RefusedError(ClusterError):
    """A worker would not grade as this machine does; the message is one sentence."""


class Cluster:
    """A scheduler over the workers of the cluster at `address`. Raises ClusterError.

    A lost worker costs its submissions another try elsewhere. What four workers were lost at, or
    what all that are left hang at, needs to be graded again.
    """

    def __init__(self, address: str, level: str, limits: Limits) -> None:
        if level == "limits":
            raise ClusterError(
                "a cluster must confine submissions (bubblewrap or kernel): one that is not "
                "confined could give orders to the cluster itself"
            )
        self._plugin = Grading(level, limits)
        try:
            self._client = Client(address, timeout=CONNECTING, set_as_default=False)
        except (OSError, ValueError, TypeError) as error:
            raise ClusterError(
                f"there is no Dask scheduler at {address}: {_first(error)}"
            ) from None

    def __enter__(self) -> "Cluster":
        try:
            self._client.wait_for_workers(1, timeout=CONNECTING)
            self._client.register_plugin(self._plugin)
        except TimeoutError:
            self._client.close()
            raise ClusterError("the Dask scheduler must have a worker: it has none") from None
        except ModuleNotFoundError as error:
            self._client.close()
            raise ClusterError(f"a worker of the cluster lacks {error.name}") from None
        except RefusedError:
            self._client.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with contextlib.suppress(OSError, TimeoutError):
            self._client.unregister_worker_plugin(self._plugin.name)
        self._client.close()

    def __call__(self, tasks: Iterable[Task]) -> Iterator[Graded]:
        """Grade all tasks; what each gave, as it comes, once."""
        waiting, given = iter(tasks), dict[Future, Task]()
        done, silent = as_completed(loop=self._client.loop), False
        while True:
            self._hand_out(waiting, given, done)
            if not given:
                return
            if self._answers(done):
                silent = False
                future = next(done)
                yield _result(future, given.pop(future))
            elif silent:
                raise ClusterError(
                    "the cluster does not answer: see to its workers, then give the same command "
                    "again"
                )
            else:
                done, silent = as_completed(loop=self._client.loop), True
                self._client.cancel(list(given), force=True)
                yield from (
                    lost(task, "the cluster did not answer in time") for task in given.values()
                )
                given.clear()

    def _answers(self, done: Any) -> bool:
        """Has one of those that were given come back, or does it within the longest time?"""
        deadline = time.monotonic() + patience(self._plugin.limits)
        while not done.has_ready() and time.monotonic() < deadline:
            time.sleep(0.01)
        return bool(done.has_ready())

    def _hand_out(self, tasks: Iterator[Task], given: dict[Future, Task], done: Any) -> None:
        """Give the workers so many tasks that none waits for the next."""
        room = AHEAD * max(1, len(self._client.nthreads()))
        while len(given) < room and (task := next(tasks, None)) is not None:
            key = f"attncourse-{uuid.uuid4().hex}"
            name = self._plugin.name
            future = self._client.submit(grade, task, name, key=key, pure=False, retries=RETRIES)
            given[future] = task
            done.add(future)


class Grading(WorkerPlugin):
    """What a worker has while a class is graded: the right to, and a zygote that ends with it."""

    def __init__(self, level: str, limits: Limits) -> None:
        self.name = f"attncourse-{uuid.uuid4().hex}"
        self.level = level
        self.limits = limits
        self.conditions = manifest(level, limits)
        self.refusal = ""

    def setup(self, worker: Any) -> None:
        """See that the worker grades as the teacher's machine does. Raises RefusedError."""
        self.refusal = self._refusal(worker)
        if self.refusal:
            raise RefusedError(self.refusal)

    def teardown(self, worker: Any) -> None:
        """End what starts submissions; the next class starts it anew."""
        own_zygote(self.level).stop()

    def _refusal(self, worker: Any) -> str:
        """Why this worker may not grade; empty if it may."""
        where = f"the worker at {worker.address}"
        if worker.state.nthreads != 1:
            told = f"{worker.state.nthreads} (start it with --nthreads 1, and more --nworkers)"
            return f"{where} must have one thread: it has {told}"
        try:
            choose(self.level)
        except IsolationError as error:
            return f"{where} must confine submissions as this machine does: {error}"
        theirs = manifest(self.level, self.limits)
        for name, mine in self.conditions.items():
            if theirs.get(name) != mine:
                same = "code of the course" if name == "code" else name
                told = f"{_short(mine)}: got {_short(theirs.get(name))}"
                return f"{where} must have the same {same} as this machine, {told}"
        return ""


def grade(task: Task, plugin: str) -> Graded:
    """Grade one submission on a worker. Raises RefusedError on one that joined and may not."""
    admitted = get_worker().plugins[plugin]
    if isinstance(admitted, Grading) and admitted.refusal:
        raise RefusedError(admitted.refusal)
    torch.set_num_threads(1)
    return grading.grade_submission(task)


def _result(future: Future, task: Task) -> Graded:
    """What came of a task. Raises ClusterError where nothing more can come."""
    try:
        return future.result()
    except KilledWorker:
        return lost(task, "every worker that it was given to was lost")
    except RefusedError:
        raise
    except Exception as error:
        if future.cancelled():
            told = "the cluster was lost: give the same command again when it is back"
            raise ClusterError(told) from None
        return lost(task, plain_text(f"{type(error).__name__}: {_first(error)}", 300))


def _short(value: Any) -> str:
    return str(value)[:16]


def _first(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
