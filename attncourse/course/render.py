"""Rendering the exercise and solution notebooks of a chapter, byte for byte the same each time."""

from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from attncourse.course import source
from attncourse.course.bootstrap import bootstrap_of, repository_url
from attncourse.course.contents import CHAPTERS
from attncourse.course.exercise import Exercise, broken, chapters, first_line, names, of_chapter

FOLDERS = ("exercises", "solutions")

IMPORTS = """\
import math

import torch
from jaxtyping import Bool, Float, Int, Integer
from torch import Tensor

from attncourse import check, hint"""

# lines more, where the functions of a chapter need the name
SOMETIMES = {
    "itertools": "import itertools",
    **{n: f"from collections.abc import {n}" for n in ("Callable", "Mapping", "Sequence")},
    "Any": "from typing import Any",
}
SOMETIMES["triton"] = """\
import os

os.environ.setdefault("TRITON_INTERPRET", "1")  # on the CPU; Triton asks when it is imported
try:
    import triton
    import triton.language as tl
except ModuleNotFoundError:
    print("Triton is missing, which is published for Linux: its exercises are skipped.")
"""


def notebooks(root: Path) -> dict[Path, str]:
    """The text of every generated notebook, by its path under `root`.

    A chapter that has an exercise which cannot be loaded is left out.
    """
    url = repository_url(root)
    incomplete = {names()[name] for name in broken()}
    return {
        path: _text(path.stem, path.parent.name, url)
        for path in paths()
        if path.stem not in incomplete
    }


def paths() -> list[Path]:
    """Where the generated notebooks lie."""
    return [Path(folder, f"{chapter}.ipynb") for chapter in chapters() for folder in FOLDERS]


def _text(chapter: str, folder: str, url: str) -> str:
    solved = folder == "solutions"
    cells = [_heading(chapter, solved), _code("imports", IMPORTS)]
    shown: set[Any] = set()
    for exercise in of_chapter(chapter):
        cells += [
            _markdown(f"{exercise.name}-statement", _statement(exercise)),
            _code(exercise.name, _solution(exercise, shown) if solved else stub(exercise)),
            _code(f"{exercise.name}-check", _check(exercise, solved)),
        ]
    functions = [cell.source for cell in cells[2:] if cell.cell_type == "code"]
    cells[1] = _code("imports", imports("\n".join(functions)))
    notebook = nbformat.v4.new_notebook(
        cells=cells,
        metadata={
            "attncourse": {"chapter": chapter, "kind": folder},
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
    )
    notebook.cells.insert(1, bootstrap_of(notebook, url))
    return nbformat.writes(notebook, version=4).rstrip("\n") + "\n"


def imports(code: str) -> str:
    """The imports of a notebook whose functions are this code."""
    missing = source.free_names(code)
    return "\n".join([*(line for name, line in SOMETIMES.items() if name in missing), IMPORTS])


def _heading(chapter: str, solved: bool) -> NotebookNode:
    names = ", ".join(f"`{exercise.name}`" for exercise in of_chapter(chapter))
    if solved:
        return _markdown(
            "title",
            f"# Solutions: {CHAPTERS[chapter]}\n\n"
            "The library's own functions, shown as they stand in the package, or a plainer form of "
            f"them; each passes its checks. Other code can be just as right. Exercises: {names}.",
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
    checks = "\n".join(f"- {first_line(check)}" for check in exercise.checks.values())
    forbidden = ", ".join(f"`{name}`" for name in exercise.forbidden)
    rule = f"\n\nTo be written by yourself, so not allowed: {forbidden}." if forbidden else ""
    return (
        f"## {exercise.title}\n\n{facts(exercise)}\n\n"
        f"{exercise.statement}{rule}\n\nWhat is checked:\n\n{checks}"
    )


def facts(exercise: Exercise) -> str:
    """How hard it is and how long it takes."""
    return f"{stars(exercise)} · about {exercise.minutes} minutes"


def stars(exercise: Exercise) -> str:
    """The difficulty as five stars, some of them filled."""
    return "★" * exercise.difficulty + "☆" * (5 - exercise.difficulty)


def stub(exercise: Exercise) -> str:
    """What a learner starts from, under the exercise's name."""
    return source.stub(exercise.solution, exercise.stub, name=exercise.name)


def _solution(exercise: Exercise, shown: set[Any]) -> str:
    """The solution, under the exercise's name, with the library functions it needs.

    Each of those is shown once in the notebook.
    """
    fresh = [function for function in source.needs(exercise.shown) if function not in shown]
    shown.update(fresh, [exercise.shown] if exercise.shown.__name__ == exercise.name else [])
    own = source.whole(exercise.shown, name=exercise.name)
    return "\n\n\n".join([*map(source.whole, fresh), own])


def _check(exercise: Exercise, solved: bool) -> str:
    line = f"check({exercise.name})"
    return line if solved else f'{line}\n# hint("{exercise.name}")'


def _markdown(identity: str, text: str) -> NotebookNode:
    return nbformat.v4.new_markdown_cell(text, id=_identity(identity))


def _code(identity: str, text: str) -> NotebookNode:
    return nbformat.v4.new_code_cell(text, id=_identity(identity))


def _identity(name: str) -> str:
    return name.replace("_", "-")[:64]
