"""A worker's process as the judge sees it: its pipes, what it prints, what became of it."""

import contextlib
import math
import os
import secrets
import signal
import threading
from dataclasses import dataclass
from typing import TypeVar

from attncourse.grading.judge.exchange import Reader, Request
from attncourse.grading.judge.patience import Patience
from attncourse.grading.judge.zygote import GraderFault, Zygote
from attncourse.grading.sandbox import kernel
from attncourse.grading.wire.channel import Channel, ChannelTimeout
from attncourse.grading.wire.frames import LARGEST_HEADER, plain_text
from attncourse.grading.wire.protocol import Seen

T = TypeVar("T")

LARGEST_LOG = 16 * 2**10  # bytes of a submission's output that are kept


class Log:
    """The first kilobytes of what a submission prints; the rest is read and dropped."""

    def __init__(self) -> None:
        self._kept = bytearray()
        self._dropped = 0

    def text(self) -> str:
        """What was printed, with a last line that says how much was dropped."""
        text = plain_text(self._kept.decode(errors="replace"), LARGEST_LOG, keep="\n\t")
        return text + (f"\n... and {self._dropped:,} bytes more" if self._dropped else "")

    def add(self, piece: bytes) -> None:
        """Keep what there is room for."""
        room = LARGEST_LOG - len(self._kept)
        self._kept += piece[:room]
        self._dropped += max(0, len(piece) - room)


def first_lines(printed: str) -> list[str]:
    """The beginning of what was printed, under a title: few lines, each cut to a readable width."""
    lines = [line[:120] for line in printed.strip().splitlines()]
    more = [f"... and {len(lines) - 8} lines more"] if len(lines) > 8 else []
    return ["--- it printed ---", *lines[:8], *more] if lines else []


@dataclass(frozen=True)
class Fate:
    """How a process ended: its exit code (minus a signal's number), seconds that it computed."""

    code: int
    cpu: float = 0.0

    def __str__(self) -> str:
        if self.code >= 0:
            return f"the process that ran it exited with code {self.code}"
        names = {s.value: s.name for s in signal.Signals}
        name = names.get(-self.code, f"signal {-self.code}")
        return f"the process that ran it was ended by {name}"


class Process:
    """A child of the zygote, with two pipes to talk and one for what it prints.

    memory is in bytes, seconds of processor time; with `extend` it may have more, up to `most`.
    In one request it may sleep for `sleep` seconds.
    """

    def __init__(
        self,
        zygote: Zygote,
        memory: int,
        seconds: float,
        log: Log,
        *,
        most: float = 0.0,
        sleep: float = math.inf,
    ) -> None:
        self._zygote = zygote
        self.patience = Patience(self._look, seconds, sleep)
        theirs_in, ours_out = os.pipe()
        ours_in, theirs_out = os.pipe()
        printed, prints = os.pipe()
        self.channel = Channel(ours_in, ours_out)
        pipes = theirs_in, theirs_out, prints
        try:
            self._job = zygote.start(memory, _far(seconds), _far(max(most, seconds)), pipes)
        except GraderFault:
            self.channel.close()
            os.close(printed)
            raise
        finally:
            for descriptor in pipes:
                os.close(descriptor)
        self._drain = threading.Thread(target=_drain, args=(printed, log), daemon=True)
        self._drain.start()

    def ask(self, request: Request, read: Reader[T], seconds: float) -> T:
        """What is read of the answer to a request. Raises ChannelError.

        For so many seconds it is waited at most, but what it computes or sleeps decides.
        """
        identity = secrets.token_hex(8)
        self.channel.largest = request.largest
        self.channel.payload = request.room + LARGEST_HEADER
        self.patience.begin(seconds)
        self.channel.send_raw(request.head(identity), request.body, self.patience.left)
        answer = self.channel.receive_raw(self.patience.left)
        if not self.patience.end():
            raise ChannelTimeout("the answer came too late")
        return read(*answer, identity)

    def extend(self, seconds: float) -> float | None:
        """Let it compute for so long from now on; how long it has until now, None if it ended."""
        used = self._zygote.extend(self._job, _far(seconds))
        self.patience.most = (used or 0.0) + seconds
        return used

    def _look(self) -> Seen:
        with contextlib.suppress(GraderFault):
            return self._zygote.look(self._job)
        return Seen()

    def end(self, patience: float = 0.0) -> Fate:
        """End the process and all it started, unless it ends by itself within `patience` s."""
        try:
            ended = self._zygote.end(self._job, patience)
            return Fate(ended.code, ended.cpu)
        finally:
            self.channel.close()
            self._drain.join(timeout=5.0)


def _far(seconds: float) -> int:
    """The system's own limit, where `seconds` are allowed: it counts by ticks, which is coarse.

    Where nobody else counts it is what decides.
    """
    return max(1, math.ceil(2 * seconds + 1 if kernel.tells_sleep() else seconds))


def _drain(printed: int, log: Log) -> None:
    """Read what the process prints, so that it never waits for a reader."""
    with contextlib.closing(os.fdopen(printed, "rb", buffering=0)) as stream:
        while piece := stream.read(2**16):
            log.add(piece)
