"""canvas.csv: Canvas's own export of its gradebook, with the column of one assignment filled.

Canvas takes Student, ID, SIS User ID, SIS Login ID, Section and the columns of assignments, each
"Name (id)"; a row "Points Possible" stands above the students. The cell of a student without a
grade stays as it was exported, so that it changes nothing.
"""

import csv
import io
import re
import unicodedata
from pathlib import Path

from attncourse.core.errors import CourseError
from attncourse.grading.classroom.exports.files import printable, table
from attncourse.grading.classroom.gradebook import Gradebook, Row
from attncourse.grading.classroom.weights import Scheme

COLUMNS = ("Student", "ID", "SIS User ID", "SIS Login ID", "Section")

_ASSIGNMENT = re.compile(r".*\(\d+\)\s*")


class ExportError(CourseError):
    """The export cannot be filled; the message is one sentence."""


def text(book: Gradebook, export: Path) -> tuple[str, list[str]]:
    """The filled export, and whom of the class it does not know. Raises ExportError."""
    header, lines = _read(export)
    column = _column(book.scheme, header, export)
    kept = [*COLUMNS, header[column]]
    filled: list[list[object]] = [list(kept)]
    possible, named = book.scheme.points, set()
    for line in lines:
        told = dict(zip(header, line, strict=False))
        if not told["ID"].strip():  # the rows above the students
            if told["Student"].strip() == "Points Possible":
                possible = _number(told[header[column]], possible)
            filled.append([told.get(name, "") for name in kept])
            continue
        row = _match(book, told)
        named |= {row.student} if row else set()
        grade = _grade(book, row, possible)
        cell = told[header[column]] if grade is None else grade
        filled.append([*(told.get(name, "") for name in COLUMNS), cell])
    strangers = [str(row.student) for row in book.rows if row.student not in named]
    notes = [f"{export.name} does not name: {', '.join(strangers)}."] if strangers else []
    return table(filled), notes


def see(scheme: Scheme, export: Path) -> None:
    """See, before anything is graded, that the export can be filled. Raises ExportError."""
    header, _ = _read(export)
    _column(scheme, header, export)


def _read(export: Path) -> tuple[list[str], list[list[str]]]:
    """The headings and the lines. Raises ExportError."""
    try:
        content = export.read_text(encoding="utf-8-sig")
        first = content.partition("\n")[0]
        comma = (
            ";" if first.count(";") > first.count(",") else ","
        )  # as the teacher's Canvas is set
        lines = csv.reader(io.StringIO(content), delimiter=comma, strict=True)
        rows = [row for row in lines if any(row)]
    except OSError as error:
        raise ExportError(f"{export} cannot be read: {error.strerror}") from None
    except (csv.Error, ValueError):
        raise ExportError(f"{export} is not a CSV file in UTF-8") from None
    header = [name.strip() for name in rows[0]] if rows else []
    if not {"Student", "ID", "Section"} <= set(header):
        raise ExportError(f"{export} is not Canvas's export: it lacks Student, ID or Section")
    return header, [row + [""] * (len(header) - len(row)) for row in rows[1:]]


def _column(scheme: Scheme, header: list[str], export: Path) -> int:
    """The assignment's column: the one named, or titled so, or the only one. Raises ExportError."""
    columns = [i for i, name in enumerate(header) if _ASSIGNMENT.fullmatch(name)]
    wanted = scheme.canvas or scheme.title
    for i in columns:
        if header[i] in (wanted, f"{wanted} ({_identity(header[i])})"):
            return i
    if len(columns) == 1 and not scheme.canvas:
        return columns[0]
    names = ", ".join(repr(n) for n in header if _ASSIGNMENT.fullmatch(n)) or "none"
    raise ExportError(
        f'{export}: which column is this assignment\'s? Say canvas = "Name (id)" in the file of '
        f"--weights; there are: {names}"
    )


def _identity(name: str) -> str:
    return name.rpartition("(")[2].rstrip(") ")


def _match(book: Gradebook, told: dict[str, str]) -> Row | None:
    """The student of a line: by Canvas's number, by login, by name; None if not one alone."""
    for fits in (
        lambda student: bool(student.number) and student.number == told["ID"].strip(),
        lambda student: student.name in (told.get("SIS Login ID"), told.get("SIS User ID")),
        lambda student: _letters(student.name) == _letters(told["Student"]),
    ):
        rows = [row for row in book.rows if fits(row.student)]
        if len(rows) == 1:
            return rows[0]
    return None


def _letters(name: str) -> str:
    """A name as Canvas writes it in the names of files: lastnamefirst."""
    plain = unicodedata.normalize("NFKC", printable(name)).casefold()
    return "".join(c for c in plain if c.isalnum())


def _grade(book: Gradebook, row: Row | None, possible: float) -> float | None:
    if row is None or row.points is None:
        return None
    return round(row.points / book.scheme.points * possible, 2)


def _number(text: str, otherwise: float) -> float:
    try:
        return float(text.replace(",", "."))
    except ValueError:
        return otherwise
