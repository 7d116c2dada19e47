"""Who is in the course, by the file that Canvas or Moodle exported, and who of them handed in."""

import csv
import io
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from attncourse.core.errors import CourseError
from attncourse.grading.classroom.files import printable
from attncourse.grading.classroom.names import Student, clean


class ExportError(CourseError):
    """The export cannot be filled; the message is one sentence."""


@dataclass(frozen=True)
class Person:
    """A line of the export: a name, the system's number, and other names to be found by."""

    name: str
    number: str
    logins: frozenset[str] = frozenset()

    @property
    def student(self) -> Student:
        """As they are called in the gradebook."""
        return Student(clean(self.name), self.number)


def table(path: Path) -> tuple[list[str], list[list[str]]]:
    """The headings and the lines of an exported CSV, all as long. Raises ExportError."""
    try:
        content = path.read_text(encoding="utf-8-sig")
        first = content.partition("\n")[0]
        # as the teacher's Canvas or spreadsheet is set
        comma = max(",;\t", key=lambda mark: (first.count(mark), mark == ","))
        lines = csv.reader(io.StringIO(content, newline=""), delimiter=comma, strict=True)
        rows = [row for row in lines if any(row)]
    except OSError as error:
        raise ExportError(f"{path} cannot be read: {error.strerror}") from None
    except (csv.Error, ValueError):
        raise ExportError(f"{path} is not a CSV file in UTF-8") from None
    header = [name.strip() for name in rows[0]] if rows else []
    return header, [row + [""] * (len(header) - len(row)) for row in rows[1:]]


def match(people: Sequence[Person], students: Iterable[Student]) -> dict[Student, Person]:
    """Whose line is whose: by number, by login, by name; only where one fits and no other."""
    found: dict[Student, Person] = {}
    left = set(students)
    for same in (_number, _login, _name, _plain_name):
        free = [person for person in people if person not in found.values()]
        pairs = [(s, p) for s in left for p in free if same(s, p)]
        for student, person in pairs:
            others = [pair for pair in pairs if student in pair or person in pair]
            if len(others) == 1:
                found[student] = person
        left -= set(found)
    return found


def same_name(one: str, other: str) -> bool:
    """Is it the same name, whichever part stands first?"""
    shared = _forms(one, letters) & _forms(other, letters)
    return bool(shared - {""})


def _number(student: Student, person: Person) -> bool:
    return bool(student.number) and student.number == person.number


def _login(student: Student, person: Person) -> bool:
    return student.name in person.logins


def _name(student: Student, person: Person) -> bool:
    return same_name(student.name, person.name)


def _plain_name(student: Student, person: Person) -> bool:
    return bool((_forms(student.name, _ascii) & _forms(person.name, _ascii)) - {""})


def _forms(name: str, write: Callable[[str], str]) -> set[str]:
    """A name in the orders in which it is written: Lovelace, Ada is Ada Lovelace is lovelaceada."""
    last, comma, first = name.partition(",")
    turned = f"{first} {last}" if comma else name
    words = sorted(write(word) for word in re.split(r"[\W_]+", name))
    return {write(name), write(turned), "".join(words)}


def letters(name: str) -> str:
    """The letters and digits of a name, as Canvas writes it in the names of files."""
    plain = unicodedata.normalize("NFKC", printable(name)).casefold()
    return "".join(c for c in plain if c.isalnum())


def _ascii(name: str) -> str:
    """The letters without their accents."""
    return "".join(c for c in unicodedata.normalize("NFKD", letters(name)) if c.isalnum())
