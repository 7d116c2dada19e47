"""The process of a zygote: the command that starts it, its last words, its end."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile

from attncourse.grading.sandbox import mounts

ENDING = 5.0  # seconds in which it ends by itself, and in which it is gone when it was killed

_FOLDER = "/tmp/job"  # where there are namespaces
_RUN = "from attncourse.grading.confined.zygote import main; main()"


class Launched:
    """A zygote's process, and the folder that its jobs have where there are no namespaces."""

    def __init__(self, level: str, connection: socket.socket) -> None:
        self._folder = None
        if level != "bubblewrap":
            self._folder = tempfile.TemporaryDirectory(
                prefix="attncourse-", ignore_cleanup_errors=True
            )
        folder = self._folder.name if self._folder is not None else _FOLDER
        # a file, since a pipe would have to be read all the time
        self._words = tempfile.TemporaryFile()  # noqa: SIM115
        self.process = subprocess.Popen(
            _command(level, folder, connection.fileno()),
            env=_environment(folder),
            cwd="/",
            pass_fds=[connection.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._words,
            start_new_session=True,
        )

    def last_words(self) -> str:
        """What it said last, once it has ended."""
        self._wait(1.0)
        self._words.seek(0)
        lines = self._words.read(2**20).decode(errors="replace").strip().splitlines()
        return lines[-1][:200] if lines else "it ended without a word"

    def end(self) -> None:
        """Let it end its children and itself, as it does when the judge hangs up; or kill it."""
        self._wait(ENDING)
        if self._folder is not None:
            self._folder.cleanup()
        self._words.close()

    def _wait(self, patience: float) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=patience)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=ENDING)


def _command(level: str, folder: str, descriptor: int) -> list[str]:
    program = f"import sys; sys.path.append({str(mounts.PACKAGE.parent)!r}); {_RUN}"
    python = [mounts.interpreter(), "-s", "-P", "-B", "-c", program, str(descriptor), level, folder]
    bwrap = shutil.which("bwrap") if level == "bubblewrap" else None
    return [*(mounts.bubblewrap(bwrap, folder) if bwrap else []), *python]


def _environment(folder: str) -> dict[str, str]:
    """A clean environment: nothing of the teacher's, one thread, the same hashes each time."""
    kept = {name: os.environ[name] for name in ("LANG", "LC_ALL") if name in os.environ}
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    python = {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1", "PYTHONHASHSEED": "0"}
    folders = dict.fromkeys(("HOME", "TMPDIR", "TORCHINDUCTOR_CACHE_DIR"), folder)
    return kept | threads | python | folders | {"PATH": os.defpath}
