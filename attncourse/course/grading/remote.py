"""The judge's side of a worker: start it, ask it, end it when it takes too long."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from attncourse.course.checking import CheckResult, Result, run
from attncourse.course.execution import Failure, Outcome
from attncourse.course.exercise import Exercise, first_line
from attncourse.course.grading.channel import Channel, ChannelError, ChannelTimeout
from attncourse.course.submission import Submission

STARTING = 120.0  # seconds until a fresh worker must have imported torch
LARGEST_LOG = 16 * 2**10  # bytes of a submission's output that are kept


@dataclass(frozen=True)
class Limits:
    """What a submission may use: seconds for a check, bytes of memory."""

    seconds: float = 10.0
    memory: int = 4 * 2**30


class Worker:
    """A process that holds one submission's functions; started when first needed.

    A worker that hangs, exits or dies is ended with all its children; the next question starts
    a fresh one, so that only the exercise at fault is lost.
    """

    def __init__(self, submission: Submission, limits: Limits) -> None:
        self.submission = submission
        self.limits = limits
        self.notes: tuple[str, ...] = ()
        self.log = _Log()
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: Channel | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._unloadable: Outcome | None = None

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def ask(
        self,
        function: str,
        probe: str | None,
        args: Sequence[Any],
        kwargs: dict[str, Any],
        forbidden: Sequence[str],
        seconds: float,
    ) -> Outcome:
        """The outcome of one call. A hang or a lost process is a fatal failure."""
        channel = self.start()
        if channel is None:
            return self._unloadable or _fatal("ProcessEnded", "its process could not be started.")
        try:
            request = {
                "op": "call",
                "function": function,
                "probe": probe,
                "forbidden": list(forbidden),
            }
            channel.send(request, list(args), kwargs, timeout=seconds)
            text, values = channel.receive(timeout=seconds)
            return _outcome(text, values)
        except ChannelTimeout:
            self.stop()
            limit = self.limits.seconds
            return _fatal("TimeoutError", f"it did not return within {limit:g} s, and was stopped.")
        except ChannelError:
            return _fatal("ProcessEnded", f"{self._how_it_ended()}.")

    def stop(self) -> None:
        """End the process and everything it started."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self.log.finish()
        if self._channel is not None:
            self._channel.close()
        if self._folder is not None:
            self._folder.cleanup()
        self._process = self._channel = self._folder = None

    def start(self) -> Channel | None:
        """Start the process unless it runs, and load the definitions.

        None, for good, if they do not load.
        """
        if self._channel is not None or self._unloadable is not None:
            return self._channel
        channel = self._channel = self._launch()
        cells = [[cell.label, cell.source, list(cell.keep)] for cell in self.submission.cells]
        try:
            channel.receive(timeout=STARTING)
            channel.send({"op": "load", "cells": cells})
            text, _ = channel.receive(timeout=self.limits.seconds)
            notes = text.get("notes")
            self.notes = tuple(str(n)[:300] for n in notes[:20]) if isinstance(notes, list) else ()
            return channel
        except ChannelTimeout:
            self.stop()
            reason = f"its definitions did not load within {self.limits.seconds:g} s."
        except ChannelError:
            reason = f"while its definitions were loaded, {self._how_it_ended()}."
        except ValueError as error:
            self.stop()
            reason = f"its definitions cannot be loaded: {error}."
        self._unloadable = _fatal("LoadError", reason)
        return None

    def _launch(self) -> Channel:
        """Start the process, with pipes to talk and one for what it prints."""
        theirs_in, ours_out = os.pipe()
        ours_in, theirs_out = os.pipe()
        self._folder = tempfile.TemporaryDirectory(prefix="attncourse-", ignore_cleanup_errors=True)
        arguments = [str(theirs_in), str(theirs_out), str(self.limits.memory)]
        self._process = subprocess.Popen(
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
        self.log.follow(self._process)
        return Channel(ours_in, ours_out)

    def _how_it_ended(self) -> str:
        """Why the process is gone, for the learner."""
        code = None
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = self._process.wait(timeout=2.0)
        self.stop()
        if code is None:
            return "the process that ran it stopped answering"
        if code < 0:
            names = {s.value: s.name for s in signal.Signals}
            return f"the process that ran it was ended by {names.get(-code, f'signal {-code}')}"
        return f"the process that ran it exited with code {code}"


@dataclass
class RemoteAnswer:
    """One exercise's function in a worker, as a check sees it; time is limited per check."""

    worker: Worker
    function: str
    forbidden: tuple[str, ...] = ()
    _left: float = field(default=0.0, init=False)

    def begin(self) -> None:
        """Give the next check its full time; starting the process does not count."""
        self.worker.start()
        self._left = self.worker.limits.seconds

    def run(self, probe: str | None, args: Sequence[Any], kwargs: dict[str, Any]) -> Outcome:
        """Call the function, or the named probe on it, in the worker."""
        before = time.monotonic()
        outcome = self.worker.ask(
            self.function, probe, args, kwargs, self.forbidden, max(0.01, self._left)
        )
        self._left -= time.monotonic() - before
        return outcome


def grade(submission: Submission, worker: Worker, exercise: Exercise) -> Result:
    """The result of one exercise of a submission; a function that is not there is no attempt."""
    if exercise.name in submission.defined:
        return run(exercise, RemoteAnswer(worker, exercise.name, exercise.forbidden))
    message = f"{submission.path.name} defines no function {exercise.name}."
    checks = (
        CheckResult(name, first_line(check), "not attempted", message)
        for name, check in exercise.checks.items()
    )
    return Result(exercise.name, tuple(checks))


class _Log:
    """The first kilobytes of what a submission prints; the rest is read and dropped."""

    def __init__(self) -> None:
        self._kept = bytearray()
        self._dropped = 0
        self._thread: threading.Thread | None = None

    def follow(self, process: subprocess.Popen[bytes]) -> None:
        self._thread = threading.Thread(target=self._drain, args=(process,), daemon=True)
        self._thread.start()

    def finish(self) -> None:
        if self._thread is not None:
            self._thread.join(timeout=5.0)

    def text(self) -> str:
        """What was printed, with a last line that says how much was dropped."""
        text = self._kept.decode(errors="replace")
        return text + (f"\n... and {self._dropped:,} bytes more" if self._dropped else "")

    def _drain(self, process: subprocess.Popen[bytes]) -> None:
        stream = process.stdout
        assert stream is not None
        with stream:
            while piece := stream.read1(2**16):  # type: ignore[attr-defined]
                room = LARGEST_LOG - len(self._kept)
                self._kept += piece[:room]
                self._dropped += max(0, len(piece) - room)


def _environment(home: str) -> dict[str, str]:
    """A clean environment: nothing of the teacher's, one thread."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    return (
        kept
        | threads
        | {"HOME": home, "TMPDIR": home, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"}
    )


def _outcome(text: dict[str, Any], values: list[Any]) -> Outcome:
    """Turn a worker's frame into an Outcome of plain values, or raise ChannelError."""
    try:
        failure, modified = text["failure"], text["modified"]
        if failure is not None:
            kind, message, where = (str(word)[:500] for word in failure)
            return Outcome(failure=Failure(kind, message, where))
        keys = tuple(key if isinstance(key, int) else str(key)[:80] for key in modified[:20])
        return Outcome(values[0], modified=keys)
    except (KeyError, TypeError, ValueError, IndexError):
        raise ChannelError("it sent an answer that cannot be read") from None


def _fatal(kind: str, message: str) -> Outcome:
    return Outcome(failure=Failure(kind, message, fatal=True))
