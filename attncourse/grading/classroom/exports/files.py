"""Writing whole files and safe tables."""

import csv
import io
import os
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def replace(path: Path, text: str) -> None:
    """Write a file whole, or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.tmp")
    with draft.open("w", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def table(rows: Iterable[Sequence[object]]) -> str:
    """Rows as CSV (RFC 4180). No cell is a formula; no control or direction character is left."""
    made = io.StringIO()
    csv.writer(made).writerows([cell(value) for value in row] for row in rows)
    return made.getvalue()


def cell(value: object) -> str:
    """A value as a cell: a number as it is, a text so that no spreadsheet computes it."""
    if value is None:
        return ""
    if isinstance(value, int | float):
        return f"{value:g}" if abs(value) < 1e6 else repr(value)
    text = printable(str(value))
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text


def printable(text: str) -> str:
    """A text without control and direction characters; line breaks stay."""
    if text.replace("\n", "").isprintable():
        return text
    kept = (c for c in text if c == "\n" or unicodedata.category(c)[0] != "C")
    return "".join(kept)
