"""What a gradebook is written as: tables, imports for Canvas and Moodle, JUnit XML, JSON."""

from dataclasses import dataclass
from pathlib import Path

from attncourse.grading.classroom.exports import alike, canvas, junit, moodle, results, table
from attncourse.grading.classroom.files import for_spreadsheets, replace
from attncourse.grading.classroom.gradebook import Gradebook
from attncourse.grading.classroom.roster import Person
from attncourse.grading.classroom.weights import Scheme

__all__ = ["Files", "write"]


@dataclass(frozen=True)
class Files:
    """What a learning system exported, to be filled: Canvas's gradebook, Moodle's worksheet."""

    canvas: Path | None = None
    moodle: Path | None = None

    def people(self, scheme: Scheme) -> list[Person]:
        """Who is in the course. Raises ExportError, also if the files cannot be filled."""
        if self.canvas:
            canvas.see(scheme, self.canvas)
            return canvas.people(self.canvas)
        return moodle.people(self.moodle) if self.moodle else []


def write(book: Gradebook, out: Path, files: Files) -> tuple[list[str], list[str]]:
    """Write every file that can be written; their names, and what is to be told.

    Raises ExportError and WriteError.
    """
    texts = {
        "gradebook.csv": for_spreadsheets(table.text(book)),
        "similarity.csv": for_spreadsheets(alike.text(book)),
        "results.json": results.text(book),
        "junit.xml": junit.text(book),
    }
    notes: list[str] = []
    if files.canvas is not None:
        texts["canvas.csv"], told = canvas.text(book, files.canvas)
        notes += told
    if files.moodle is not None or "Moodle" in book.systems:
        texts["moodle.csv"], told = moodle.text(book, files.moodle)
        notes += told
    for name, text in texts.items():
        replace(out / name, text)
    return list(texts), notes
