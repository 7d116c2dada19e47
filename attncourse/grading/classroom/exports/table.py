"""gradebook.csv: a line for each student."""

from attncourse.grading.classroom.files import table
from attncourse.grading.classroom.gradebook import Gradebook
from attncourse.grading.classroom.rows import Row

BEFORE = ("student", "number", "late", "state")
AFTER = ("points", "points_possible", "percent", "files", "notes")

_LATE = {True: "yes", False: "no", None: ""}


def text(book: Gradebook) -> str:
    """Columns as BEFORE, the points of each exercise under its name, and AFTER.

    Points that are not known (nothing readable, a fault of the grader) are empty, never 0.
    """
    header = (*BEFORE, *book.exercises, *AFTER)
    return table([header, *(_line(book, row) for row in book.rows)])


def _line(book: Gradebook, row: Row) -> list[object]:
    before = [row.student.name, row.student.number, _LATE[row.late], row.state]
    each = [book.points(row, name) for name in book.exercises]
    most = book.scheme.points
    percent = book.percent(row)
    files = "; ".join(file.handed.name for file in row.files)
    return [
        *before,
        *each,
        book.total(row),
        most,
        None if percent is None else round(percent, 1),
        files,
        " ".join(row.notes),
    ]
