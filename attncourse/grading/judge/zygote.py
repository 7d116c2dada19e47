"""The zygote as the judge sees it: a process that forks a confined child for every job."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Any

from attncourse.grading.sandbox import mounts
from attncourse.grading.sandbox.levels import Level, choose

STARTING = 120.0  # seconds until a fresh zygote must have imported torch
ANSWERING = 30.0  # seconds in which it must answer
ENDING = 5.0  # seconds in which it ends by itself, and in which it is gone when it was killed

_FOLDER = "/tmp/job"  # where there are namespaces
_RUN = "from attncourse.grading.confined.zygote import main; main()"


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
        self._twin: Zygote | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._words: IO[bytes] | None = None
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
        if self._twin is None:
            self._twin = _Twin(self)
        return self._twin

    def start(self, memory: int, seconds: int, most: int, pipes: tuple[int, int, int]) -> Job:
        """Fork a child that reads, writes and prints to these pipes. Raises GraderFault.

        It may hold so many bytes and use so many seconds of processor time, which `extend`
        extends, up to `most`.
        """
        order = {"op": "start", "memory": memory, "seconds": seconds, "most": most}
        try:
            reply = self._ask(order, pipes)
        except GraderFault:  # the zygote was lost meanwhile, by no fault of this job
            self.stop()
            reply = self._ask(order, pipes)
        return Job(reply["pid"], self._generation)

    def end(self, job: Job, patience: float = 0.0) -> tuple[int, float, int]:
        """End a child and all it started: its exit code, seconds of processor time, bytes.

        It is killed unless it ends by itself within `patience` seconds. Raises GraderFault.
        """
        reply = self._ask_of(job, {"op": "end", "patience": patience})
        return reply["code"], reply["cpu"], reply["memory"]

    def extend(self, job: Job, seconds: int) -> float | None:
        """Let a child use so many more seconds of processor time from now on.

        How many it has used until now; None if it has ended. Raises GraderFault.
        """
        used: float | None = self._ask_of(job, {"op": "extend", "seconds": seconds})["cpu"]
        return used

    def stop(self) -> None:
        """End the process and every child that is left."""
        if self._twin is not None:
            self._twin.stop()
        if self._socket is not None:
            self._socket.close()
        if self._process is not None:
            self._end(self._process, ENDING)
        if self._folder is not None:
            self._folder.cleanup()
        if self._words is not None:
            self._words.close()
        self._socket = self._process = self._folder = self._words = None

    def _end(self, process: subprocess.Popen[bytes], patience: float) -> None:
        """Let it end its children and itself, as it does when the judge hangs up; or kill it."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=patience)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=ENDING)

    def _ask_of(self, job: Job, order: dict[str, Any]) -> Any:
        """Send an order about a child. Raises GraderFault."""
        if job.generation != self._generation or self._socket is None:
            raise GraderFault("the process that workers are started from was lost")
        return self._ask(order | {"pid": job.pid})

    def _ask(self, order: dict[str, Any], pipes: tuple[int, ...] = ()) -> Any:
        """Send an order and wait for the reply. Raises GraderFault."""
        connection = self._connected()
        try:
            connection.settimeout(ANSWERING + order.get("patience", 0.0))
            socket.send_fds(connection, [json.dumps(order).encode() + b"\n"], pipes)
            reply = json.loads(connection.recv(2**16))
        except (OSError, ValueError) as error:
            self.stop()
            raise GraderFault(f"no worker can be started: {type(error).__name__}") from None
        if "error" in reply:
            raise GraderFault(f"no worker can be started: {reply['error']}")
        return reply

    def _connected(self) -> socket.socket:
        """The connection to the process, which is started unless it runs."""
        if self._socket is not None:
            return self._socket
        ours, theirs = socket.socketpair()
        if self.level != "bubblewrap":
            self._folder = tempfile.TemporaryDirectory(
                prefix="attncourse-", ignore_cleanup_errors=True
            )
        command, folder = self._command(theirs.fileno())
        # a file, since a pipe would have to be read all the time
        self._words = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            command,
            env=_environment(folder),
            cwd="/",
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._words,
            start_new_session=True,
        )
        theirs.close()
        self._socket = ours
        self._generation += 1
        self._await(ours)
        return ours

    def _await(self, connection: socket.socket) -> None:
        """Wait until it says that it is ready. Raises GraderFault, with its last words."""
        connection.settimeout(STARTING)
        with contextlib.suppress(OSError):
            if connection.recv(2**16):
                return
        words = ""
        if self._process is not None and self._words is not None:
            self._end(self._process, 1.0)
            self._words.seek(0)
            words = self._words.read(2**20).decode(errors="replace").strip()
        self.stop()
        last = words.splitlines()[-1][:200] if words else "it ended without a word"
        raise GraderFault(f"the process that workers are started from cannot run: {last}")

    def _command(self, descriptor: int) -> tuple[list[str], str]:
        """The command that starts the process, and the folder of its jobs."""
        parent = str(mounts.PACKAGE.parent)
        program = f"import sys; sys.path.append({parent!r}); {_RUN}"
        folder = self._folder.name if self._folder is not None else _FOLDER
        python = [sys.executable, "-s", "-P", "-B", "-c", program]
        python += [str(descriptor), self.level, folder]
        bwrap = shutil.which("bwrap") if self.level == "bubblewrap" else None
        return [*(mounts.bubblewrap(bwrap, folder) if bwrap else []), *python], folder


class _Twin(Zygote):
    """A fork of a zygote's process, so that PyTorch is imported once for both."""

    def __init__(self, first: Zygote) -> None:
        super().__init__(first.level)
        self._first = first

    def _connected(self) -> socket.socket:
        if self._socket is None:
            self._socket, theirs = socket.socketpair()
            with theirs:
                self._first._ask({"op": "twin"}, (theirs.fileno(),))
            self._generation += 1
            self._await(self._socket)
        return self._socket


def _environment(folder: str) -> dict[str, str]:
    """A clean environment: nothing of the teacher's, one thread, the same hashes each time."""
    kept = {name: os.environ[name] for name in ("LANG", "LC_ALL") if name in os.environ}
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    python = {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1", "PYTHONHASHSEED": "0"}
    folders = dict.fromkeys(("HOME", "TMPDIR", "TORCHINDUCTOR_CACHE_DIR"), folder)
    return kept | threads | python | folders | {"PATH": os.defpath}
