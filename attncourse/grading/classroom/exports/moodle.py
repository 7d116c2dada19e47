"""moodle.csv: a grading worksheet for "Upload grading worksheet" of a Moodle assignment.

Moodle finds a student by Identifier, and needs the columns Grade and Last modified (grade) to be
there; it wipes the grade or the feedback that a line lacks, so that every line has both. A grade
newer than the worksheet is kept unless "Allow updating records that have been modified more
recently in Moodle than in the spreadsheet" is ticked. Headings are those of Moodle in English.
Moodle shows feedback as HTML, so that what stands there is text of a page, with its line ends.
"""

import html
from pathlib import Path

from attncourse.grading.classroom.files import table
from attncourse.grading.classroom.gradebook import Gradebook
from attncourse.grading.classroom.roster import ExportError, Person
from attncourse.grading.classroom.roster import table as read
from attncourse.grading.classroom.rows import Row
from attncourse.grading.classroom.words import feedback

COLUMNS = (
    "Identifier",
    "Full name",
    "Grade",
    "Maximum grade",
    "Last modified (grade)",
    "Feedback comments",
)
_NEEDED = ("Identifier", "Grade", "Last modified (grade)")


def text(book: Gradebook, worksheet: Path | None = None) -> tuple[str, list[str]]:
    """The worksheet, and whom it leaves out: those who have no number or no grade.

    One that was downloaded is filled, and lines without a grade stay as they are. Raises
    ExportError.
    """
    ready = [row for row in book.rows if row.student.number and row.points is not None]
    if worksheet is None:
        lines = [[_line(book, row).get(name) for name in COLUMNS] for row in ready]
        header: list[str] = list(COLUMNS)
    else:
        header, found = _read(worksheet)
        rows = {row.student.number: row for row in ready}
        lines = [_filled(book, dict(zip(header, line, strict=False)), rows) for line in found]
        numbers = {_number(dict(zip(header, line, strict=False))) for line in found}
        ready = [row for row in ready if row.student.number in numbers]
    absent = [str(row.student) for row in book.rows if row not in ready]
    told = [f"moodle.csv leaves out, for want of a grade: {', '.join(absent)}."] if absent else []
    return table([header, *lines]), told


def people(worksheet: Path) -> list[Person]:
    """The participants of a downloaded worksheet. Raises ExportError."""
    header, lines = _read(worksheet)
    told = (dict(zip(header, line, strict=False)) for line in lines)
    columns = ("ID number", "Email address", "Username")
    return [
        Person(
            one.get("Full name", "") or one["Identifier"],
            _number(one),
            frozenset(one.get(column, "") for column in columns) - {""},
        )
        for one in told
    ]


def _read(worksheet: Path) -> tuple[list[str], list[list[str]]]:
    header, lines = read(worksheet)
    if not set(_NEEDED) <= set(header):
        needed = ", ".join(_NEEDED)
        raise ExportError(
            f"{worksheet} is not Moodle's grading worksheet: it lacks one of {needed}"
        )
    return header, lines


def _number(told: dict[str, str]) -> str:
    """7001 of Participant 7001."""
    return told["Identifier"].rpartition(" ")[2].strip()


def _line(book: Gradebook, row: Row) -> dict[str, object]:
    told = html.escape(feedback(book, row), quote=False).replace("\n", "<br>\n")
    return {
        "Identifier": f"Participant {row.student.number}",
        "Full name": html.escape(row.student.name, quote=False),
        "Grade": book.total(row),
        "Maximum grade": book.scheme.points,
        "Last modified (grade)": "-",
        "Feedback comments": told,
    }


def _filled(book: Gradebook, told: dict[str, str], rows: dict[str, Row]) -> list[object]:
    """A line of the downloaded worksheet, with the grade in its scale."""
    row = rows.get(_number(told))
    if row is None or row.points is None:
        return list(told.values())
    made = _line(book, row)
    try:
        most = float(told.get("Maximum grade", "").replace(",", "."))
    except ValueError:
        most = book.scheme.points
    grade = round(row.points / book.scheme.points * most, 2)
    new = {"Grade": grade, "Feedback comments": made["Feedback comments"]}
    return [new.get(name, value) for name, value in told.items()]
