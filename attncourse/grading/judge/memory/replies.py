"""What came back from a worker: told apart from others by a digest, and read when asked for."""

import functools
import hashlib
from collections.abc import Callable, Container
from dataclasses import dataclass

from attncourse.course.execution import Outcome
from attncourse.grading.judge.exchange import opening, outcome_of


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

    @property
    def repeatable(self) -> bool:
        """Would the same come again?"""
        return self.digest is not None or self.outcome.repeatable


def received(head: bytes, body: bytes, identity: str, known: Container[bytes]) -> Reply:
    """The reply in a frame, which is read unless its digest is among the `known`.

    Raises ChannelError for what is not an answer to the request of this identity.
    """
    rest = head.removeprefix(opening(identity))
    digest = _digest(rest, body) if len(rest) < len(head) else None
    reply = Reply(digest, lambda: outcome_of(head, body, identity))
    if digest not in known and not reply.outcome.repeatable:
        reply.digest = None
    return reply


def concluded(outcome: Outcome) -> Reply:
    """The reply where a plain outcome was concluded, and nothing can be read twice."""
    plain = outcome.value is None or type(outcome.value) is int
    whole = repr((outcome.value, outcome.failure, outcome.modified)).encode()
    digest = _digest(whole, b"") if plain and outcome.repeatable else None
    return Reply(digest, lambda: outcome)


def _digest(head: bytes, body: bytes) -> bytes:
    size = len(head).to_bytes(8, "little")
    return hashlib.blake2b(size + head + body, digest_size=32).digest()
