"""The zygote: imports torch once and forks a confined child for every job.

Started by `zygote.Zygote` as ``... SOCKET LEVEL FOLDER KIND``. It stays single-threaded, holds no
secret, runs no line of a submission, and ends all its children when the judge hangs up.
"""

import contextlib
import gc
import json
import os
import random
import shutil
import signal
import socket
import sys
import tempfile
import time
from typing import Any

import torch

from attncourse.course import parsing
from attncourse.course.execution import execute
from attncourse.course.forbidden import refused
from attncourse.course.grading import replay, worker
from attncourse.course.grading.channel import LARGEST_ANSWER, LARGEST_REQUEST, Channel
from attncourse.course.grading.sandbox import entrance, kernel
from attncourse.measure import cost

# a notebook without cells, to have every version's schema read before nothing can be
_EMPTY = '{"nbformat": %s, "metadata": {}, "cells": [], "worksheets": []}'

_CHILDREN = "/proc/self/task/{}/children"


class Nursery:
    """The jobs that run, by process id, each with its folder where it has one."""

    def __init__(self, connection: socket.socket, level: str, folder: str) -> None:
        self.connection = connection
        self.level = level
        self.folder = folder
        self.rules = None if level == "limits" else entrance.rules()
        self.jobs: dict[int, tempfile.TemporaryDirectory[str] | None] = {}

    def serve(self) -> None:
        """Obey one order after the other until the judge hangs up."""
        while True:
            message, pipes, _, _ = socket.recv_fds(self.connection, 2**12, 3)
            if not message:
                break
            order = json.loads(message)
            reply = self.start(order, pipes) if order["op"] == "start" else self.end(order)
            self.connection.send(json.dumps(reply).encode())
        for pid in list(self.jobs):
            self.end({"pid": pid, "patience": 0.0})

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

    def end(self, order: dict[str, Any]) -> dict[str, Any]:
        """End a child, what it started, and its folder; say what became of it."""
        pid, deadline = order["pid"], time.monotonic() + order["patience"]
        if pid not in self.jobs:
            return {"error": "there is no such job"}
        ended, status, used = os.wait4(pid, os.WNOHANG)
        while not ended and time.monotonic() < deadline:
            time.sleep(0.001)
            ended, status, used = os.wait4(pid, os.WNOHANG)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
        if not ended:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            _, status, used = os.wait4(pid, 0)
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
            left = _children() - self.jobs.keys()
            if not left:
                return
            for pid in left:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            for pid in left:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, 0)

    def _live(self, order: dict[str, Any], pipes: list[int], folder: str) -> None:
        """The child's whole life."""
        try:
            reading, writing = self._settle(pipes, folder)
            entrance.enter(self.level, self.rules, order["memory"], order["seconds"])
            worker.serve(Channel(reading, writing, LARGEST_REQUEST, LARGEST_ANSWER))
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
    descriptor, level, folder, kind = int(sys.argv[1]), *sys.argv[2:5]
    connection = socket.socket(fileno=descriptor)
    sys.argv[1:] = []
    kernel.adopt_orphans()
    if level != "limits":
        kernel.not_readable()
    _warm_up(kind == "counting")
    nursery = Nursery(connection, level, folder)
    connection.send(b"{}")
    nursery.serve()
    if level != "bubblewrap":
        shutil.rmtree(folder, ignore_errors=True)  # a judge that was killed cannot


def _warm_up(counting: bool) -> None:
    """Do once what every child would have to do, and stay on one thread."""
    torch.set_num_threads(1)
    random.seed(0)
    for mode in (replay._Recorder, cost._Watch):
        replay.light(mode)
    probes: tuple[str | None, ...] = (None, "gradients", "largest_tensor")
    if counting:  # a third more memory to be copied with every child
        from torch.utils import flop_counter

        replay.light(flop_counter._FlopCounterMode)
        probes = (*probes, "flops")
    for probe in probes:
        outcome = execute(lambda a: (a @ a).softmax(-1), probe, (torch.ones(2, 2),), {})
        if outcome.failure:
            raise RuntimeError(outcome.failure.message)
    with refused(("softmax",)):  # has the tables of operators made
        pass
    for version in ('3, "nbformat_minor": 0', *(f'4, "nbformat_minor": {n}' for n in range(6))):
        parsing.parse(_EMPTY % version, "empty.ipynb")
    worker.prepare()
    gc.collect()
    gc.freeze()


def _children() -> set[int]:
    """The process ids of the children."""
    try:
        with open(_CHILDREN.format(os.getpid())) as file:
            return {int(word) for word in file.read().split()}
    except OSError:
        return set()
