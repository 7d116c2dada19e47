"""Which files belong to which student, in the layouts in which classes are handed in.

A folder of notebooks; a folder per student; nbgrader's submitted/STUDENT/ASSIGNMENT/; the bulk
downloads of Canvas and Moodle; clones of GitHub Classroom; a zip of any of these, and a zip from
a student. Links are never followed. What is not graded is listed, never dropped.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from attncourse.course import exercise as contract
from attncourse.grading.classroom import names
from attncourse.grading.classroom.archive import ArchiveError, left_out, unpack
from attncourse.grading.classroom.names import Student, Told

MOST_FILES = 32  # of one student

_ANSWERS = (".ipynb", ".py")
_COURSE = frozenset({"attncourse", "book", "solutions", "tests", "bench"})


@dataclass(frozen=True)
class Handed:
    """A file that a student handed in; name is the student's own, with its folders.

    late is None where the layout does not tell; rank orders versions of the same work.
    """

    student: Student
    name: str
    path: Path
    late: bool | None = None
    rank: tuple[int, int, int] = (0, 0, 0)


@dataclass(frozen=True, order=True)
class Refused:
    """Something that cannot be graded, and why: one sentence."""

    student: Student
    name: str
    reason: str


@dataclass
class Collected:
    """All that was found. left_out are files that belong to no student."""

    files: list[Handed] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    systems: set[str] = field(default_factory=set)


def collect(paths: Iterable[Path], temporary: Path, out: Path | None = None) -> Collected:
    """What is handed in under `paths`; zips are unpacked below `temporary`.

    Raises ArchiveError if a path itself is a zip that is refused.
    """
    collector = _Collector(temporary, out.resolve() if out else None)
    for path in paths:
        collector.top(path)
    return collector.finished()


class _Collector:
    """Walks what is given and keeps what it finds."""

    def __init__(self, temporary: Path, out: Path | None) -> None:
        self.temporary = temporary
        self.out = out
        self.found = Collected()
        self.students: dict[Student, int] = {}
        self.zips = 0

    def top(self, path: Path) -> None:
        """A path that the teacher gave."""
        if path.is_dir():
            self.folder(path)
        elif path.suffix.lower() == ".zip" and not names.canvas(path.name):
            folder = self.unpacked(path)
            inside = list(self.entries(folder))
            alone = len(inside) == 1 and inside[0].is_dir() and not names.moodle(inside[0].name)
            self.folder(inside[0] if alone else folder)
        else:
            self.file(path, names.of_file(path.name))

    def folder(self, folder: Path) -> None:
        """A folder that holds a class."""
        if (folder / "submitted").is_dir():  # nbgrader's
            folder = folder / "submitted"
        entries = list(self.entries(folder))
        folders = [path for path in entries if path.is_dir() and not path.is_symlink()]
        stems = [path.stem for path in entries if path.suffix in _ANSWERS]
        if stems and not folders and set(stems) <= set(contract.chapters()):
            self.student(Student(names.clean(folder.resolve().name)), folder)
            return
        clones = [path.name for path in folders if (path / ".git").exists()]
        prefix = names.assignment(folder.resolve().name, clones)
        for path in entries:
            if path in folders:
                own = path.name.removeprefix(prefix) if path.name in clones else path.name
                told = names.moodle(path.name) or Told(Student(names.clean(own)), "")
                self.student(told.student, path, system=told.system)
            else:
                self.file(path, names.of_file(path.name))

    def student(self, student: Student, folder: Path, inside: str = "", system: str = "") -> None:
        """A folder that holds one student's work."""
        self.students.setdefault(student, 0)
        self.found.systems |= {system} - {""}
        of_course = (folder / "attncourse").is_dir()
        try:
            entries = list(self.entries(folder))
        except OSError as error:
            self.refuse(student, inside, f"{inside or folder.name}: {error.strerror}")
            return
        for path in entries:
            name = f"{inside}{names.clean(path.name)}"
            if path.is_symlink():
                self.refuse(student, name, f"{name} is a link")
            elif path.is_dir():
                if not (of_course and path.name in _COURSE):
                    self.student(student, path, f"{name}/")
            elif path.suffix.lower() in (*_ANSWERS, ".zip"):
                self.file(path, Told(student, name))

    def file(self, path: Path, told: Told) -> None:
        """One file of a class."""
        suffix, name = path.suffix.lower(), names.clean(told.name)
        self.found.systems |= {told.system} - {""}
        if suffix not in (*_ANSWERS, ".zip") and not told.system:
            self.found.left_out.append(name)
        elif path.is_symlink() or not path.is_file():
            self.refuse(told.student, name, f"{name} is a link or no regular file")
        elif suffix == ".zip":
            self.zip(path, told, name)
        elif suffix not in _ANSWERS:
            self.refuse(told.student, name, f"{name} is no notebook and no .py file")
        else:
            self.take(path, told, name)

    def take(self, path: Path, told: Told, name: str) -> None:
        """A notebook or a .py file."""
        count = self.students.get(told.student, 0) + 1
        self.students[told.student] = count
        if count > MOST_FILES:
            self.refuse(told.student, name, f"{name} is one of more than {MOST_FILES} files")
            return
        rank = (names.version(name), told.number, int(path.stat().st_mtime))
        self.found.files.append(Handed(told.student, name, path, told.late, rank))

    def zip(self, path: Path, told: Told, name: str) -> None:
        """A zip that a student handed in."""
        self.students.setdefault(told.student, 0)
        if path.is_relative_to(self.temporary / "inner"):
            self.refuse(told.student, name, f"{name} is a zip within a zip")
            return
        try:
            folder = self.unpacked(path, "inner")
        except ArchiveError as error:
            self.refuse(told.student, name, str(error))
            return
        before = len(self.found.files)
        self.student(told.student, folder, f"{name}/")
        late = told.late, told.number
        self.found.files[before:] = [
            Handed(f.student, f.name, f.path, late[0], (f.rank[0], late[1], f.rank[2]))
            for f in self.found.files[before:]
        ]

    def refuse(self, student: Student, name: str, reason: str) -> None:
        """List what cannot be graded."""
        self.students.setdefault(student, 0)
        self.found.refused.append(Refused(student, name, reason))

    def unpacked(self, path: Path, place: str = "outer") -> Path:
        """The folder into which a zip was unpacked. Raises ArchiveError."""
        self.zips += 1
        folder = self.temporary / place / str(self.zips)
        folder.mkdir(parents=True)
        unpack(path, folder)
        return folder

    def entries(self, folder: Path) -> Iterator[Path]:
        """What lies in a folder, in order, but for what is never looked at and the results."""
        for name in sorted(os.listdir(folder)):
            path = folder / name
            if not left_out(name) and not (self.out and path.resolve() == self.out):
                yield path

    def finished(self) -> Collected:
        """Everything in order, with those who handed in nothing that can be graded."""
        refused = {entry.student for entry in self.found.refused}
        for student, count in self.students.items():
            if not count and student not in refused:
                self.refuse(student, "", "no notebook and no .py file was handed in")
        self.found.files.sort(key=lambda file: (file.student, file.name, file.rank))
        self.found.refused.sort()
        return self.found
