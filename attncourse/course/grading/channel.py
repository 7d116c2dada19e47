"""The channel between judge and worker: frames of JSON and safetensors, no pickle, with limits.

A frame is two lengths, a JSON text and a safetensors payload. Values are tensors, numbers,
strings, None, and lists, tuples and dicts of those; anything else travels as its type's name.
"""

import json
import os
import select
import struct
import time
from dataclasses import dataclass
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from attncourse.course.kinds import Foreign

LARGEST_TEXT = 4 * 2**20  # bytes of JSON in a frame
LARGEST_PAYLOAD = 256 * 2**20  # bytes of tensors in a frame
DEEPEST = 16  # levels of containers in a value

_LENGTHS = struct.Struct("<IQ")


class ChannelError(Exception):
    """The other side closed the channel or sent what is not a frame."""


class ChannelTimeout(ChannelError):
    """Nothing, or not enough, arrived in time."""


@dataclass
class Channel:
    """One end of a pair of pipes."""

    reading: int
    writing: int

    def send(self, text: dict[str, Any], *values: Any, timeout: float | None = None) -> None:
        """Send `text` and, in it under "values", the encoded values.

        Raises ValueError for what is too large, ChannelTimeout where the other side reads nothing.
        """
        tensors: dict[str, Tensor] = {}
        encoded = [_encode(value, tensors, 0) for value in values]
        head = json.dumps(text | {"values": encoded}).encode()
        body = safetensors.torch.save(tensors) if tensors else b""
        if len(head) > LARGEST_TEXT or len(body) > LARGEST_PAYLOAD:
            raise ValueError("the value is too large to be sent")
        deadline = None if timeout is None else time.monotonic() + timeout
        self._write(_LENGTHS.pack(len(head), len(body)) + head + body, deadline)

    def receive(self, timeout: float | None = None) -> tuple[dict[str, Any], list[Any]]:
        """The next frame: its text and its values. Raises ChannelError or ChannelTimeout."""
        deadline = None if timeout is None else time.monotonic() + timeout
        head_size, body_size = _LENGTHS.unpack(self._read(_LENGTHS.size, deadline))
        if head_size > LARGEST_TEXT or body_size > LARGEST_PAYLOAD:
            raise ChannelError("a frame is larger than the channel allows")
        head, body = self._read(head_size, deadline), self._read(body_size, deadline)
        try:
            text = json.loads(head)
            tensors = safetensors.torch.load(body) if body else {}
            values = [_decode(value, tensors, 0) for value in text.pop("values")]
        except Exception as error:  # whatever a hostile frame can provoke
            raise ChannelError(f"a frame could not be read: {type(error).__name__}") from None
        return text, values

    def close(self) -> None:
        """Close both pipes."""
        os.close(self.reading)
        os.close(self.writing)

    def _write(self, data: bytes, deadline: float | None) -> None:
        view = memoryview(data)
        while view:
            try:
                if not select.select([], [self.writing], [], _until(deadline))[1]:
                    raise ChannelTimeout("nothing was read in time")
                # a writable pipe takes this many bytes without blocking
                view = view[os.write(self.writing, view[: select.PIPE_BUF]) :]
            except (OSError, ValueError):
                raise ChannelError("the other side has gone") from None

    def _read(self, size: int, deadline: float | None) -> bytes:
        data = bytearray()
        while len(data) < size:
            if not select.select([self.reading], [], [], _until(deadline))[0]:
                raise ChannelTimeout("no answer in time")
            piece = os.read(self.reading, min(size - len(data), 2**20))
            if not piece:
                raise ChannelError("the other side has gone")
            data += piece
        return bytes(data)


def _until(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - time.monotonic())


def _encode(value: Any, tensors: dict[str, Tensor], depth: int) -> Any:
    """A value as JSON; tensors are put aside under a number."""
    if depth > DEEPEST:
        return {"foreign": "deeply nested value"}
    if type(value) is Tensor or (isinstance(value, Tensor) and type(value).__module__ == "torch"):
        return _encode_tensor(value, tensors)
    if isinstance(value, list | tuple):
        kind = "tuple" if isinstance(value, tuple) else "list"
        return {kind: [_encode(item, tensors, depth + 1) for item in value]}
    if isinstance(value, dict):
        items = [[str(key), _encode(item, tensors, depth + 1)] for key, item in value.items()]
        return {"dict": items}
    if value is None or type(value) in (bool, int, float, str):
        return value
    return {"foreign": type(value).__name__}


def _encode_tensor(value: Tensor, tensors: dict[str, Tensor]) -> Any:
    value = value.detach()
    if value.is_meta:
        return {"meta": [str(value.dtype).removeprefix("torch."), list(value.shape)]}
    plain = value.layout == torch.strided and not value.is_nested
    if not plain or value.is_complex() or value.is_quantized:
        kind = "nested" if value.is_nested else str(value.layout).removeprefix("torch.")
        return {"foreign": f"{kind} tensor of {str(value.dtype).removeprefix('torch.')}"}
    key = str(len(tensors))
    tensors[key] = (
        value.cpu().resolve_neg().resolve_conj().clone(memory_format=torch.contiguous_format)
    )
    return {"tensor": key}


def _decode(value: Any, tensors: dict[str, Tensor], depth: int) -> Any:
    """The value of its JSON. Raises ValueError for what no encoder writes."""
    if depth > DEEPEST + 1:  # one more, for the name of what was nested too deeply
        raise ValueError("nested too deeply")
    if value is None or isinstance(value, bool | int | float | str):
        return value
    ((kind, content),) = value.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "meta":
        return torch.empty(content[1], dtype=getattr(torch, content[0]), device="meta")
    if kind == "foreign":
        return Foreign(str(content)[:80])
    if kind == "dict":
        return {str(key): _decode(item, tensors, depth + 1) for key, item in content}
    items = [_decode(item, tensors, depth + 1) for item in content]
    if kind not in ("list", "tuple"):
        raise ValueError(f"unknown kind {kind!r}")
    return tuple(items) if kind == "tuple" else items
