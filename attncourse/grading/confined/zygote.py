"""The zygote: imports torch once and forks a confined child for every job.

Started by `zygote.Zygote` as ``... SOCKET LEVEL FOLDER``. It stays single-threaded, holds no
secret, runs no line of a submission, and ends all its children when the judge hangs up. Every
wait for a child has an end.
"""

import contextlib
import json
import math
import os
import resource
import shutil
import signal
import socket
import sys
import tempfile
import time
from typing import Any

from attncourse.grading.confined import worker
from attncourse.grading.confined.traces import Traces
from attncourse.grading.confined.warming import warm_up, warm_up_counting
from attncourse.grading.sandbox import entrance, kernel
from attncourse.grading.wire.channel import Channel
from attncourse.grading.wire.frames import LARGEST_ANSWER, LARGEST_REQUEST

DYING = 10.0  # seconds in which a process that was killed is gone

_CHILDREN = "/proc/self/task/{}/children"


class Nursery:
    """The jobs that run, by process id, each with its folder where it has one."""

    def __init__(self, connection: socket.socket, level: str, folder: str, traces: Traces) -> None:
        self.connection = connection
        self.traces = traces
        self.level = level
        self.folder = folder
        self.rules = None if level == "limits" else entrance.rules()
        self.jobs: dict[int, tempfile.TemporaryDirectory[str] | None] = {}
        self.twins: set[int] = set()

    def serve(self) -> None:
        """Obey one order after the other until the judge hangs up."""
        while True:
            message, pipes, _, _ = socket.recv_fds(self.connection, 2**12, 3)
            if not message:
                break
            order = json.loads(message)
            if order["op"] == "twin":
                reply = self.twin(pipes)
            elif order["op"] == "start":
                reply = self.start(order, pipes)
            elif order["op"] == "extend":
                reply = self.extend(order)
            else:
                reply = self.end(order)
            self.connection.send(json.dumps(reply).encode())
        for pid in list(self.jobs):
            self.end({"pid": pid, "patience": 0.0})

    def twin(self, pipes: list[int]) -> dict[str, Any]:
        """Fork one that counts costs, and serves the judge on a connection of its own."""
        pid = os.fork()
        if pid:
            os.close(pipes[0])
            self.twins.add(pid)
            return {}
        kernel.end_with_parent()
        self.connection.close()
        self.connection = socket.socket(fileno=pipes[0])
        self.jobs, self.twins = {}, set()
        try:
            warm_up_counting()
            self.connection.send(b"{}")
            self.serve()
        finally:
            os._exit(0)

    def start(self, order: dict[str, Any], pipes: list[int]) -> dict[str, Any]:
        """Fork a child."""
        folder = None
        if self.level == "limits":
            folder = tempfile.TemporaryDirectory(dir=self.folder, ignore_cleanup_errors=True)
        try:
            pid = os.fork()
        except OSError as error:
            return {"error": f"no process can be started: {error.strerror}"}
        if pid == 0:
            self._live(order, pipes, folder.name if folder else self.folder)
        for descriptor in pipes:
            os.close(descriptor)
        self.jobs[pid] = folder
        return {"pid": pid}

    def extend(self, order: dict[str, Any]) -> dict[str, Any]:
        """Let a child compute for so many seconds from now on; say how many it has used."""
        pid = order["pid"]
        if pid not in self.jobs:
            return {"error": "there is no such job"}
        try:
            used = kernel.processor_time(pid)
            most = resource.prlimit(pid, resource.RLIMIT_CPU)[1]
            seconds = min(math.ceil(used) + order["seconds"], most)
            resource.prlimit(pid, resource.RLIMIT_CPU, (seconds, most))
        except OSError:  # it has ended
            return {"cpu": None}
        return {"cpu": used}

    def end(self, order: dict[str, Any]) -> dict[str, Any]:
        """End a child, what it started, and its folder; say what became of it."""
        pid = order["pid"]
        if pid not in self.jobs:
            return {"error": "there is no such job"}
        ended, status, used = _await(pid, order["patience"])
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
        if not ended:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            ended, status, used = _await(pid, DYING)
        if not ended:
            return {"error": "a process that was killed does not end"}
        folder = self.jobs.pop(pid)
        if self.level == "limits":
            self._sweep()
        if folder is not None:
            folder.cleanup()
        unit = 1 if sys.platform == "darwin" else 1024
        cpu, memory = used.ru_utime + used.ru_stime, used.ru_maxrss * unit
        return {"code": os.waitstatus_to_exitcode(status), "cpu": cpu, "memory": memory}

    def _sweep(self) -> None:
        """Kill what jobs left behind: orphans of any session become children of this process."""
        for _ in range(1000):
            left = _children() - self.jobs.keys() - self.twins
            if not left:
                return
            for pid in left:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            for pid in left:
                with contextlib.suppress(ChildProcessError):
                    _await(pid, DYING)

    def _live(self, order: dict[str, Any], pipes: list[int], folder: str) -> None:
        """The child's whole life."""
        try:
            reading, writing = self._settle(pipes, folder)
            channel = Channel(reading, writing, LARGEST_REQUEST, LARGEST_ANSWER)
            seconds = order["seconds"], order["most"]
            entrance.enter(self.level, self.rules, order["memory"], *seconds)
            worker.serve(channel, self.traces)
            os._exit(0)
        except BaseException:  # the submission broke it, or told it to end
            os._exit(1)

    def _settle(self, pipes: list[int], folder: str) -> tuple[int, int]:
        """Leave the parent: a session, a folder, three pipes, and no other descriptor."""
        os.setsid()
        kernel.end_with_parent()
        reading, writing, prints = pipes
        with open(os.devnull, "rb") as nothing:
            os.dup2(nothing.fileno(), 0)
        os.dup2(prints, 1)
        os.dup2(prints, 2)
        kept = (0, 1, 2, reading, writing)
        entrance.close_all_but((*kept, *(() if self.rules is None else (self.rules,))))
        os.chdir(folder)
        os.environ.update(HOME=folder, TMPDIR=folder, TORCHINDUCTOR_CACHE_DIR=folder)
        tempfile.tempdir = folder  # not looked for: a confined child can write nowhere
        return reading, writing


def main() -> None:
    """Warm up, say so, and serve."""
    descriptor, level, folder = int(sys.argv[1]), *sys.argv[2:4]
    connection = socket.socket(fileno=descriptor)
    sys.argv[1:] = []
    kernel.adopt_orphans()
    if level != "limits":
        kernel.not_readable()
    nursery = Nursery(connection, level, folder, warm_up())
    connection.send(b"{}")
    nursery.serve()
    if level != "bubblewrap":
        shutil.rmtree(folder, ignore_errors=True)  # a judge that was killed cannot


def _await(pid: int, seconds: float) -> tuple[int, int, Any]:
    """As os.wait4, for so long: (0, 0, ...) if the child has not ended by then."""
    deadline = time.monotonic() + seconds
    while True:
        found = os.wait4(pid, os.WNOHANG)
        if found[0] or time.monotonic() >= deadline:
            return found
        time.sleep(0.0002)


def _children() -> set[int]:
    """The process ids of the children."""
    try:
        with open(_CHILDREN.format(os.getpid())) as file:
            return {int(word) for word in file.read().split()}
    except OSError:
        return set()
