"""A worker's process: how it is started, what it may see, what it prints, how it ends."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading

from attncourse.course.grading.channel import Channel

LARGEST_LOG = 16 * 2**10  # bytes of a submission's output that are kept


class Log:
    """The first kilobytes of what a submission prints; the rest is read and dropped."""

    def __init__(self) -> None:
        self._kept = bytearray()
        self._dropped = 0

    def text(self) -> str:
        """What was printed, with a last line that says how much was dropped."""
        text = self._kept.decode(errors="replace")
        return text + (f"\n... and {self._dropped:,} bytes more" if self._dropped else "")

    def add(self, piece: bytes) -> None:
        """Keep what there is room for."""
        room = LARGEST_LOG - len(self._kept)
        self._kept += piece[:room]
        self._dropped += max(0, len(piece) - room)


class Process:
    """A process in a folder of its own, with two pipes to talk and one for what it prints."""

    def __init__(self, memory: int, log: Log) -> None:
        theirs_in, ours_out = os.pipe()
        ours_in, theirs_out = os.pipe()
        self.channel = Channel(ours_in, ours_out)
        self._folder = tempfile.TemporaryDirectory(prefix="attncourse-", ignore_cleanup_errors=True)
        arguments = [str(theirs_in), str(theirs_out), str(memory)]
        self._child = subprocess.Popen(
            [sys.executable, "-m", "attncourse.course.grading.worker", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(theirs_in, theirs_out),
            cwd=self._folder.name,
            env=_environment(self._folder.name),
            start_new_session=True,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._drain = threading.Thread(target=_drain, args=(self._child, log), daemon=True)
        self._drain.start()

    @property
    def pid(self) -> int:
        """The process's number, which is also that of its group."""
        return self._child.pid

    def end(self) -> None:
        """End the process and everything it started, and clear up behind it."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._child.wait()
        self._drain.join(timeout=5.0)
        self.channel.close()
        self._folder.cleanup()

    def fate(self) -> str:
        """What became of a process that no longer answers, for the learner."""
        try:
            code = self._child.wait(timeout=2.0)
        except subprocess.TimeoutExpired:
            return "the process that ran it stopped answering"
        if code < 0:
            names = {s.value: s.name for s in signal.Signals}
            return f"the process that ran it was ended by {names.get(-code, f'signal {-code}')}"
        return f"the process that ran it exited with code {code}"


def _drain(child: subprocess.Popen[bytes], log: Log) -> None:
    """Read what the process prints, so that it never waits for a reader."""
    if child.stdout is not None:
        with child.stdout as stream:
            while piece := stream.read1(2**16):  # type: ignore[attr-defined]
                log.add(piece)


def _environment(home: str) -> dict[str, str]:
    """A clean environment: nothing of the teacher's, one thread."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    python = dict.fromkeys(("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"), "1")
    return kept | threads | python | {"HOME": home, "TMPDIR": home}
