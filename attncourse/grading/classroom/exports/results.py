"""results.json: everything that is known of the class, in a form with a published schema."""

import json
from collections.abc import Mapping
from importlib import resources
from typing import Any

from attncourse.course import exercise as contract
from attncourse.grading.classroom.gradebook import Gradebook
from attncourse.grading.classroom.rows import Row
from attncourse.grading.classroom.scores import File, Score
from attncourse.grading.classroom.similarity import Pair

VERSION = 1


def text(book: Gradebook) -> str:
    """The class as JSON, keys in order, the same byte for byte for the same class.

    A line for each student, and for each item of the other lists.
    """
    parts = (f"{_line(key)}: {_lines(value)}" for key, value in sorted(document(book).items()))
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _lines(value: Any) -> str:
    if not (value and isinstance(value, list)):
        return _line(value)
    return "[\n " + ",\n ".join(map(_line, value)) + "\n]"


def _line(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def schema() -> dict[str, Any]:
    """The JSON schema of the document."""
    name = "results.schema.json"
    return json.loads(resources.files(__package__).joinpath(name).read_text("utf-8"))


def document(book: Gradebook) -> dict[str, Any]:
    """The class as plain data."""
    return {
        "version": VERSION,
        "title": book.scheme.title,
        "points": book.scheme.points,
        "manifest": dict(book.manifest),
        "digest": book.digest,
        "exercises": [_exercise(book, name) for name in book.exercises],
        "students": [_student(book, row) for row in book.rows],
        "duplicates": [
            [{**_who(student), "file": name} for student, name in group]
            for group in book.duplicates
        ],
        "similar": [_pair(pair) for pair in book.similar],
        "left_out": list(book.left_out),
        "apart": list(book.apart),
    }


def _who(student: Any) -> dict[str, str]:
    return {"student": student.name, "number": student.number}


def _pair(pair: Pair) -> dict[str, Any]:
    sides = [
        {**_who(side.student), "file": side.file, "lines": list(side.lines)} for side in pair.sides
    ]
    told = {"exercise": pair.exercise, "share": pair.share, "shared": pair.shared}
    return {**told, "sides": sides}


def _exercise(book: Gradebook, name: str) -> dict[str, Any]:
    exercise = contract.get(name)
    told = {"name": name, "title": exercise.title, "chapter": exercise.chapter}
    return told | {"points": round(book.worth(name), 4), "checks": list(exercise.checks)}


def _student(book: Gradebook, row: Row) -> dict[str, Any]:
    return {
        **_who(row.student),
        "late": row.late,
        "state": row.state,
        "told_by": book.told.get(row.student, ""),
        "points": book.total(row),
        "files": [_file(file) for file in row.files],
        "refused": [{"file": entry.name, "reason": entry.reason} for entry in row.refused],
        "notes": row.notes,
        "exercises": [_score(book, row, row.scores[name]) for name in book.exercises],
    }


def _file(file: File) -> dict[str, Any]:
    closing = file.entry.closing
    told = {key: closing[key] for key in ("exercises", "notes", "unreadable", "fault")}
    return {"name": file.handed.name, "sha256": file.sha256, "late": file.handed.late, **told}


def _score(book: Gradebook, row: Row, score: Score) -> dict[str, Any]:
    nothing = {"checks": [], "passed": 0, "of": 0, "fault": "", "figure": None}
    record: Mapping[str, Any] = score.record or nothing
    told = {key: record[key] for key in ("checks", "passed", "of", "fault", "figure")}
    return {
        "exercise": score.exercise,
        "state": score.state,
        "points": book.points(row, score.exercise),
        "file": score.file,
        "instead_of": list(score.instead_of),
        "unclear": list(score.unclear),
        "hidden": list(score.hidden),
        **told,
    }
