"""Where a chapter shows the solution of an exercise above the exercise's box.

Compared is statement by statement, without layout and without the changes of dtype that the library
makes; a cell that shows more than half of the solution's statements shows the solution. A chapter
goes the same steps in several cells, and that is no spoiler.
"""

import ast
import re
from collections.abc import Iterator

from attncourse.course import source
from attncourse.course.directives import Fence, blocks
from attncourse.course.exercise import Exercise, of_chapter
from attncourse.course.page import Cell, Page

_BINDS = (ast.Assign, ast.AnnAssign, ast.Return)
_CAST = re.compile(r"\.to\([\w.]*\)")


def problems(chapter: Page) -> Iterator[str]:
    """A sentence for each cell that shows a solution before its exercise asks for it."""
    for exercise in of_chapter(chapter.slug):
        wanted = _essence(exercise)
        for cell in _above(chapter, exercise):
            shown = max((len(wanted & _statements(text)) for text in _shown(cell)), default=0)
            if 2 * shown > len(wanted):
                yield (
                    f"cell {cell.identity}: it shows the solution of {exercise.name} above the "
                    f"exercise ({shown} of {len(wanted)} statements)"
                )


def _above(chapter: Page, exercise: Exercise) -> tuple[Cell, ...]:
    """The cells above the exercise's box: all where it has none."""
    label = f":label: ex-{exercise.name.replace('_', '-')}"
    for number, cell in enumerate(chapter.cells):
        if not cell.code and label in cell.source.splitlines():
            return chapter.cells[:number]
    return chapter.cells


def _shown(cell: Cell) -> Iterator[str]:
    """Each piece of code that a cell shows: as code, as what it prints, between fences."""
    if cell.open:
        yield cell.source
    if cell.speaks:
        yield cell.outputs
    if not cell.code:
        yield from (b.body for b in blocks(cell.source) if isinstance(b, Fence) and not b.name)


def _essence(exercise: Exercise) -> frozenset[str]:
    """What the solution computes: neither what it refuses nor the dtype that it works in."""
    tree = ast.parse("\n".join(source.statements(exercise.solution)))
    return frozenset(_computed(tree, _BINDS))


def _statements(text: str) -> frozenset[str]:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return frozenset()
    return frozenset(_computed(tree, (*_BINDS, ast.Expr)))


def _computed(tree: ast.Module, kinds: tuple[type[ast.AST], ...]) -> Iterator[str]:
    for node in ast.walk(tree):
        value = getattr(node, "value", None) if isinstance(node, kinds) else None
        if value is not None:
            computed = _CAST.sub("", ast.unparse(value))
            if re.search(r"\W", computed) and "accumulation_dtype(" not in computed:
                yield computed
