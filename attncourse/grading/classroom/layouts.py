"""Which files belong to which student, in the layouts in which classes are handed in.

A folder of notebooks; a folder per student; nbgrader's submitted/STUDENT/ASSIGNMENT/; the bulk
downloads of Canvas and Moodle; clones of GitHub Classroom; a folder of each section that holds
any of these; a zip of them, and a zip from a student. Links are never followed. What is not
graded is listed, never dropped.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from attncourse.course import exercise as contract
from attncourse.grading.classroom import names, sections, whose
from attncourse.grading.classroom.archive import ArchiveError, left_out, unpack
from attncourse.grading.classroom.handed import ClassError, Collected
from attncourse.grading.classroom.journal import NAME
from attncourse.grading.classroom.listing import Listing
from attncourse.grading.classroom.names import Told
from attncourse.grading.judge.content import answers

Layout = Literal["auto", "folders", "sections"]
LAYOUTS: tuple[Layout, ...] = ("auto", "folders", "sections")

_DOCUMENTS = (".pdf", ".html", ".htm", ".docx", ".doc", ".odt")  # in which an answer may be shown
_COURSE = frozenset({"attncourse", "book", "solutions", "tests", "bench"})
_PACKED = (".rar", ".7z", ".gz", ".tgz", ".bz2", ".xz", ".tar")


def collect(
    paths: Iterable[Path], temporary: Path, out: Path | None = None, layout: str = "auto"
) -> Collected:
    """What is handed in under `paths`; zips are unpacked below `temporary`.

    layout says what a folder among them is: a student's, a section's, or to be found out. Raises
    ArchiveError if a path itself is a zip that is refused, and UnclearError where it has to be
    said what the folders are.
    """
    collector = _Collector(temporary, out.resolve() if out else None, layout)
    for path in paths:
        try:
            collector.top(path)
        except OSError as error:
            raise ClassError(f"{error.filename or path} cannot be read: {error.strerror}") from None
    return collector.listing.finished()


class _Collector:
    """Walks what is given and lists what it finds."""

    def __init__(self, temporary: Path, out: Path | None, layout: str) -> None:
        self.temporary = temporary
        self.out = out
        self.layout = layout
        self.listing = Listing()
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
            self.file(path, whose.of_files([path.name])[path.name])

    def folder(self, folder: Path, section: str = "") -> None:
        """A folder that holds a class, or a section of one."""
        if (folder / "submitted").is_dir():  # nbgrader's
            folder = folder / "submitted"
        entries = list(self.entries(folder))
        folders = [path for path in entries if path.is_dir() and not path.is_symlink()]
        files = [path for path in entries if path not in folders]
        stems = {names.bare(path.name) for path in files if answers(path.name)}
        if stems and not folders and stems <= set(contract.chapters()):
            who = folder.resolve().name
            self.student(names.own(who, "", "the name of the folder"), folder, section)
            return
        self.folders(folder, folders, files, section)
        told = whose.of_files([path.name for path in files])
        for path in files:
            self.file(path, told[path.name], section)

    def folders(self, parent: Path, folders: list[Path], files: list[Path], section: str) -> None:
        """The folders of a class: each is a student's, or a section."""
        inside = {path: self.peek(path) for path in folders}
        classes = [] if section else sections.among(inside, files, self.layout)
        clones = [path.name for path in folders if (path / ".git").exists()]
        prefix = names.assignment(parent.resolve().name, clones)
        for path in folders:
            if path in classes:
                self.folder(path, names.clean(path.name))
                continue
            own = path.name.removeprefix(prefix) if path.name in clones else path.name
            by = "GitHub Classroom's folders" if path.name in clones else "the name of the folder"
            told = names.moodle(path.name) or names.nbgrader(path.name) or names.own(own, "", by)
            self.student(told, path, section)

    def student(self, told: Told, folder: Path, section: str = "", inside: str = "") -> None:
        """A folder that holds one student's work."""
        self.listing.student(told, section)
        of_course = (folder / "attncourse").is_dir()
        try:
            entries = list(self.entries(folder))
        except OSError as error:
            self.listing.refuse(told, inside, f"{inside or folder.name}: {error.strerror}", section)
            return
        for path in entries:
            name = f"{inside}{names.clean(path.name)}"
            if path.is_symlink():
                self.listing.refuse(told, name, f"{name} is a link", section)
            elif path.is_dir():
                if not (of_course and path.name in _COURSE):
                    self.student(told, path, section, f"{name}/")
            else:
                self.handed(path, told, name, section)

    def file(self, path: Path, told: Told, section: str = "") -> None:
        """One file of a class."""
        name = names.clean(told.name or path.name)
        gradable = answers(path.name) or path.suffix.lower() in (".zip", *_PACKED)
        if not gradable and not told.system:
            self.listing.leave_out(f"{section}/{name}" if section else name)
        elif path.is_symlink() or not path.is_file():
            self.listing.refuse(told, name, f"{name} is a link or no regular file", section)
        else:
            packed = self.packed_class(path, told)
            if packed:
                self.folder(packed, section)
                return
            self.listing.student(told, section)
            self.handed(path, told, name, section)

    def packed_class(self, path: Path, told: Told) -> Path | None:
        """The folder of a zip among a class that holds a class itself, and is no student's."""
        if told.system or path.suffix.lower() != ".zip":
            return None
        try:
            folder = self.unpacked(path)
        except ArchiveError:
            return None  # told of the student
        inside = list(self.entries(folder))
        if len(inside) == 1 and inside[0].is_dir():
            folder, inside = inside[0], list(self.entries(inside[0]))
        return folder if sections.holds_class(folder, inside) else None

    def handed(self, path: Path, told: Told, name: str, section: str) -> None:
        """A file of a student: graded, unpacked, or noted as something else."""
        suffix = path.suffix.lower()
        if answers(path.name):
            self.listing.take(path, told, name, section)
        elif suffix == ".zip":
            self.zip(path, told, name, section)
        elif suffix in _PACKED:
            reason = f"{name} is packed in a way that is not opened: a zip is"
            self.listing.refuse(told, name, reason, section)
        elif suffix in _DOCUMENTS:
            reason = f"{name} is no notebook and no .py file"
            self.listing.refuse(told, name, reason, section, unread=False)
        else:
            self.listing.notice(told, name, section)

    def zip(self, path: Path, told: Told, name: str, section: str) -> None:
        """A zip that a student handed in."""
        if path.is_relative_to(self.temporary / "inner"):
            self.listing.refuse(told, name, f"{name} is a zip within a zip", section)
            return
        try:
            folder = self.unpacked(path, "inner")
        except ArchiveError as error:
            self.listing.refuse(told, name, str(error), section)
            return
        self.student(told, folder, section, f"{name}/")

    def unpacked(self, path: Path, place: str = "outer") -> Path:
        """The folder into which a zip was unpacked. Raises ArchiveError."""
        self.zips += 1
        folder = self.temporary / place / str(self.zips)
        folder.mkdir(parents=True)
        unpack(path, folder)
        return folder

    def peek(self, folder: Path) -> list[Path]:
        """What lies in a folder; nothing if it cannot be read, which is told later."""
        try:
            return list(self.entries(folder))
        except OSError:
            return []

    def entries(self, folder: Path) -> Iterator[Path]:
        """What lies in a folder, in order, but for what is never looked at and any results."""
        for name in sorted(os.listdir(folder)):
            path = folder / name
            if left_out(name) or (self.out and path.resolve() == self.out):
                continue
            if (path / NAME).is_file() and (path / "times.jsonl").is_file():
                self.listing.leave_out(f"{names.clean(name)}/ (results of an earlier run)")
                continue
            yield path
