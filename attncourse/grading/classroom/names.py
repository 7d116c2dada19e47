"""What the name of a file or folder tells: whose it is, whether it is late, which version."""

import re
from dataclasses import dataclass

from attncourse.grading.wire.frames import plain_text

# lastnamefirst_LATE_12345_67890_masks.ipynb: the numbers of the user and of the file
_CANVAS = re.compile(r"([^_]+)(_LATE)?_(\d+)_(\d+)_(.+)", re.DOTALL)

# First Last_1234567_assignsubmission_file_, a folder, or with the file's name after it
_MOODLE = re.compile(r"(.+)_(\d+)_assignsubmission_(?:file|onlinetext)(?:_(.*))?", re.DOTALL)

# masks-1.ipynb (Canvas, a second hand-in), masks (2).ipynb (a browser), masks_v3.ipynb
_VERSION = re.compile(r"(?:[ _-]*\((\d{1,3})\)|[ _-]v(\d{1,3})|-(\d{1,3}))$", re.IGNORECASE)


@dataclass(frozen=True, order=True)
class Student:
    """Who handed something in: a name, and the number that Canvas or Moodle gave."""

    name: str
    number: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.number})" if self.number else self.name


@dataclass(frozen=True)
class Told:
    """What a name told: the student, the file's own name, late (None: not told), its number."""

    student: Student
    name: str
    late: bool | None = None
    number: int = 0
    system: str = ""


def of_file(name: str) -> Told:
    """Whose a single file is: by Moodle's or Canvas's name, or else by its own."""
    stem = name.rpartition(".")[0] or name
    return moodle(name) or canvas(name) or Told(Student(clean(stem)), name)


def canvas(name: str) -> Told | None:
    """What the name of a file in Canvas's bulk download tells; None if it is none."""
    found = _CANVAS.fullmatch(name)
    if not found:
        return None
    who, late, user, file, own = found.groups()
    return Told(Student(clean(who), user), own, late is not None, int(file[:18]), "Canvas")


def moodle(name: str) -> Told | None:
    """What the name of a folder or file in Moodle's bulk download tells; None if it is none."""
    found = _MOODLE.fullmatch(name)
    if not found:
        return None
    who, number, own = found.groups()
    return Told(Student(clean(who), number), own or "", system="Moodle")


def version(name: str) -> int:
    """The version that a file's name tells: masks (2).ipynb is 2, masks.ipynb is 0."""
    stem = name.rpartition("/")[2].rpartition(".")[0]
    found = _VERSION.search(stem)
    return int(next(number for number in found.groups() if number)) if found else 0


def clean(name: str) -> str:
    """A name fit to be shown, of at most 100 characters."""
    return " ".join(plain_text(name, 100).split()) or "(no name)"


def assignment(folder: str, clones: list[str]) -> str:
    """What the names of GitHub Classroom's clones in a folder begin with: assignment-login."""
    named = folder.removesuffix("submissions")
    if clones and named.endswith("-") and all(name.startswith(named) for name in clones):
        return named
    if len(clones) < 2:
        return ""
    parts = clones[0].split("-")
    prefixes = ["-".join(parts[:count]) + "-" for count in range(len(parts) - 1, 0, -1)]
    return next((p for p in prefixes if all(name.startswith(p) for name in clones)), "")
