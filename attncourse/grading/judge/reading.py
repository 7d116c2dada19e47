"""Reading a stranger's submission: its text is parsed in a confined process, in bounded time."""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attncourse.grading.judge import submission as submissions
from attncourse.grading.judge.allowance import Limits, waiting
from attncourse.grading.judge.exchange import UNREAD, Request, claimed
from attncourse.grading.judge.process import Log, Process
from attncourse.grading.judge.submission import Submission
from attncourse.grading.judge.worker import Worker
from attncourse.grading.judge.zygote import Zygote
from attncourse.grading.parsing.fingerprints import Print
from attncourse.grading.parsing.parser import Function, Parsed, UnreadableError
from attncourse.grading.wire.frames import ChannelError, plain_text
from attncourse.grading.wire.protocol import Findings, Parse, decode_cells

READING = 5.0  # seconds of processor time to read a file, and
READING_MEMORY = 2 * 2**30  # bytes


def read(path: Path, zygote: Zygote) -> Submission:
    """Read a submission; its text is parsed in a confined process, in bounded time.

    Where only running it tells which functions are there, that is done, in another.

    Raises UnreadableError, and GraderFault where the grader itself failed.
    """
    found = submissions.read(path, _Parser(zygote))
    if not found.unsure:
        return found
    with Worker(found, Limits(), zygote) as worker:
        worker.start()
        return submissions.settled(found, worker.functions)


@dataclass(frozen=True)
class _Parser:
    """Parses in a child of the zygote."""

    zygote: Zygote

    def parse(self, text: str, name: str) -> Parsed:
        process = Process(self.zygote, READING_MEMORY, READING, Log())
        try:
            request = Request(Parse(text, name))
            found, _ = process.ask(request, functools.partial(claimed, Findings), waiting(READING))
            return _parsed(found)
        except (ChannelError, ValueError):
            told = f"{name} cannot be read: it takes too much time or memory"
            raise UnreadableError(told) from None
        finally:
            process.end()


def _parsed(found: Findings) -> Parsed:
    """What the parser found, as values of a fixed form. Raises UnreadableError or ChannelError."""
    if isinstance(found.unreadable, str):
        raise UnreadableError(plain_text(found.unreadable, 500))
    try:
        return Parsed(
            decode_cells(found.cells),
            None if found.chapter is None else str(found.chapter),
            tuple(map(str, found.defined)),
            tuple(map(str, found.unsure)),
            tuple(Function(str(a), tuple(map(str, b)), str(c)) for a, b, c in found.functions),
            tuple(plain_text(note, 500) for note in found.notes),
            tuple((str(a), str(b), int(c), plain_text(d, 200)) for a, b, c, d in found.uses),
            tuple(_print(*one) for one in found.prints),
        )
    except (TypeError, ValueError):
        raise ChannelError(UNREAD) from None


def _print(name: Any, lines: Any, marks: Any) -> Print:
    """Fingerprints as values of a fixed form. Raises TypeError or ValueError."""
    text = tuple(plain_text(line, 200, keep="\t") for line in lines)
    places = [(int(code), int(first), int(last)) for code, first, last in marks]
    if any(not 0 <= first <= last < len(text) for _, first, last in places):
        raise ValueError("a fingerprint must be of lines that are there")
    return Print(str(name), text, tuple(places))
