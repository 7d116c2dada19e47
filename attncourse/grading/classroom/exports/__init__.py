"""What a gradebook is written as: tables, imports for Canvas and Moodle, JUnit XML, JSON."""

from pathlib import Path

from attncourse.grading.classroom.exports import alike, canvas, junit, moodle, results, table
from attncourse.grading.classroom.exports.files import replace
from attncourse.grading.classroom.gradebook import Gradebook

__all__ = ["see", "write"]

see = canvas.see


def write(book: Gradebook, out: Path, export: Path | None) -> tuple[list[str], list[str]]:
    """Write every file that can be written; their names, and what is to be told.

    export is Canvas's own export of its gradebook. Raises canvas.ExportError.
    """
    texts = {
        "gradebook.csv": table.text(book),
        "similarity.csv": alike.text(book),
        "results.json": results.text(book),
        "junit.xml": junit.text(book),
    }
    notes: list[str] = []
    if export is not None:
        texts["canvas.csv"], told = canvas.text(book, export)
        notes += told
    if "Moodle" in book.systems:
        texts["moodle.csv"], told = moodle.text(book)
        notes += told
    for name, text in texts.items():
        replace(out / name, text)
    return list(texts), notes
