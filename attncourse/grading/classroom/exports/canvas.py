"""canvas.csv: Canvas's own export of its gradebook, with the column of one assignment filled.

Canvas takes Student (or LastName and FirstName), ID, SIS User ID, SIS Login ID, Section and the
columns of assignments, each "Name (id)"; a row "Points Possible" stands above the students. The
cell of a student without a grade stays as it was exported, so that it changes nothing. There is
no byte order mark: after one, Canvas does not find LastName.
"""

import re
from pathlib import Path

from attncourse.grading.classroom.files import table
from attncourse.grading.classroom.gradebook import Gradebook
from attncourse.grading.classroom.roster import ExportError, Person
from attncourse.grading.classroom.roster import table as read
from attncourse.grading.classroom.rows import Row
from attncourse.grading.classroom.weights import Scheme

COLUMNS = ("Student", "ID", "SIS User ID", "SIS Login ID", "Section")

_NAMES = ("LastName", "FirstName")
_KEPT = ("Student", *_NAMES, *COLUMNS[1:4], "Integration ID", "Root Account", "Section")
_ASSIGNMENT = re.compile(r".*\(\d+\)\s*")


def text(book: Gradebook, export: Path) -> tuple[str, list[str]]:
    """The filled export, and who of the class and of the export is missing. Raises ExportError."""
    header, lines = _read(export)
    column = _column(book.scheme, header, export)
    kept = [name for name in header if name in _KEPT]
    filled: list[list[object]] = [[*kept, header[column]]]
    possible, named = book.scheme.points, set()
    rows = {row.student: row for row in book.rows}
    for line in lines:
        told = dict(zip(header, line, strict=False))
        cell: object = told[header[column]]
        if _above(told):
            if "Points Possible" in line[0]:
                possible = _number(told[header[column]], possible)
        else:
            row = rows.get(_person(told).student)
            named |= {row.student} if row else set()
            grade = _grade(book, row, possible)
            cell = cell if grade is None else grade
        filled.append([*(told[name] for name in kept), cell])
    strangers = [str(row.student) for row in book.rows if row.student not in named]
    notes = [f"{export.name} does not name: {', '.join(strangers)}."] if strangers else []
    return table(filled), notes


def see(scheme: Scheme, export: Path) -> None:
    """See, before anything is graded, that the export can be filled. Raises ExportError."""
    header, _ = _read(export)
    _column(scheme, header, export)


def people(export: Path) -> list[Person]:
    """The students of the export. Raises ExportError."""
    header, lines = _read(export)
    told = (dict(zip(header, line, strict=False)) for line in lines)
    return [_person(one) for one in told if not _above(one)]


def _read(export: Path) -> tuple[list[str], list[list[str]]]:
    """The headings and the lines. Raises ExportError."""
    header, lines = read(export)
    named = "Student" in header or set(_NAMES) <= set(header)
    if not named or not {"ID", "Section"} <= set(header):
        raise ExportError(f"{export} is not Canvas's export: it lacks Student, ID or Section")
    return header, lines


def _person(told: dict[str, str]) -> Person:
    name = told["Student"] if "Student" in told else ", ".join(told[part] for part in _NAMES)
    logins = {told.get(column, "").strip() for column in ("SIS Login ID", "SIS User ID")}
    return Person(name.strip(), told["ID"].strip(), frozenset(logins - {""}))


def _above(told: dict[str, str]) -> bool:
    """Is it one of the rows above the students?"""
    return not told["ID"].strip()


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


def _grade(book: Gradebook, row: Row | None, possible: float) -> float | None:
    if row is None or row.points is None:
        return None
    return round(row.points / book.scheme.points * possible, 2)


def _number(text: str, otherwise: float) -> float:
    try:
        return float(text.replace(",", "."))
    except ValueError:
        return otherwise
