"""The zygote: imports torch once and forks a confined child for every job.

Started by `judge.launch` as ``... SOCKET LEVEL FOLDER``. It stays single-threaded, holds no
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
from typing import Any, assert_never, get_args

from attncourse.grading.confined.child import live
from attncourse.grading.confined.traces import Traces
from attncourse.grading.confined.warming import refuse, warm_up, warm_up_counting
from attncourse.grading.sandbox import entrance, kernel
from attncourse.grading.wire import protocol
from attncourse.grading.wire.protocol import (
    Ended,
    Extended,
    Failed,
    Ready,
    Seen,
    Started,
    ZygoteOrder,
    ZygoteReply,
)

DYING = 10.0  # seconds in which a process that was killed is gone

_CHILDREN = "/proc/self/task/{}/children"


class Zygote:
    """The jobs that run, by process id, each with its folder where it has one."""

    def __init__(self, connection: socket.socket, level: str, folder: str, traces: Traces) -> None:
        self.connection = connection
        self.traces = traces
        self.level = level
        self.folder = folder
        self.rules = None if level == "limits" else entrance.rules()
        self.jobs: dict[int, tempfile.TemporaryDirectory[str] | None] = {}
        self.twins: set[int] = set()
        self.refusing = False  # are functions forbidden in its children?

    def serve(self) -> None:
        """Obey one order after the other until the judge hangs up."""
        while True:
            message, descriptors, _, _ = socket.recv_fds(self.connection, 2**12, 3)
            if not message:
                break
            order: ZygoteOrder = protocol.read(json.loads(message), get_args(ZygoteOrder))
            self._reply(self._obey(order, descriptors))
        for pid in list(self.jobs):
            self._end(protocol.End(pid, patience=0.0))

    def ready(self) -> None:
        """Say that orders can come."""
        self._reply(Ready())

    def _reply(self, reply: ZygoteReply) -> None:
        self.connection.send(json.dumps(vars(reply)).encode())

    def _obey(self, order: ZygoteOrder, descriptors: list[int]) -> ZygoteReply:
        """The reply to an order, with which descriptors may have come."""
        match order:
            case protocol.Start():
                return self._start(order, descriptors)
            case protocol.Extend():
                return self._extend(order)
            case protocol.Look():
                return self._look(order)
            case protocol.End():
                return self._end(order)
            case protocol.Twin():
                return self._twin(order, *descriptors)
            case _:
                assert_never(order)

    def _twin(self, order: protocol.Twin, connection: int) -> Ready:
        """Fork one that serves the judge on a connection of its own."""
        pid = os.fork()
        if pid:
            os.close(connection)
            self.twins.add(pid)
            return Ready()
        kernel.end_with_parent()
        kernel.adopt_orphans()
        self.connection.close()
        self.connection = socket.socket(fileno=connection)
        self.jobs, self.twins = {}, set()
        try:
            if order.forbidden is None:
                warm_up_counting()
            else:
                refuse(order.forbidden, self.traces)
                self.refusing = True
            self.ready()
            self.serve()
        finally:
            os._exit(0)

    def _start(self, order: protocol.Start, pipes: list[int]) -> Started | Failed:
        """Fork a child."""
        folder = None
        if self.level == "limits":
            folder = tempfile.TemporaryDirectory(dir=self.folder, ignore_cleanup_errors=True)
        try:
            pid = os.fork()
        except OSError as error:
            return Failed(f"no process can be started: {error.strerror}")
        if pid == 0:
            place = folder.name if folder else self.folder
            live(order, pipes, place, (self.level, self.rules), self.traces, self.refusing)
        for descriptor in pipes:
            os.close(descriptor)
        self.jobs[pid] = folder
        return Started(pid)

    def _extend(self, order: protocol.Extend) -> Extended | Failed:
        """Let a child compute for so many seconds from now on; say how many it has used."""
        pid = order.pid
        if pid not in self.jobs:
            return Failed("there is no such job")
        try:
            used = kernel.processor_time(pid)
            most = resource.prlimit(pid, resource.RLIMIT_CPU)[1]
            seconds = min(math.ceil(used) + order.seconds, most)
            resource.prlimit(pid, resource.RLIMIT_CPU, (seconds, most))
        except OSError:  # it has ended
            return Extended(None)
        return Extended(used)

    def _look(self, order: protocol.Look) -> Seen:
        """See what a child has done."""
        if order.pid in self.jobs and kernel.tells_sleep():
            with contextlib.suppress(OSError):  # it has ended
                return Seen(kernel.processor_time(order.pid), kernel.busy(order.pid))
        return Seen()

    def _end(self, order: protocol.End) -> Ended | Failed:
        """End a child, what it started, and its folder; say what became of it."""
        pid = order.pid
        if pid not in self.jobs:
            return Failed("there is no such job")
        ended, status, used = _await(pid, order.patience)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
        if not ended:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            ended, status, used = _await(pid, DYING)
        if not ended:
            return Failed("a process that was killed does not end")
        folder = self.jobs.pop(pid)
        if self.level == "limits":
            self._sweep()
        if folder is not None:
            folder.cleanup()
        return Ended(os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime)

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


def main() -> None:
    """Warm up, say so, and serve."""
    descriptor, level, folder = int(sys.argv[1]), *sys.argv[2:4]
    connection = socket.socket(fileno=descriptor)
    sys.argv[1:] = []
    kernel.adopt_orphans()
    if level != "limits":
        kernel.not_readable()
    zygote = Zygote(connection, level, folder, warm_up())
    zygote.ready()
    zygote.serve()
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
