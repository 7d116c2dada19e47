"""Writing whole files and safe tables."""

import contextlib
import csv
import errno
import io
import os
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

from attncourse.core.errors import CourseError

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)  # what is wrong is the disk

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class WriteError(CourseError):
    """A file cannot be written; the message is one sentence."""


def replace(path: Path, text: str) -> None:
    """Write a file whole, or not at all. Raises WriteError."""
    draft = path.with_name(f".{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise WriteError(unwritten(path, error)) from None


def unwritten(path: Path, error: OSError) -> str:
    """That a file cannot be written, and how to go on."""
    kept = "what is graded is kept, and the same command goes on when that is mended"
    return f"{path} cannot be written: {error.strerror}; {kept}"


def table(rows: Iterable[Sequence[object]]) -> str:
    """Rows as CSV (RFC 4180). No cell is a formula; no control or direction character is left."""
    made = io.StringIO()
    csv.writer(made).writerows([cell(value) for value in row] for row in rows)
    return made.getvalue()


def for_spreadsheets(text: str) -> str:
    """A table that Excel, too, reads as UTF-8: by a byte order mark."""
    return f"\ufeff{text}"


def cell(value: object) -> str:
    """A value as a cell: a number as it is, a text so that no spreadsheet computes it."""
    if value is None:
        return ""
    if isinstance(value, int | float):
        return f"{value:g}" if abs(value) < 1e6 else repr(value)
    text = printable(str(value))
    if text == "-":  # which no spreadsheet computes, and Moodle writes where there is no date
        return text
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text


def printable(text: str) -> str:
    """A text without control and direction characters; line breaks stay."""
    if text.replace("\n", "").isprintable():
        return text
    kept = (c for c in text if c == "\n" or unicodedata.category(c)[0] != "C")
    return "".join(kept)
