"""Rendering the exercise and solution notebooks of a chapter, byte for byte the same each time."""

import itertools
import shutil
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from attncourse.course import source
from attncourse.course.bootstrap import bootstrap_cell, repository_url
from attncourse.course.contents import CHAPTERS
from attncourse.course.exercise import Exercise, broken, chapters, first_line, names, of_chapter

FOLDERS = ("exercises", "solutions")

_IMPORTS = """\
import math

import torch
from jaxtyping import Bool, Float, Int, Integer
from torch import Tensor

from attncourse import check, hint"""


def notebooks(root: Path) -> dict[Path, str]:
    """The text of every generated notebook, by its path under `root`.

    A chapter that has an exercise which cannot be loaded is left out.
    """
    url = repository_url(root)
    incomplete = {names()[name] for name in broken()}
    return {
        path: _text(path.stem, path.parent.name, url)
        for path in _paths()
        if path.stem not in incomplete
    }


def _paths() -> list[Path]:
    """Where the generated notebooks lie."""
    return [Path(folder, f"{chapter}.ipynb") for chapter in chapters() for folder in FOLDERS]


def write(root: Path) -> dict[Path, Path | None]:
    """Write every generated notebook that changed; strays are left alone.

    What stood in its place, perhaps a learner's work, is kept under ``.replaced``. Returns
    the paths written, each with the path of the copy kept, or None where nothing stood there.
    """
    written: dict[Path, Path | None] = {}
    for path, text in notebooks(root).items():
        target = root / path
        if not target.exists() or _read(target) != text:
            written[path] = _keep(root, path) if target.exists() else None
            target.parent.mkdir(exist_ok=True)
            target.write_text(text, encoding="utf-8")
    return written


def _keep(root: Path, path: Path) -> Path:
    """Copy a file that is about to be replaced to the first free name."""
    folder = Path(".replaced", path.parent)
    (root / folder).mkdir(parents=True, exist_ok=True)
    names = (folder / f"{path.stem}-{number}{path.suffix}" for number in itertools.count(1))
    free = next(name for name in names if not (root / name).exists())
    shutil.copy2(root / path, root / free)
    return free


def drift(root: Path) -> list[Path]:
    """The generated notebooks that are not as rendered: changed or missing."""
    return sorted(
        path
        for path, text in notebooks(root).items()
        if not (root / path).exists() or _read(root / path) != text
    )


def strays(root: Path) -> list[Path]:
    """The files beside the generated notebooks that are not the course's."""
    there = {
        path.relative_to(root)
        for folder in FOLDERS
        for path in (root / folder).glob("**/*")
        if path.is_file() and ".ipynb_checkpoints" not in path.parts and path.name[0] != "."
    }
    return sorted(there - set(_paths()))


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def _text(chapter: str, folder: str, url: str) -> str:
    solved = folder == "solutions"
    cells = [_heading(chapter, solved), bootstrap_cell(url), _code("imports", _IMPORTS)]
    shown: set[Any] = set()
    for exercise in of_chapter(chapter):
        cells += [
            _markdown(f"{exercise.name}-statement", _statement(exercise)),
            _code(exercise.name, _solution(exercise, shown) if solved else _stub(exercise)),
            _code(f"{exercise.name}-check", _check(exercise, solved)),
        ]
    notebook = nbformat.v4.new_notebook(
        cells=cells,
        metadata={
            "attncourse": {"chapter": chapter, "kind": folder},
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
    )
    return nbformat.writes(notebook, version=4).rstrip("\n") + "\n"


def _heading(chapter: str, solved: bool) -> NotebookNode:
    names = ", ".join(f"`{exercise.name}`" for exercise in of_chapter(chapter))
    if solved:
        return _markdown(
            "title",
            f"# Solutions: {CHAPTERS[chapter]}\n\n"
            "The library's own functions, shown as they stand in the package; each passes its "
            f"checks. Other code can be just as right. Exercises: {names}.",
        )
    return _markdown(
        "title",
        f"# Exercises: {CHAPTERS[chapter]}\n\n"
        f"Write {names}. Run the first two cells, replace `raise NotImplementedError`, then run "
        "the `check` cell below your function. It says what is right, what is wrong and, where "
        "it knows your mistake, names it. `hint(...)` shows one hint at a time. Your progress is "
        "kept beside this notebook; `attncourse status` shows it.",
    )


def _statement(exercise: Exercise) -> str:
    stars = "★" * exercise.difficulty + "☆" * (5 - exercise.difficulty)
    checks = "\n".join(f"- {first_line(check)}" for check in exercise.checks.values())
    forbidden = ", ".join(f"`{name}`" for name in exercise.forbidden)
    rule = f"\n\nTo be written by yourself, so not allowed: {forbidden}." if forbidden else ""
    return (
        f"## {exercise.title}\n\n{stars} · about {exercise.minutes} minutes\n\n"
        f"{exercise.statement}{rule}\n\nWhat is checked:\n\n{checks}"
    )


def _stub(exercise: Exercise) -> str:
    return source.stub(exercise.solution, exercise.stub)


def _solution(exercise: Exercise, shown: set[Any]) -> str:
    """The solution with the library functions it needs, each shown once in the notebook."""
    functions = [*source.needs(exercise.solution), exercise.solution]
    fresh = [function for function in functions if function not in shown]
    shown.update(fresh)
    return "\n\n\n".join(source.whole(function) for function in fresh)


def _check(exercise: Exercise, solved: bool) -> str:
    line = f"check({exercise.name})"
    return line if solved else f'{line}\n# hint("{exercise.name}")'


def _markdown(identity: str, text: str) -> NotebookNode:
    return nbformat.v4.new_markdown_cell(text, id=_identity(identity))


def _code(identity: str, text: str) -> NotebookNode:
    return nbformat.v4.new_code_cell(text, id=_identity(identity))


def _identity(name: str) -> str:
    return name.replace("_", "-")[:64]
