"""Skeletons to begin with: an exercise module, a chapter's notebook.

A skeleton is read and executed like any other; the rules and the gates say what has to be filled
in.
"""

import inspect
from importlib import import_module
from pathlib import Path
from typing import Any

import attncourse
from attncourse.core.errors import CourseError
from attncourse.course import boxes
from attncourse.course import exercise as contract
from attncourse.course.bootstrap import bootstrap_of, repository_url
from attncourse.course.chapters import METADATA, name_cells
from attncourse.course.contents import CHAPTERS, page
from attncourse.course.exercise import nearest
from attncourse.course.rules import parameters

_EXERCISE = '''\
r"""# {title}"""

from {module} import {name} as solution
from attncourse.testing import fail

difficulty, minutes = 0, 0
hints = ()


def check_matches_the_definition(student):
    fail("write this check")


def wrong_first{parameters}:
    return solution({arguments})


def right_first{parameters}:
    return solution({arguments})
'''

_SECTIONS = {
    "": "The opening screen: a question and a picture that make the idea necessary. What you will "
    "be able to do, in three lines; what to read before; minutes to read and to practise.",
    "By hand": "One case with clean numbers, drawn as a strip of matrices, then executed.",
    "Steps": "The loop before the einsum, one idea a cell; at the end the proof that the steps "
    "equal the library's function.",
    "Experiments": "Each claim is followed by the cell that shows it; expected beside measured.",
    "In a real model": "The mechanism, or its mistake, inside a pretrained model.",
    "Myths": "At most six claims worth refuting or crediting, each with its proof.",
    "In practice": "When to use it, what breaks and how it looks, what real systems do.",
    "Exercises": "Boxes are written below this cell by `attncourse build`; move them where they "
    "come up.",
    "Interview questions": "{interview} with the names of four to six, one a line; they are in "
    "book/interview/.",
    "Summary": "Five lines.",
    "Further reading": "Keys of references.bib, each with what it is good for.",
}


class Refused(CourseError):
    """A skeleton cannot be written; the message says why, in a sentence."""


def exercise(root: Path, chapter: str, name: str, module: str | None = None) -> Path:
    """Write an exercise's module; the solution is the function of that name in `module`.

    By default the one that the package exports. Raises Refused.
    """
    _known(chapter)
    if name in contract.names():
        place = contract.names()[name]
        raise Refused(f"there is an exercise {name!r} already, in {place}: names are unique")
    solution, module = _solution(name, module)
    given = inspect.signature(solution).parameters.values()
    arguments = [f"{p.name}={p.name}" if p.kind == p.KEYWORD_ONLY else p.name for p in given]
    folder = Path("attncourse", "exercises", contract.folder(chapter))
    path = folder / f"{name}.py"
    text = _EXERCISE.format(
        title=name.replace("_", " ").capitalize(),
        module=module,
        name=name,
        parameters=parameters(solution),
        arguments=", ".join(arguments),
    )
    _write(root, path, text)
    if not (root / folder / "__init__.py").exists():
        _write(root, folder / "__init__.py", '"""The exercises of one chapter, a module each."""\n')
    return path


def chapter(root: Path, slug: str) -> Path:
    """Write a chapter's notebook, as `attncourse execute` takes it. Raises Refused."""
    import nbformat

    _known(slug)
    path = Path("book", f"{slug}.ipynb")
    there = page(root, slug)
    if there:
        raise Refused(f"{there.relative_to(root)} is there already")
    cells = [
        nbformat.v4.new_markdown_cell(
            f"{f'## {heading}' if heading else f'# {CHAPTERS[slug]}'}\n\n<!-- {advice} -->"
        )
        for heading, advice in _SECTIONS.items()
    ]
    cells.insert(1, nbformat.v4.new_code_cell("import torch"))
    notebook = nbformat.v4.new_notebook(cells=cells, metadata=METADATA)
    notebook.cells.insert(1, bootstrap_of(notebook, repository_url(root)))
    boxes.place(notebook, slug)
    name_cells(notebook, slug)
    _write(root, path, nbformat.writes(notebook, version=4).rstrip("\n") + "\n")
    return path


def _known(chapter: str) -> None:
    if chapter not in CHAPTERS:
        offer = nearest(chapter, CHAPTERS) or "the contents are in attncourse/course/contents.py."
        raise Refused(f"there is no chapter {chapter!r}; {offer}")


def _solution(name: str, module: str | None) -> tuple[Any, str]:
    """The library's function of that name, and the module that defines it."""
    try:
        found = getattr(import_module(module) if module else attncourse, name)
    except (ImportError, AttributeError) as error:
        raise Refused(f"there is no function to be the solution: {error}") from None
    return found, module or found.__module__


def _write(root: Path, path: Path, text: str) -> None:
    target = root / path
    if target.exists():
        raise Refused(f"{path} is there already")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")
