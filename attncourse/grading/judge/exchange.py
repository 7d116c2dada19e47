"""A question to a worker and its answer: values of a fixed form, whatever the worker wrote."""

import contextlib
from collections.abc import Callable
from typing import Any, TypeVar

from attncourse.course.execution import Failure, Outcome
from attncourse.grading.wire.frames import ChannelError, decode, encode, plain_text
from attncourse.grading.wire.protocol import Answer, Order

UNREAD = "it sent an answer that cannot be read"

T = TypeVar("T")
Reader = Callable[[bytes, bytes, str], T]  # of a frame's JSON, its payload, an identity


class Request:
    """An order to a worker as a frame, which is sent each time under an identity of its own.

    The answer may have `room` bytes of tensors. Raises ValueError for values that are too large.
    """

    def __init__(self, order: Order, *values: Any) -> None:
        head, self.body = encode(order.written(), *values)
        self._rest = head[1:]
        self.largest = order.largest
        self.room = order.room

    def head(self, identity: str) -> bytes:
        """The frame's JSON under this identity."""
        return opening(identity) + self._rest


def opening(identity: str) -> bytes:
    """How the JSON of a frame of this identity begins."""
    return b'{"id": "%s", ' % identity.encode()


def claimed(kind: type[T], head: bytes, body: bytes, identity: str) -> tuple[T, list[Any]]:
    """A worker's answer of this kind, whose fields may hold anything, and values that are plain.

    Raises ChannelError for what is not an answer to the request of this identity.
    """
    text, values = decode(head, body)
    if text.pop("id", None) == identity:
        with contextlib.suppress(TypeError):
            return kind(**text), values
    raise ChannelError(UNREAD)


def outcome_of(head: bytes, body: bytes, identity: str) -> Outcome:
    """The outcome that an answer tells, of plain values. Raises ChannelError."""
    answer, values = claimed(Answer, head, body, identity)
    if type(answer.modified) is not list or len(values) != 1:
        raise ChannelError(UNREAD)
    if answer.failure is not None:
        if type(answer.failure) is not list or len(answer.failure) != 4:
            raise ChannelError(UNREAD)
        kind, told, where = (plain_text(word, 500) for word in answer.failure[:3])
        stub = answer.failure[3] is True
        return Outcome(failure=Failure(kind or "Exception", told, where, untouched=stub))
    keys = (key if type(key) is int else plain_text(key, 80) for key in answer.modified[:20])
    return Outcome(values[0], modified=tuple(keys))
