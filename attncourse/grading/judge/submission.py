"""Reading a submission: which exercises a notebook or a Python file answers, and with what.

The file is only opened here. Its text is parsed where a zygote's child can be had for it, so
that a hostile one costs at most that child; nothing of it runs before it is graded.
"""

from collections.abc import Container
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol, runtime_checkable

from attncourse.course import exercise as contract
from attncourse.grading.judge.content import plain, shown, text
from attncourse.grading.parsing.fingerprints import Print
from attncourse.grading.parsing.parser import Cell, Function, Parsed, UnreadableError, parse

__all__ = ["Cell", "Submission", "UnreadableError", "read", "settled"]


@runtime_checkable
class Parser(Protocol):
    """Something that parses a hostile text elsewhere, in bounded time: a zygote."""

    def parse(self, text: str, name: str) -> Parsed:
        """What `parsing.parse` finds. Raises UnreadableError."""
        ...


@dataclass(frozen=True)
class Submission:
    """What was found in one file.

    exercises are the names of those to be graded, in the order of the course: those of the
    chapter that the notebook belongs to, or else those it defines. defined names every exercise
    whose function the text shows, unsure those whose function may be there once all has run.
    notes say what could not be read; functions, uses and prints are as in `Parsed`.
    """

    path: Path
    cells: tuple[Cell, ...] = ()
    exercises: tuple[str, ...] = ()
    defined: frozenset[str] = frozenset()
    notes: tuple[str, ...] = field(default=())
    unsure: frozenset[str] = frozenset()
    functions: tuple[Function, ...] = ()
    uses: tuple[tuple[str, str, int, str], ...] = ()
    prints: tuple[Print, ...] = ()

    @property
    def name(self) -> str:
        """The file's name, fit to be shown: a stranger chose it."""
        return shown(self.path)

    def reaches(self, function: str) -> set[str]:
        """The function and what it uses of what the file itself binds, directly or not."""
        reached: set[str] = set()
        more = {function}
        while more:
            reached |= more
            more = {name for owner, name, *_ in self.uses if owner in reached} - reached
        return reached


def read(path: Path, parser: Parser | None = None) -> Submission:
    """Read the submission in `path`; parsed by `parser` where one is given, or else here.

    A link is followed only where nothing is a stranger's: without a parser. Raises
    UnreadableError for what is no notebook or .py.
    """
    source = text(path, follow=parser is None)
    found = (parser.parse if parser else parse)(source, plain(shown(path)))
    chapters = contract.names()
    defined = frozenset(name for name in found.defined if name in chapters)
    of_chapter = {name for name, chapter in chapters.items() if chapter == found.chapter}
    # of a file of which nothing can be read nothing is graded: that is no 0
    unread = {f.name for f in found.functions if f.name in chapters and _unread(f, found)}
    unread = unread if found.cells else set()
    return Submission(
        path,
        found.cells,
        _in_order(of_chapter or defined | unread),
        defined,
        found.notes,
        frozenset(name for name in found.unsure if name in chapters) - defined,
        found.functions,
        found.uses,
        found.prints,
    )


def settled(submission: Submission, functions: Container[str]) -> Submission:
    """The submission, once its cells have run and it is known which functions are there."""
    more = frozenset(name for name in submission.unsure if name in functions)
    exercises = _in_order({*submission.exercises, *more})
    defined = submission.defined | more
    return replace(submission, exercises=exercises, defined=defined, unsure=frozenset())


def _in_order(names: Container[str]) -> tuple[str, ...]:
    return tuple(name for name in contract.in_order() if name in names)


def _unread(function: Function, found: Parsed) -> bool:
    """Does it stand in a cell that could not be read?"""
    return any(note.startswith(f"{function.label} could not be read") for note in found.notes)
