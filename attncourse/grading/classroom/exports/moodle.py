"""moodle.csv: a grading worksheet for "Upload grading worksheet" of a Moodle assignment.

Moodle finds a student by Identifier, and needs the columns Grade and Last modified (grade) to be
there; it wipes the grade or the feedback that a line lacks, so that every line has both. A grade
newer than the worksheet is kept unless "Allow updating records that have been modified more
recently in Moodle than in the spreadsheet" is ticked. Headings are those of Moodle in English.
Moodle shows feedback as HTML, so that what stands there is text of a page, with its line ends.
"""

import html

from attncourse.grading.classroom.exports.files import table
from attncourse.grading.classroom.gradebook import Gradebook, Row
from attncourse.grading.classroom.words import feedback

COLUMNS = (
    "Identifier",
    "Full name",
    "Grade",
    "Maximum grade",
    "Last modified (grade)",
    "Feedback comments",
)


def text(book: Gradebook) -> tuple[str, list[str]]:
    """The worksheet, and whom it leaves out: those who have no number or no grade."""
    ready = [row for row in book.rows if row.student.number and row.points is not None]
    lines = [_line(book, row) for row in ready]
    absent = [str(row.student) for row in book.rows if row not in ready]
    told = [f"moodle.csv leaves out, for want of a grade: {', '.join(absent)}."] if absent else []
    return table([COLUMNS, *lines]), told


def _line(book: Gradebook, row: Row) -> list[object]:
    who = [f"Participant {row.student.number}", html.escape(row.student.name, quote=False)]
    told = html.escape(feedback(book, row), quote=False).replace("\n", "<br>\n")
    return [*who, row.points, book.scheme.points, "-", told]
