"""A question to a worker and its answer: written once, and read only where it says what is new."""

import functools
import hashlib
from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import Any

from attncourse.course.execution import Failure, Outcome
from attncourse.grading.wire.frames import ChannelError, decode, encode, plain_text


class Request:
    """A frame that may be sent many times, each time under an identity of its own.

    Raises ValueError for values that are too large.
    """

    def __init__(self, text: dict[str, Any], *values: Any) -> None:
        head, self.body = encode(text, *values)
        self._rest = head[1:]

    def head(self, identity: str) -> bytes:
        """The frame's JSON under this identity."""
        return _opening(identity) + self._rest


@dataclass(eq=False)
class Reply:
    """What came back.

    digest stands for all that was said but the identity: of equal ones the outcomes are equal.
    It is None where nothing may be concluded from that: a lost process, a lack of memory.
    """

    digest: bytes | None
    read: Callable[[], Outcome]

    @functools.cached_property
    def outcome(self) -> Outcome:
        """What it says, read when it is first asked for."""
        return self.read()


def received(head: bytes, body: bytes, identity: str, known: Container[bytes]) -> Reply:
    """The reply in a frame, which is read unless its digest is among the `known`.

    Raises ChannelError for what is not an answer to the request of this identity.
    """
    opening = _opening(identity)
    rest = head.removeprefix(opening)
    digest = _digest(rest, body) if len(rest) < len(head) else None
    reply = Reply(digest, lambda: outcome_of(*decode(head, body), identity))
    if digest not in known and not _repeatable(reply.outcome):
        reply.digest = None
    return reply


def concluded(outcome: Outcome) -> Reply:
    """The reply where a plain outcome was concluded, and nothing can be read twice."""
    plain = outcome.value is None or type(outcome.value) is int
    whole = repr((outcome.value, outcome.failure, outcome.modified)).encode()
    digest = _digest(whole, b"") if plain and _repeatable(outcome) else None
    return Reply(digest, lambda: outcome)


def outcome_of(text: dict[str, Any], values: list[Any], identity: str) -> Outcome:
    """Turn a worker's frame into an Outcome of plain values. Raises ChannelError."""
    unread = ChannelError("it sent an answer that cannot be read")
    failure, modified = text.get("failure"), text.get("modified")
    if text.get("id") != identity or type(modified) is not list or len(values) != 1:
        raise unread
    if failure is not None:
        if type(failure) is not list or len(failure) != 3:
            raise unread
        kind, told, where = (plain_text(word, 500) for word in failure)
        return Outcome(failure=Failure(kind or "Exception", told, where))
    keys = (key if type(key) is int else plain_text(key, 80) for key in modified[:20])
    return Outcome(values[0], modified=tuple(keys))


def _opening(identity: str) -> bytes:
    """How the JSON of a frame of this identity begins."""
    return b'{"id": "%s", ' % identity.encode()


def _digest(head: bytes, body: bytes) -> bytes:
    size = len(head).to_bytes(8, "little")
    return hashlib.blake2b(size + head + body, digest_size=32).digest()


def _repeatable(outcome: Outcome) -> bool:
    """Would the same answer come again? Not from a lost process or one without memory."""
    failure = outcome.failure
    return not (failure and (failure.fatal or failure.kind == "MemoryError"))
