"""The zygote as the judge sees it: a process that forks a confined child for every job."""

import atexit
import contextlib
import functools
import json
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from attncourse.grading.judge.launch import Launched
from attncourse.grading.sandbox.levels import Level, choose
from attncourse.grading.wire.protocol import (
    End,
    Ended,
    Extend,
    Extended,
    Look,
    Order,
    Seen,
    Start,
    Started,
    Twin,
)

STARTING = 120.0  # seconds until a fresh zygote must have imported torch
ANSWERING = 30.0  # seconds in which it must answer


class GraderFault(Exception):
    """Something of the grader itself failed: what was asked must be graded again, it is never 0."""


@dataclass(frozen=True)
class Job:
    """A child of a zygote: its process id there, and which start of the zygote it is a child of."""

    pid: int
    generation: int


class Zygote:
    """Starts workers as forks of one process, which imported torch once.

    isolation is "auto" (the strongest level there is), "require" (IsolationError below
    "kernel") or a level's name; `level` is the one in force. The process starts when first
    needed, and again if it was lost. A zygote belongs to the process and thread that made it:
    in a pool, make one in each process. One process may hold several jobs at once.
    """

    def __init__(self, isolation: str = "auto") -> None:
        self.level: Level = choose(isolation)
        self._twins: dict[tuple[str, ...] | None, Zygote] = {}
        self._launched: Launched | None = None
        self._socket: socket.socket | None = None
        self._generation = 0

    def __enter__(self) -> "Zygote":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def counting(self) -> "Zygote":
        """A second one for processes that count costs and never run a line of a submission."""
        return self._twins.setdefault(None, _Twin(self, None))

    def refusing(self, forbidden: Sequence[str]) -> "Zygote":
        """A second one in whose children these functions are refused; where none are, itself."""
        if not forbidden:
            return self
        return self._twins.setdefault(tuple(forbidden), _Twin(self, forbidden))

    def start(self, memory: int, seconds: int, most: int, pipes: tuple[int, int, int]) -> Job:
        """Fork a child that reads, writes and prints to these pipes. Raises GraderFault.

        It may hold so many bytes and use so many seconds of processor time, which `extend`
        extends, up to `most`.
        """
        order = Start(memory, seconds, most)
        try:
            reply = self._ask(order, pipes)
        except GraderFault:  # the zygote was lost meanwhile, by no fault of this job
            self.stop()
            reply = self._ask(order, pipes)
        return Job(Started(**reply).pid, self._generation)

    def end(self, job: Job, patience: float = 0.0) -> Ended:
        """End a child and all it started; say what became of it, and what it used.

        It is killed unless it ends by itself within `patience` seconds. Raises GraderFault.
        """
        return Ended(**self._ask_of(job, End(job.pid, patience), patience))

    def extend(self, job: Job, seconds: int) -> float | None:
        """Let a child use so many more seconds of processor time from now on.

        How many it has used until now; None if it has ended. Raises GraderFault.
        """
        return Extended(**self._ask_of(job, Extend(job.pid, seconds))).cpu

    def look(self, job: Job) -> Seen:
        """What a child has done until now. Raises GraderFault."""
        return Seen(**self._ask_of(job, Look(job.pid)))

    def stop(self) -> None:
        """End the process and every child that is left."""
        for twin in self._twins.values():
            twin.stop()
        if self._socket is not None:
            self._socket.close()
        if self._launched is not None:
            self._launched.end()
        self._socket = self._launched = None

    def _ask_of(self, job: Job, order: Order, patience: float = 0.0) -> Any:
        """Send an order about a child. Raises GraderFault."""
        if job.generation != self._generation or self._socket is None:
            raise GraderFault("the process that workers are started from was lost")
        return self._ask(order, patience=patience)

    def _ask(self, order: Order, pipes: tuple[int, ...] = (), patience: float = 0.0) -> Any:
        """Send an order and wait for the reply. Raises GraderFault."""
        connection = self._connected()
        try:
            connection.settimeout(ANSWERING + patience)
            socket.send_fds(connection, [json.dumps(order.written()).encode() + b"\n"], pipes)
            reply = json.loads(connection.recv(2**16))
        except (OSError, ValueError) as error:
            self.stop()
            raise GraderFault(f"no worker can be started: {type(error).__name__}") from None
        if "error" in reply:
            raise GraderFault(f"no worker can be started: {reply['error']}")
        return reply

    def _connected(self) -> socket.socket:
        """The connection to the process, which is started unless it runs."""
        if self._socket is None:
            ours, theirs = socket.socketpair()
            with theirs:
                self._launched = Launched(self.level, theirs)
            return self._await(ours)
        return self._socket

    def _await(self, connection: socket.socket) -> socket.socket:
        """The connection, after the process has said that it is ready. Raises GraderFault."""
        self._socket = connection
        self._generation += 1
        connection.settimeout(STARTING)
        with contextlib.suppress(OSError):
            if connection.recv(2**16):
                return connection
        last = self._launched.last_words() if self._launched else "it ended without a word"
        self.stop()
        raise GraderFault(f"the process that workers are started from cannot run: {last}")


class _Twin(Zygote):
    """A fork of a zygote's process, so that PyTorch is imported once for both."""

    def __init__(self, first: Zygote, forbidden: Sequence[str] | None) -> None:
        super().__init__(first.level)
        self._first = first
        self._order = Twin(forbidden)

    def _connected(self) -> socket.socket:
        if self._socket is None:
            ours, theirs = socket.socketpair()
            with theirs:
                self._first._ask(self._order, (theirs.fileno(),))
            return self._await(ours)
        return self._socket


@functools.cache
def own_zygote(isolation: str) -> Zygote:
    """What starts the workers of this process."""
    made = Zygote(isolation)
    atexit.register(made.stop)
    return made
