"""The channel between judge and worker: one frame after the other through a pair of pipes."""

import os
import select
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from attncourse.grading.wire.frames import (
    LARGEST_ANSWER,
    LARGEST_HEADER,
    LARGEST_PAYLOAD,
    LARGEST_REQUEST,
    ChannelError,
    decode,
    encode,
)

_LENGTHS = struct.Struct("<IQ")  # of a frame's JSON and of its payload
_PIECE = 2**16  # bytes that are read and written at once: what a pipe holds


Patience = Callable[[], float]  # seconds that may be waited from now on; it is asked anew each time


class ChannelTimeout(ChannelError):
    """Nothing, or not enough, arrived in time."""


class ChannelClosed(ChannelError):
    """The other side has gone."""


@dataclass
class Channel:
    """One end of a pair of pipes.

    It accepts `largest` bytes of JSON and `payload` of tensors with their header, and sends `most`
    bytes of JSON and `room` of tensors.
    """

    reading: int
    writing: int
    largest: int = LARGEST_ANSWER
    most: int = LARGEST_REQUEST
    payload: int = LARGEST_PAYLOAD + LARGEST_HEADER
    room: int = LARGEST_PAYLOAD
    _read_ahead: bytearray = field(default_factory=bytearray, repr=False)

    def __post_init__(self) -> None:
        os.set_blocking(self.writing, False)  # or a timeout could not be kept

    def send(self, text: dict[str, Any], *values: Any, timeout: float | None = None) -> None:
        """Send `text` and, in it under "values", the encoded values.

        Raises ValueError for what is too large, ChannelTimeout where the other side reads nothing.
        """
        self.send_raw(*encode(text, *values, room=self.room), timeout)

    def send_raw(self, head: bytes, body: bytes, timeout: float | Patience | None = None) -> None:
        """Send a frame that is encoded already. Raises as `send`."""
        if len(head) > self.most:
            raise ValueError("the value is too large to be sent")
        self._write(_LENGTHS.pack(len(head), len(body)) + head + body, _patience(timeout))

    def receive(self, timeout: float | None = None) -> tuple[dict[str, Any], list[Any]]:
        """The next frame: its text and its values. Raises ChannelError or ChannelTimeout."""
        return decode(*self.receive_raw(timeout))

    def receive_raw(self, timeout: float | Patience | None = None) -> tuple[bytes, bytes]:
        """The next frame as bytes. Raises as `receive`."""
        left = _patience(timeout)
        head_size, body_size = _LENGTHS.unpack(self._read(_LENGTHS.size, left))
        if head_size > self.largest or body_size > self.payload:
            raise ChannelError("a frame is larger than the channel allows")
        return self._read(head_size, left), self._read(body_size, left)

    def close(self) -> None:
        """Close both pipes."""
        os.close(self.reading)
        os.close(self.writing)

    def _write(self, data: bytes, left: Patience | None) -> None:
        view = memoryview(data)
        while view:
            try:
                if not select.select([], [self.writing], [], left and left())[1]:
                    _go_on(left, "nothing was read in time")
                    continue
                view = view[os.write(self.writing, view[:_PIECE]) :]
            except BlockingIOError:  # there is room, but less than the system writes at once
                continue
            except (OSError, ValueError):
                raise ChannelClosed("the other side has gone") from None

    def _read(self, size: int, left: Patience | None) -> bytes:
        while len(self._read_ahead) < size:
            if not select.select([self.reading], [], [], left and left())[0]:
                _go_on(left, "no answer in time")
                continue
            piece = os.read(self.reading, max(size - len(self._read_ahead), _PIECE))
            if not piece:
                raise ChannelClosed("the other side has gone")
            self._read_ahead += piece
        data = bytes(self._read_ahead[:size])
        del self._read_ahead[:size]
        return data


def _patience(timeout: float | Patience | None) -> Patience | None:
    if timeout is None or callable(timeout):
        return timeout
    deadline = time.monotonic() + timeout
    return lambda: max(0.0, deadline - time.monotonic())


def _go_on(left: Patience | None, late: str) -> None:
    """Raise ChannelTimeout unless there is patience left."""
    if left is not None and left() <= 0:
        raise ChannelTimeout(late)
