"""The reports in HTML: one for each student, one for the class. Static, without JavaScript."""

import functools
import re
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from attncourse.course import exercise as contract
from attncourse.course import report
from attncourse.course.checking import Result
from attncourse.grading.classroom import insight, words
from attncourse.grading.classroom.files import replace
from attncourse.grading.classroom.gradebook import Gradebook
from attncourse.grading.classroom.names import Student
from attncourse.grading.classroom.pages import heatmap
from attncourse.grading.classroom.pages.naming import page_names
from attncourse.grading.classroom.remarks import remarks
from attncourse.grading.classroom.rows import Row
from attncourse.grading.classroom.scores import Score
from attncourse.grading.sandbox import WARNING

__all__ = ["write"]

MARKS: dict[str, str] = {str(k): v for k, v in report.MARKS.items()} | {
    "needs-regrade": "!",
    "unclear": "?",
    "unreadable": "?",
}

CLASS, STUDENTS = "class.html", "students"


def write(book: Gradebook, out: Path) -> list[str]:
    """Write both kinds of reports; pages of students who are gone are removed."""
    environment = Environment(
        loader=PackageLoader(__package__, "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["code"] = _code
    environment.filters["dedent"] = textwrap.dedent
    environment.filters["points"] = lambda value: f"{value:.4g}"
    common = {
        "title": book.scheme.title,
        "book": book,
        "css": (Path(__file__).parent / "style.css").read_text("utf-8"),
        "marks": MARKS,
        "warning": WARNING if book.manifest["isolation"] == "limits" else "",
    }
    pages = page_names(row.student for row in book.rows)
    folder = out / STUDENTS
    for row in book.rows:
        text = environment.get_template("student.html").render(common | _student(book, row))
        replace(folder / pages[row.student], text)
    stale = set(folder.glob("*.html")) - {folder / name for name in pages.values()}
    for path in stale:
        path.unlink()
    made = environment.get_template("class.html").render(common | _class(book, pages))
    replace(out / CLASS, made)
    return [CLASS, f"{STUDENTS}/"]


@functools.lru_cache(maxsize=4096, typed=True)  # most is said to many
def _code(text: str) -> Markup:
    """A text in which `this` is code and *this* is stressed."""
    coded = re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text)))
    return Markup(re.sub(r"(?<![\w*])\*(\w[\w ]*\w)\*(?![\w*])", r"<em>\1</em>", coded))


def _student(book: Gradebook, row: Row) -> dict[str, Any]:
    sections = [_section(book, row, name) for name in book.exercises]
    todo = [s for s in sections if s["state"] in ("failed", "not attempted")]
    return {
        "row": row,
        "sections": sections,
        "passed": sum(section["state"] == "passed" for section in sections),
        "first": next((s for s in todo if s["state"] == "failed"), todo[0] if todo else None),
        "most": book.scheme.points,
        "total": book.total(row),
    }


def _section(book: Gradebook, row: Row, name: str) -> dict[str, Any]:
    """One exercise of one student, as the page shows it."""
    score, exercise = row.scores[name], contract.get(name)
    record: Mapping[str, Any] = score.record or {"checks": [], "exercise": name, "figure": None}
    result = words.result(record)
    lines = list(report.lines(result))[1:] if record["checks"] else []
    figure = record["figure"]
    drawn = caption = ""
    if figure and score.state == "failed":
        rows, columns = figure["shape"]
        shown = len(figure["values"]), len(figure["values"][0])
        cut = "" if shown == (rows, columns) else f" (here the first {shown[0]} by {shown[1]})"
        caption = f"Your result in “{figure['check']}”, {rows} by {columns}{cut}: {heatmap.LEGEND}."
        drawn = heatmap.svg(figure, caption)
    return {
        "name": name,
        "title": exercise.title,
        "chapter": exercise.chapter,
        "state": score.state,
        "headline": _headline(score, result),
        "passed": result.passed,
        "of": len(exercise.checks),
        "points": book.points(row, name),
        "worth": book.worth(name),
        "lines": lines,
        "diagnosed": next((line.text for line in lines if line.diagnosis), ""),
        "hint": words.next_hint(score),
        "hints": len(exercise.hints),
        "figure": drawn,
        "caption": caption,
    }


def _headline(score: Score, result: Result) -> str:
    if score.hidden or score.unclear:
        return f"{score.exercise}: {words.unknown(score)}"
    return report.headline(result) if score.record else f"{score.exercise}: not handed in"


def _class(book: Gradebook, pages: Mapping[Student, str]) -> dict[str, Any]:
    percents = insight.percents(book)
    bins = insight.distribution(percents)
    known = [row for row in book.rows if row.points is not None]
    return {
        "pages": {student: f"{STUDENTS}/{name}" for student, name in pages.items()},
        "percents": percents,
        "median": insight.median(percents),
        "mean": insight.mean(percents),
        "bins": bins,
        "highest": max([count for _, count in bins] + [1]),
        "difficulties": insight.difficulties(book),
        "mistakes": insight.mistakes(book),
        "titles": {name: contract.get(name).title for name in book.exercises},
        "unknown": len(book.rows) - len(known),
        "late": sum(row.late is True for row in book.rows),
        "remarks": remarks(book),
        "ways": _ways(book),
    }


def _ways(book: Gradebook) -> list[tuple[str, list[Row]]]:
    """What told whose the files are, and of whom."""
    found: dict[str, list[Row]] = {}
    for row in book.rows:
        found.setdefault(book.told.get(row.student, ""), []).append(row)
    return sorted(found.items(), key=lambda way: -len(way[1]))
