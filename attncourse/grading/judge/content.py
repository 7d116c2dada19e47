"""The bytes of a file that was handed in: regular files only, and no more than can be parsed.

A notebook is large by its outputs, which are nobody's answer: where it is, they are cut out of
its bytes, before anything is parsed.
"""

import errno
import itertools
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from attncourse.grading.parsing.parser import UnreadableError
from attncourse.grading.wire.frames import plain_text

LARGEST_FILE = 8 * 2**20  # bytes, without outputs
LARGEST_NOTEBOOK = 256 * 2**20  # bytes, with them
MOST_TOKENS = 4_000_000  # brackets and strings that are looked at

SUFFIXES = (".ipynb", ".py")

_DEPTH = {b"[": 1, b"{": 1, b"]": -1, b"}": -1}
_CUT = {b'"outputs"': b"[", b'"attachments"': b"{", b'"widgets"': b"{"}

# a string, or one that does not end, so that no byte is looked at twice; or a bracket
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|[\[\]{}]', re.DOTALL)
_COLON = re.compile(rb"\s*:\s*")


def content(path: Path, name: str, follow: bool = False) -> bytes:
    """The bytes of a regular file, which is called `name`, of no more than the limit.

    Of a notebook that is larger, those without its outputs. A link is an error unless it is to be
    followed. Raises UnreadableError.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    most = LARGEST_NOTEBOOK if plain(name).endswith(".ipynb") else LARGEST_FILE
    try:
        with os.fdopen(os.open(path, flags), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise UnreadableError(f"{name} is not a regular file")
            read = file.read(most + 1)
    except OSError as error:
        link = error.errno == errno.ELOOP and not follow
        reason = "is a link" if link else f"cannot be read: {error.strerror}"
        raise UnreadableError(f"{name} {reason}") from None
    if len(read) > most:
        raise UnreadableError(f"{name} is larger than {most // 2**20} MiB")
    if len(read) > LARGEST_FILE:
        read = without_outputs(read)
    if len(read) > LARGEST_FILE:
        limit = LARGEST_FILE // 2**20
        raise UnreadableError(f"{name} is larger than {limit} MiB, even without its outputs")
    return read


def text(path: Path, follow: bool) -> str:
    """The text of a file, its lines ended as Python ends them. Raises UnreadableError."""
    try:
        found = content(path, shown(path), follow).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UnreadableError(f"{shown(path)} is not a text file in UTF-8") from None
    found = found.replace("\r\n", "\n").replace("\r", "\n")
    if not found.strip():
        raise UnreadableError(f"{shown(path)} is empty")
    return found


def shown(path: Path) -> str:
    """The name of a file, fit to be shown on a terminal or a page: a stranger chose it."""
    return plain_text(path.name, 300)


def plain(name: str) -> str:
    """The name that a file is read by: of a.PY, a.ipynb.txt and a.ipynb.json what is meant."""
    stem, _, last = name.rpartition(".")
    if last.lower() in ("txt", "json") and answers(stem):
        return plain(stem)
    return f"{stem}.{last.lower()}" if f".{last.lower()}" in SUFFIXES else name


def answers(name: str) -> bool:
    """Is it the name of a notebook or a .py file?"""
    return plain(name).endswith(SUFFIXES)


def without_outputs(notebook: bytes) -> bytes:
    """A notebook's bytes without outputs, pasted pictures and the states of widgets."""
    return b"".join(_kept(notebook))


def _kept(notebook: bytes) -> Iterator[bytes]:
    """What lies between what is cut; what is no JSON stays as it is, for the parser to refuse."""
    begin = 0
    tokens = itertools.islice(_TOKEN.finditer(notebook), MOST_TOKENS)
    for token in tokens:
        opening = _CUT.get(token[0])
        colon = _COLON.match(notebook, token.end()) if opening else None
        if colon and notebook[colon.end() : colon.end() + 1] == opening:
            end = _closed(tokens)
            if end is None:
                break
            yield notebook[begin : colon.end()] + (b"[]" if opening == b"[" else b"{}")
            begin = end
    yield notebook[begin:]


def _closed(tokens: Iterator[re.Match[bytes]]) -> int | None:
    """Where the list or object ends that the next token opens; None if it does not."""
    depth = 0
    for token in tokens:
        depth += _DEPTH.get(token[0], 0)
        if not depth:
            return token.end()
    return None
