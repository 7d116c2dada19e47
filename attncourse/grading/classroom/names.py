"""What the name of a file or folder tells: whose it is, whether it is late, which version."""

import re
import unicodedata
from dataclasses import dataclass

from attncourse.grading.wire.frames import plain_text

LONGEST = 100  # characters of a name that are shown

# lastnamefirst_LATE_12345_67890_masks.ipynb: the numbers of the user and of the file
_CANVAS = re.compile(r"(.+?)(_LATE)?_(\d+)_(\d+)_(.+)", re.DOTALL)

# anon_x1Y2z_67890_masks.ipynb, of an assignment that is graded anonymously
_ANONYMOUS = re.compile(r"(LATE_)?(anon_(?=\d*[A-Za-z])[A-Za-z0-9]+)_(\d+)_(.+)", re.DOTALL)

# First Last_1234567_assignsubmission_file_, a folder, or with the file's name after it
_MOODLE = re.compile(r"(.+)_(\d+)_assignsubmission_(?:file|onlinetext)(?:_(.*))?", re.DOTALL)

# ada+week-2+2024-05-01 10:20:30.123456 UTC, as nbgrader collects
_NBGRADER = re.compile(r"(.+?)\+.+\+(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\b.*", re.DOTALL)

# Week 2_ada_attempt_2024-05-01-10-20-30_masks.ipynb
_BLACKBOARD = re.compile(r"(.+)_([^_]+)_attempt_(\d{4}(?:-\d\d){5})(?:_(.*))?\.(\w+)", re.DOTALL)

# masks-1.ipynb (Canvas, a second hand-in), masks (2).ipynb (a browser), masks_v3.ipynb
_VERSION = re.compile(r"(?:[ _-]*\((\d{1,3})\)|[ _-]v(\d{1,3})|-(\d{1,3}))$", re.IGNORECASE)

# Copy of masks.ipynb, as Google Drive calls it in some languages
_COPY = re.compile(r"^(?:Copy of|Kopie von|Copie de|Copia de|Cópia de|Kopia)\s+", re.IGNORECASE)


@dataclass(frozen=True, order=True)
class Student:
    """Who handed something in: a name, and the number that Canvas or Moodle gave."""

    name: str
    number: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.number})" if self.number else self.name


@dataclass(frozen=True)
class Told:
    """What a name told: the student, the file's own name, late (None: not told), its number.

    written is the student's name as it stands there, which tells apart who has no number; by is
    what told it, for the teacher.
    """

    student: Student
    name: str
    late: bool | None = None
    number: int = 0
    system: str = ""
    written: str = ""
    by: str = ""


def own(name: str, file: str = "", by: str = "") -> Told:
    """What a name without a number tells."""
    return Told(Student(clean(name)), file, written=name, by=by)


def canvas(name: str) -> Told | None:
    """What the name of a file in Canvas's bulk download tells; None if it is none."""
    by = "Canvas's names of files"
    found = _ANONYMOUS.fullmatch(name)
    if found:
        late, who, file, own_name = found.groups()
        return Told(Student(who), own_name, late is not None, int(file[:18]), "Canvas", who, by)
    found = _CANVAS.fullmatch(name)
    if not found:
        return None
    who, late, user, file, own_name = found.groups()
    student = Student(clean(who), user)
    return Told(student, own_name, late is not None, int(file[:18]), "Canvas", "", by)


def moodle(name: str) -> Told | None:
    """What the name of a folder or file in Moodle's bulk download tells; None if it is none."""
    found = _MOODLE.fullmatch(name)
    if not found:
        return None
    who, number, file = found.groups()
    return Told(Student(clean(who), number), file or "", system="Moodle", by="Moodle's names")


def blackboard(name: str) -> Told | None:
    """What the name of a file in Blackboard's download tells; None if it is none."""
    found = _BLACKBOARD.fullmatch(name)
    if not found:
        return None
    _, who, when, file, suffix = found.groups()
    number, file = int(when.replace("-", "")), f"{file or 'attempt'}.{suffix}"
    by = "Blackboard's names of files"
    return Told(Student(clean(who)), file, None, number, "Blackboard", who, by)


def nbgrader(name: str) -> Told | None:
    """What the name of a folder that nbgrader collected tells; None if it is none."""
    found = _NBGRADER.fullmatch(name)
    if not found:
        return None
    number = int(re.sub(r"\D", "", found[2]))
    return Told(Student(clean(found[1])), "", None, number, "", found[1], "nbgrader's folders")


def version(name: str) -> int:
    """The version that a file's name tells: masks (2).ipynb is 2, masks.ipynb is 0."""
    found = _VERSION.search(stem(name))
    return int(next(number for number in found.groups() if number)) if found else 0


def stem(name: str) -> str:
    """The name of a file without its folders, its suffixes, and what Google Drive puts before."""
    file = _COPY.sub("", name.rpartition("/")[2])
    return re.sub(r"(\.(ipynb|py|zip|txt|json))+$", "", file, flags=re.IGNORECASE)


def bare(name: str) -> str:
    """The stem without the version, in the form of the course's names: masks."""
    return re.sub(r"[\W_]+", "-", unversioned(name)).strip("-").casefold()


def unversioned(name: str) -> str:
    """The stem without the version, letter for letter."""
    return _VERSION.sub("", stem(name))


def clean(name: str) -> str:
    """A name fit to be shown; of a long one the middle is left out, so that its suffix stays."""
    text = " ".join(plain_text(unicodedata.normalize("NFC", name[:4000]), 4000).split())
    if len(text) > LONGEST:
        text = f"{text[: LONGEST - 31]}…{text[-30:]}"
    return text or "(no name)"


def spelled(name: str) -> str:
    """A name with its characters that are not seen, as their codes."""
    odd = unicodedata.normalize("NFC", name) != name
    kinds = ("C", "M") if odd else ("C",)
    seen = (f"⟨U+{ord(c):04X}⟩" if unicodedata.category(c)[0] in kinds else c for c in name)
    return clean("".join(seen))


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
