"""Frames: values as JSON and safetensors, no pickle, with limits.

Values are tensors, numbers, strings, None, and lists, tuples and dicts of those; anything else
travels as its type's name. `decode` is the one place where bytes of a worker become values:
plain ones, or ChannelError.
"""

import json
import math
import struct
import unicodedata
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from attncourse.course.kinds import Foreign

LARGEST_REQUEST = 24 * 2**20  # bytes of JSON that the judge sends: a whole notebook, escaped
LARGEST_ANSWER = 256 * 2**10  # bytes of JSON that a worker sends
LARGEST_PAYLOAD = 64 * 2**20  # bytes of tensors in a frame
LARGEST_HEADER = 64 * 2**10  # bytes of JSON in which safetensors describes the tensors
MOST_TENSORS = 1024
MOST_AXES = 32
DEEPEST = 16  # levels of containers in a value

# What safetensors calls the kinds of numbers that may travel, and their sizes in bytes.
_KINDS = {
    "BOOL": (torch.bool, 1),
    "U8": (torch.uint8, 1),
    "I8": (torch.int8, 1),
    "I16": (torch.int16, 2),
    "I32": (torch.int32, 4),
    "I64": (torch.int64, 8),
    "F16": (torch.float16, 2),
    "BF16": (torch.bfloat16, 2),
    "F32": (torch.float32, 4),
    "F64": (torch.float64, 8),
}
_NAMES = {dtype: name for name, (dtype, _) in _KINDS.items()}
_DTYPES = {str(dtype).removeprefix("torch."): dtype for dtype, _ in _KINDS.values()}


class ChannelError(Exception):
    """The other side closed the channel or sent what is not a frame."""


def encode(text: dict[str, Any], *values: Any, room: int = LARGEST_PAYLOAD) -> tuple[bytes, bytes]:
    """A frame's JSON and payload, of tensors of `room` bytes. Raises ValueError for more."""
    tensors: dict[str, Tensor] = {}
    encoded = [_encode(value, tensors, 0) for value in values]
    head = json.dumps(text | {"values": encoded}).encode()
    size = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    if size > room or len(tensors) > MOST_TENSORS:
        raise ValueError("the value is too large to be sent")
    return head, _packed(tensors) if tensors else b""


def decode(head: bytes, body: bytes) -> tuple[dict[str, Any], list[Any]]:
    """A frame's text and values: plain ones. Raises ChannelError, whatever the bytes are."""
    try:
        text = json.loads(head)
        if type(text) is not dict or type(text.get("values")) is not list:
            raise ValueError("a frame is a JSON object with values")
        tensors = _tensors(body)
        values = [_decode(value, tensors, 0) for value in text.pop("values")]
    except Exception as error:  # whatever a hostile frame can provoke
        raise ChannelError(f"a frame could not be read: {type(error).__name__}") from None
    return text, values


def plain_text(text: Any, length: int, keep: str = "") -> str:
    """What a worker wrote, fit to be shown: cut, without control and direction characters."""
    if not isinstance(text, str):
        return ""
    text = text[:length]
    if text.isprintable():  # no character of the categories C, and none that ends a line
        return text
    pieces = (
        c if c in keep or unicodedata.category(c)[0] != "C" else " " if c in "\r\n\t" else ""
        for c in text
    )
    return "".join(pieces)


def _packed(tensors: dict[str, Tensor]) -> bytes:
    """Tensors as safetensors has them; its own writer looks into memory by ctypes.

    A worker may not do that, see `confined.native`.
    """
    header, pieces, end = {}, [], 0
    for key, tensor in tensors.items():
        pieces.append(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
        start, end = end, end + len(pieces[-1])
        header[key] = {
            "dtype": _NAMES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [start, end],
        }
    told = json.dumps(header).encode()
    told += b" " * (-len(told) % 8)  # what follows lies at a multiple of its size
    return b"".join([struct.pack("<Q", len(told)), told, *pieces])


def _tensors(body: bytes) -> dict[str, Tensor]:
    """The payload's tensors, after its header was found in order. Raises ValueError."""
    if not body:
        return {}
    (size,) = struct.unpack_from("<Q", body)
    if size > min(LARGEST_HEADER, len(body) - 8):
        raise ValueError("the header of the tensors is too large")
    header = json.loads(body[8 : 8 + size])
    if type(header) is not dict or len(header) > MOST_TENSORS:
        raise ValueError("too many tensors")
    for entry in header.values():
        _in_order(entry, len(body) - 8 - size)
    return {key: _normal(value) for key, value in safetensors.torch.load(body).items()}


def _in_order(entry: Any, available: int) -> None:
    """See that one tensor's description is of the right form and fits. Raises ValueError."""
    if type(entry) is not dict or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise ValueError("not a tensor")
    _, width = _KINDS[entry["dtype"]]
    start, end = entry["data_offsets"]
    if not all(type(number) is int for number in (start, end)):
        raise ValueError("not an offset")
    if not 0 <= start <= end <= available or end - start != width * _numel(entry["shape"]):
        raise ValueError("a tensor does not fit")


def _numel(shape: Any) -> int:
    """The number of elements of a shape that is one. Raises ValueError."""
    if type(shape) is not list or len(shape) > MOST_AXES:
        raise ValueError("not a shape")
    if not all(type(size) is int and 0 <= size < 2**48 for size in shape):
        raise ValueError("not a size")
    number = math.prod(shape)
    if number >= 2**60:
        raise ValueError("too large")
    return number


def _normal(value: Tensor) -> Tensor:
    """A Boolean is 0 or 1: of any other byte PyTorch would make something that is neither."""
    return value.view(torch.uint8).ne(0) if value.dtype == torch.bool else value


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
    kind = str(value.dtype).removeprefix("torch.")
    if value.is_meta and kind in _DTYPES:
        return {"meta": [kind, list(value.shape)]}
    plain = value.layout == torch.strided and not value.is_nested
    if not plain or kind not in _DTYPES or value.is_meta:
        layout = "nested" if value.is_nested else str(value.layout).removeprefix("torch.")
        return {"foreign": f"{layout} tensor of {kind}"}
    key = str(len(tensors))
    tensors[key] = (
        value.cpu().resolve_neg().resolve_conj().clone(memory_format=torch.contiguous_format)
    )
    return {"tensor": key}


def _decode(value: Any, tensors: dict[str, Tensor], depth: int) -> Any:
    """The value of its JSON. Raises for what no encoder writes."""
    if depth > DEEPEST + 1:  # one more, for the name of what was nested too deeply
        raise ValueError("nested too deeply")
    if value is None or isinstance(value, bool | int | float | str):
        return value
    ((kind, content),) = value.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "meta":
        dtype, shape = content
        _numel(shape)
        return torch.empty(shape, dtype=_DTYPES[dtype], device="meta")
    if kind == "foreign":
        return Foreign(plain_text(content, 80))
    if type(content) is not list:
        raise ValueError("not a list")
    if kind == "dict":
        return {str(key): _decode(item, tensors, depth + 1) for key, item in content}
    if kind not in ("list", "tuple"):
        raise ValueError(f"unknown kind {kind!r}")
    items = [_decode(item, tensors, depth + 1) for item in content]
    return tuple(items) if kind == "tuple" else items
