"""What a reader sees of a chapter: its cells in order, each with what is shown and what is folded.

"Visible" is what stands open on the page: not the code of a cell tagged ``hide-input``,
``hide-cell``, ``remove-input`` or ``remove-cell``.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from attncourse.course import as_written, bank
from attncourse.course.directives import Fence, blocks, directives

FOLDED = frozenset({"hide-input", "hide-cell", "remove-input", "remove-cell"})
SILENT = frozenset({"hide-output", "hide-cell", "remove-output", "remove-cell"})
GONE = frozenset({"remove-cell"})

_MAGIC = re.compile(r"^( *)[%!].*", re.MULTILINE)
_PLAIN = (
    (re.compile(r"<!--.*?-->", re.DOTALL), ""),
    (re.compile(r"^\([\w-]+\)=\s*$", re.MULTILINE), ""),
    (re.compile(r"\]\([^()]*\)"), "] "),
    (re.compile(r"\{[\w:+-]+\}`"), "`"),
)


@dataclass(frozen=True)
class Cell:
    """One cell: its text, its tags, its outputs as text."""

    identity: str
    code: bool
    source: str
    tags: frozenset[str]
    alt: str
    outputs: str

    @property
    def open(self) -> bool:
        """Does its code stand open on the page?"""
        return self.code and not self.tags & FOLDED

    @property
    def speaks(self) -> bool:
        """Do its outputs stand open on the page?"""
        return self.code and not self.tags & SILENT

    @cached_property
    def tree(self) -> ast.Module:
        """The code, without magics; nothing where it cannot be read."""
        try:
            return ast.parse(_MAGIC.sub(r"\1pass", self.source) if self.code else "")
        except SyntaxError:
            return ast.parse("")


@dataclass(frozen=True)
class Page:
    """A chapter's cells, and the questions that it asks by their ids."""

    slug: str
    cells: tuple[Cell, ...]
    questions: dict[str, Any]

    def fences(self) -> Iterator[tuple[int, Fence]]:
        """Every directive with the number of its cell."""
        for number, cell in enumerate(self.cells):
            if not cell.code:
                yield from ((number, fence) for fence in directives(cell.source))

    def headings(self) -> list[str]:
        """Titles of sections and subsections."""
        texts = (block for cell in self.cells if not cell.code for block in blocks(cell.source))
        words = (block for block in texts if isinstance(block, str))
        return [title for text in words for title in re.findall(r"^#{2,3} +(.+)$", text, re.M)]

    def code_lines(self) -> list[str]:
        """The lines of code that stand open, in cells and between fences."""
        return [line for text in self._code() for line in lines(text)]

    def words(self) -> int:
        """How many words there are to read; an exercise's box is practice, and not read."""
        prose = " ".join(
            text for cell in self.cells if not cell.code for text in self._prose(cell.source)
        )
        for pattern, instead in _PLAIN:
            prose = pattern.sub(instead, prose)
        return sum(any(map(str.isalnum, word)) for word in prose.split())

    def _code(self) -> Iterator[str]:
        for cell in self.cells:
            if cell.open:
                yield cell.source
            elif not cell.code:
                yield from _listings(cell.source)

    def _prose(self, text: str) -> Iterator[str]:
        for block in blocks(text):
            if isinstance(block, str):
                yield block
            elif block.name in ("predict", "quiz"):
                for name in (block.argument or block.body).split():
                    yield from _asked(self.questions.get(name, {}))
            elif block.name == "interactive":
                yield block.options.get("caption", "")
            elif block.name == "interview":
                yield from _interviewed(block, self.slug)
            elif block.name not in ("", "exercise", "answer"):
                if block.name not in ("figure", "image"):
                    yield block.argument
                yield from self._prose(block.body)


def _interviewed(block: Fence, slug: str) -> Iterator[str]:
    """Questions and answers that a page takes from the bank; nobody reads the whole of it."""
    named = {name if "/" in name else f"{slug}/{name}" for name in block.body.split()}
    for asked in bank.load() if named else ():
        if asked.identity in named:
            yield f"{asked.question} {asked.answer} {asked.trap} {asked.why}"


def lines(code: str) -> list[str]:
    """The lines of a piece of code, without the empty ones."""
    return [line for line in code.splitlines() if line.strip()]


def read(path: Path) -> Page:
    """A chapter's notebook. Raises ValueError for what is none."""
    import nbformat

    notebook = nbformat.v4.reads(path.read_text(encoding="utf-8"))
    return Page(path.stem, tuple(map(_cell, notebook.cells)), questions(path))


def questions(path: Path) -> dict[str, Any]:
    """The questions of a page by their ids, as written; what they need is in ``book/_ext``."""
    file = path.parent / "questions" / f"{path.stem}.yml"
    return (as_written.read(file) if file.is_file() else None) or {}


def _cell(cell: Any) -> Cell:
    tags = frozenset(cell.metadata.get("tags", ()))
    alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
    outputs = [
        output.get("text", "") or output.get("data", {}).get("text/plain", "")
        for output in cell.get("outputs", ())
    ]
    return Cell(
        cell.get("id", "?"),
        cell.cell_type == "code",
        cell.source,
        tags,
        alt.strip(),
        "\n".join(outputs),
    )


def _listings(text: str) -> Iterator[str]:
    """The code between fences, also inside directives; the box of an exercise is none."""
    for block in blocks(text):
        if isinstance(block, Fence):
            if not block.name:
                yield block.body
            elif block.name != "exercise":
                yield from _listings(block.body)


def _asked(question: Any) -> Iterator[str]:
    """The words of a question and of its answer."""
    if isinstance(question, dict):
        yield question.get("question", "")
        yield from question.get("options", ())
        yield question.get("explanation", "")
