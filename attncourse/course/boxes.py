"""The box of each exercise on its chapter's page: a Markdown cell written from the module.

A box is the cell with the line ``:label: ex-<name>``; its author chooses the place, all else is
generated. A box that nobody placed goes below the heading *Exercises*.
"""

import re
from collections.abc import Iterator
from typing import Any

from attncourse.course.exercise import Exercise, first_line, names, of_chapter
from attncourse.course.render import facts
from attncourse.course.rules import parameters

_LABEL = re.compile(r"^:label: ex-([\w-]+)$", re.MULTILINE)
_HEADING = re.compile(r"^## Exercises$", re.MULTILINE)


def text(exercise: Exercise) -> str:
    """The directive: what is asked, what is checked, where to start."""
    name, notebook = exercise.name, f"{exercise.chapter}.ipynb"
    checked = "; ".join(first_line(check) for check in exercise.checks.values())
    body = (
        f":label: {_label(name)}\n\n`{name}{parameters(exercise.solution)}` · {facts(exercise)}\n\n"
        f"{exercise.statement}\n\n*Checked:* {checked}.\n\n"
        f"*Start* in {{download}}`{notebook} <../exercises/{notebook}>`: write the function, then "
        f'`check({name})`; `hint("{name}")` gives a nudge.'
    )
    fence = "`" * max(3, *(len(run) + 1 for run in re.findall(r"`{3,}", body)), 0)
    return f"{fence}{{exercise}} {exercise.title}\n{body}\n{fence}"


def place(notebook: Any, chapter: str) -> None:
    """Write every box of the chapter's page anew, and those that are missing."""
    import nbformat

    for exercise in of_chapter(chapter):
        box = _boxes(notebook).get(_label(exercise.name))
        if box is None:
            box = nbformat.v4.new_markdown_cell()
            notebook.cells.insert(_end(notebook), box)
        box.source, box["id"] = text(exercise), _identity(exercise.name)


def problems(notebook: Any, chapter: str) -> Iterator[str]:
    """Say which boxes belong to no exercise of the chapter."""
    known = {_label(name) for name, place in names().items() if place == chapter}
    for label in sorted(_boxes(notebook).keys() - known):
        yield f"its box {label} is of no exercise of this chapter"


def _boxes(notebook: Any) -> dict[str, Any]:
    """The cells that are boxes, by label."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "markdown"]
    found = ((_LABEL.search(cell.source), cell) for cell in cells)
    return {f"ex-{label[1]}": cell for label, cell in found if label}


def _end(notebook: Any) -> int:
    """Behind the last box, or the heading of the exercises, or all there is."""
    boxes = _boxes(notebook).values()
    places = [
        number
        for number, cell in enumerate(notebook.cells, 1)
        if any(cell is box for box in boxes)
        or (cell.cell_type == "markdown" and _HEADING.search(cell.source))
    ]
    return max(places, default=len(notebook.cells))


def _label(name: str) -> str:
    return f"ex-{name.replace('_', '-')}"


def _identity(name: str) -> str:
    return f"exercise-{name.replace('_', '-')}"[:64]
