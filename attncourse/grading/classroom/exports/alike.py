"""similarity.csv: a line for each pair of answers that are alike, with the lines they share."""

from attncourse.grading.classroom.files import table
from attncourse.grading.classroom.gradebook import Gradebook
from attncourse.grading.classroom.similarity import Pair

_SIDE = ("student", "number", "file", "lines")
COLUMNS = (
    *("exercise", "share", "shared"),
    *(f"{name}_{i}" for i in (1, 2) for name in _SIDE),
)


def text(book: Gradebook) -> str:
    """Share is the part of the shorter answer's own fingerprints that the other has too."""
    return table([COLUMNS, *(_line(pair) for pair in book.similar)])


def _line(pair: Pair) -> list[object]:
    line: list[object] = [pair.exercise, pair.share, pair.shared]
    for side in pair.sides:
        line += [side.student.name, side.student.number, side.file, "\n".join(side.lines)]
    return line
