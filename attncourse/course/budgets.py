"""How long and how crowded a chapter may be: its numbers, and what is over the budget.

`attncourse build --chapters` prints the numbers, ``build --check`` and the tests say what is over.
"""

import ast
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from attncourse.course import page, spoilers
from attncourse.course.contents import CHAPTERS
from attncourse.course.page import Cell, Page

SECTIONS, LINES = 12, 250  # sections and subsections; visible lines of code
CELL_LINES, COLUMNS, ASSERTS = 12, 66, 1  # of a visible cell
PREDICTIONS, FIGURES = 3, 3  # at least
WORDS_A_MINUTE, SECONDS_A_LINE, TOLERANCE = 150, 6, 0.2

_MINUTES = re.compile(r"\b(\d+) minutes to read\b")


@dataclass(frozen=True)
class Count:
    """A chapter in numbers. stated is what its minutes line says, 0 where there is none."""

    sections: int
    lines: int
    asserts: int
    predictions: int
    figures: int
    words: int
    stated: int

    @property
    def minutes(self) -> float:
        """To read its words and the code that stands open."""
        return self.words / WORDS_A_MINUTE + self.lines * SECONDS_A_LINE / 60


def written(root: Path) -> list[Path]:
    """The notebooks of the chapters that are there, in the order of the book."""
    paths = [root / "book" / f"{slug}.ipynb" for slug in CHAPTERS]
    return [path for path in paths if path.is_file()]


def count(chapter: Page) -> Count:
    """The numbers of a chapter."""
    kinds = Counter(fence.name for _, fence in chapter.fences())
    opening = "\n".join(cell.source for cell in chapter.cells[:6] if not cell.code)
    stated = _MINUTES.search(opening)
    return Count(
        sections=len(chapter.headings()),
        lines=len(chapter.code_lines()),
        asserts=sum(_asserts(cell) for cell in chapter.cells if cell.open),
        predictions=kinds["predict"],
        figures=_figures(chapter),
        words=chapter.words(),
        stated=int(stated[1]) if stated else 0,
    )


def problems(path: Path) -> list[str]:
    """A sentence for each budget that a chapter does not keep."""
    try:
        chapter = page.read(path)
    except ValueError as error:
        return [f"{path.name} cannot be read: {error}"]
    found = [*_of_the_whole(count(chapter)), *_of_questions(chapter), *spoilers.problems(chapter)]
    for cell in chapter.cells:
        found += [f"cell {cell.identity}: {sentence}" for sentence in _of_a_cell(cell)]
    return [f"{path.name}, {sentence}" for sentence in found]


def _of_the_whole(counted: Count) -> Iterator[str]:
    most = (
        ("sections and subsections", counted.sections, SECTIONS),
        ("visible lines of code", counted.lines, LINES),
    )
    least = (
        ("{predict} boxes", counted.predictions, PREDICTIONS),
        ("figures with alt text", counted.figures, FIGURES),
    )
    for what, number, limit in most:
        if number > limit:
            yield f"it has {number} {what}: at most {limit}"
    for what, number, limit in least:
        if number < limit:
            yield f"it has {number} {what}: at least {limit}"
    if not counted.stated:
        yield 'its opening has no line "... minutes to read"'
    elif abs(counted.stated - counted.minutes) > TOLERANCE * counted.minutes:
        yield (
            f"it says {counted.stated} minutes to read: {counted.words} words and {counted.lines} "
            f"lines of code are {counted.minutes:.0f}"
        )


def _of_questions(chapter: Page) -> Iterator[str]:
    """An answer stands below its question, with the cell that shows it between them."""
    asked: dict[str, int] = {}
    for number, fence in chapter.fences():
        name = fence.argument
        if fence.name == "predict" and "later" in fence.options:
            asked[name] = number
        elif fence.name == "answer" and name not in asked:
            yield f"the answer of {name} stands above its question, or answers none"
        elif fence.name == "answer":
            between = chapter.cells[asked.pop(name) : number]
            if not any(cell.code for cell in between):
                yield f"between the question {name} and its answer is no cell that shows it"
    for name in asked:
        yield f"the question {name} is asked with :later: and has no answer below"


def _of_a_cell(cell: Cell) -> Iterator[str]:
    if cell.open:
        lines = page.lines(cell.source)
        longest = max(map(len, lines), default=0)
        if len(lines) > CELL_LINES:
            yield f"it shows {len(lines)} lines of code: at most {CELL_LINES}, or fold it"
        if longest > COLUMNS:
            yield f"it has a line of {longest} columns: at most {COLUMNS}"
        if _asserts(cell) > ASSERTS:
            yield f"it shows {_asserts(cell)} asserts: at most {ASSERTS}, or fold it"
    if "bootstrap" not in cell.tags:
        for node in ast.walk(cell.tree):
            for what, is_one in _UNWELCOME.items():
                if is_one(node):
                    yield f"line {getattr(node, 'lineno', 0)} is {what}"


def _asserts(cell: Cell) -> int:
    return sum(map(_is_assert, ast.walk(cell.tree)))


def _is_assert(node: ast.AST) -> bool:
    """An ``assert``, or a call of something like ``assert_close``."""
    called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
    return isinstance(node, ast.Assert) or called.rpartition(".")[2].startswith("assert")


def _figures(chapter: Page) -> int:
    """Drawn by a cell, moved by the reader, or a file: each with words for who does not see it."""
    drawn = sum(bool(cell.alt) for cell in chapter.cells if cell.code)
    placed = [fence for _, fence in chapter.fences() if fence.name in ("figure", "image")]
    moved = sum(fence.name == "interactive" for _, fence in chapter.fences())
    return drawn + moved + sum("alt" in fence.options for fence in placed)


def _named_lambda(node: ast.AST) -> bool:
    return isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Lambda)


def _packed(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Tuple)
        and any(isinstance(target, ast.Tuple | ast.List) for target in node.targets)
    )


_UNWELCOME: dict[str, Callable[[ast.AST], bool]] = {
    "a lambda with a name: write a function": _named_lambda,
    "an assignment inside an expression (:=)": lambda node: isinstance(node, ast.NamedExpr),
    "several assignments packed into one: a line for each": _packed,
}
