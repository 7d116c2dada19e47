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
from typing import Any

from attncourse.course.grading.sandbox import mounts
from attncourse.course.grading.sandbox.levels import Level, choose

STARTING = 120.0  # seconds until a fresh zygote must have imported torch
ANSWERING = 30.0  # seconds in which it must answer

_FOLDER = "/tmp/job"  # where there are namespaces
_RUN = "from attncourse.course.grading.nursery import main; main()"


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

    def __init__(self, isolation: str = "auto", *, counting: bool = False) -> None:
        self.level: Level = choose(isolation)
        self._kind = "counting" if counting else "submissions"
        self._counting: Zygote | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
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
        if self._counting is None:
            self._counting = Zygote(self.level, counting=True)
        return self._counting

    def start(self, memory: int, seconds: int, pipes: tuple[int, int, int]) -> Job:
        """Fork a child that reads, writes and prints to these pipes. Raises GraderFault."""
        order = {"op": "start", "memory": memory, "seconds": seconds}
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
        if job.generation != self._generation or self._process is None:
            raise GraderFault("the process that workers are started from was lost")
        reply = self._ask({"op": "end", "pid": job.pid, "patience": patience})
        return reply["code"], reply["cpu"], reply["memory"]

    def stop(self) -> None:
        """End the process and every child that is left."""
        if self._counting is not None:
            self._counting.stop()
        if self._socket is not None:
            self._socket.close()
        if self._process is not None:
            self._end(self._process)
        if self._folder is not None:
            self._folder.cleanup()
        self._socket = self._process = self._folder = None

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        """Let it end its children and itself, as it does when the judge hangs up; or kill it."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=5.0)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stderr is not None:
            process.stderr.close()

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
        self._process = subprocess.Popen(
            command,
            env=_environment(folder),
            cwd="/",
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        theirs.close()
        self._socket = ours
        self._generation += 1
        self._await(ours, self._process)
        return ours

    def _await(self, connection: socket.socket, process: subprocess.Popen[bytes]) -> None:
        """Wait until it says that it is ready. Raises GraderFault, with its last words."""
        connection.settimeout(STARTING)
        with contextlib.suppress(OSError):
            if connection.recv(2**16):
                return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        words = process.stderr.read().decode(errors="replace").strip() if process.stderr else ""
        self.stop()
        last = words.splitlines()[-1][:200] if words else "it ended without a word"
        raise GraderFault(f"the process that workers are started from cannot run: {last}")

    def _command(self, descriptor: int) -> tuple[list[str], str]:
        """The command that starts the process, and the folder of its jobs."""
        parent = str(mounts.PACKAGE.parent)
        program = f"import sys; sys.path.append({parent!r}); {_RUN}"
        folder = self._folder.name if self._folder is not None else _FOLDER
        python = [sys.executable, "-s", "-P", "-B", "-c", program]
        python += [str(descriptor), self.level, folder, self._kind]
        bwrap = shutil.which("bwrap") if self.level == "bubblewrap" else None
        return [*(mounts.bubblewrap(bwrap, folder) if bwrap else []), *python], folder


def _environment(folder: str) -> dict[str, str]:
    """A clean environment: nothing of the teacher's, one thread, the same hashes each time."""
    kept = {name: os.environ[name] for name in ("LANG", "LC_ALL") if name in os.environ}
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    python = {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1", "PYTHONHASHSEED": "0"}
    folders = dict.fromkeys(("HOME", "TMPDIR", "TORCHINDUCTOR_CACHE_DIR"), folder)
    return kept | threads | python | folders | {"PATH": os.defpath}
