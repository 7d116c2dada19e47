"""What a folder among submissions holds: one student's work, or a class of its own.

A folder one level too high, and a folder for each section of a course, look like the folders of
students. Where the names do not tell, the teacher is asked.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from attncourse.grading.classroom import names, whose
from attncourse.grading.classroom.handed import Choice, UnclearError
from attncourse.grading.judge.content import answers

MANY = 3  # files of their own names that look like a class's rather than one student's


def among(folders: Mapping[Path, Sequence[Path]], files: Sequence[Path], layout: str) -> list[Path]:
    """Those of the folders, each given with what lies in it, that hold a class.

    files lie beside them. Raises UnclearError.
    """
    if layout != "auto":
        return [*folders] if layout == "sections" else []
    students = [path for path in folders if names.moodle(path.name) or names.nbgrader(path.name)]
    left = {path: entries for path, entries in folders.items() if path not in students}
    found = [path for path, entries in left.items() if holds_class(path, entries)]
    rest = [
        entries
        for path, entries in left.items()
        if path not in found and not (path / ".git").exists()
    ]
    alone = not (students or found or any(answers(path.name) for path in files))
    if alone and may_hold_classes(rest):
        raise _unclear([path.name for path in folders])
    return found


def _unclear(folders: list[str]) -> UnclearError:
    """The question what the folders are."""
    some = ", ".join([*map(names.clean, folders[:3]), "..."][: len(folders)])
    what = f"the folder {some}" if len(folders) == 1 else f"each of the folders {some}"
    meanings = {"sections": "a class of its own (a section)", "folders": "one student's work"}
    choices = [Choice("layout", name, f"{what} is {m}") for name, m in meanings.items()]
    return UnclearError(f"does {what} hold a class, or one student's work?", choices)


def holds_class(folder: Path, entries: Sequence[Path]) -> bool:
    """Does it hold a class for certain: by names of Canvas, Moodle, nbgrader, GitHub Classroom?"""
    if (folder / "submitted").is_dir():
        return True
    folders = [path.name for path in entries if path.is_dir() and not path.is_symlink()]
    told = [names.moodle(name) or names.nbgrader(name) for name in folders]
    clones = [name for name in folders if (folder / name / ".git").exists()]
    files = whose.of_files([path.name for path in entries if path.name not in folders])
    return (
        any(told)
        or len(clones) > 1
        or any(one.system for one in files.values())
        or len(_named(entries)) > 1
    )


def may_hold_classes(folders: Sequence[Sequence[Path]]) -> bool:
    """Could each of these folders, given by what lies in it, be a class, and not one student's?"""
    if not folders:
        return False
    flat = [_own(entries) for entries in folders]
    deep = [_inside(entries) for entries in folders]
    least = MANY if len(folders) > 1 else 2
    if all(len(found) >= least for found in flat):
        return _differ(flat)
    return all(len(found) >= 2 for found in deep) and _differ(deep)


def _named(entries: Sequence[Path]) -> set[str]:
    """The students who are named in the names of files, beside a chapter or an exercise."""
    told = whose.of_files([path.name for path in entries if answers(path.name)])
    return {one.written for one in told.values() if "beside" in one.by}


def _own(entries: Sequence[Path]) -> set[str]:
    """The names of files that are not called after a chapter or an exercise, without versions."""
    found = {names.bare(path.name) for path in entries if answers(path.name)}
    return found - set(whose.works())


def _inside(entries: Sequence[Path]) -> set[str]:
    """The names of folders, where there are no files beside them, without the course's own."""
    if any(answers(path.name) for path in entries):
        return set()
    found = {path.name for path in entries if path.is_dir() and not path.is_symlink()}
    known = {*whose.works(), "exercises", "solutions", "attncourse", "book", "tests"}
    return set() if {names.bare(name) for name in found} & known else found


def _differ(found: Sequence[set[str]]) -> bool:
    """Is no name in two of them? What several students have is the name of the work."""
    return sum(map(len, found)) == len(set().union(*found))
