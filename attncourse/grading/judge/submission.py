"""Reading a submission: which exercises a notebook or a Python file answers, and with what.

The file is only opened here. Its text is parsed where a zygote's child can be had for it, so
that a hostile one costs at most that child; nothing of it runs before it is graded.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from attncourse.course import exercise as contract
from attncourse.course.forbidden import aliases, message
from attncourse.grading.judge.content import plain, shown, text
from attncourse.grading.parsing.fingerprints import Print
from attncourse.grading.parsing.parser import Cell, Parsed, UnreadableError, parse

__all__ = ["Cell", "Submission", "UnreadableError", "read", "shortcut"]


@runtime_checkable
class Parser(Protocol):
    """Something that parses a hostile text elsewhere, in bounded time: a zygote."""

    def parse(self, text: str, name: str, watched: frozenset[str]) -> Parsed:
        """What `parsing.parse` finds. Raises UnreadableError."""
        ...


@dataclass(frozen=True)
class Submission:
    """What was found in one file.

    exercises are the names of those to be graded, in the order of the course: those of the
    chapter that the notebook belongs to, or else those it defines. defined names every exercise
    whose function is there; notes say what could not be read; uses and prints are as in `Parsed`.
    """

    path: Path
    cells: tuple[Cell, ...] = ()
    exercises: tuple[str, ...] = ()
    defined: frozenset[str] = frozenset()
    notes: tuple[str, ...] = field(default=())
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
    """Read the definitions in `path`; parsed by `parser` where one is given, or else here.

    A link is followed only where nothing is a stranger's: without a parser. Raises
    UnreadableError for what is no notebook or .py.
    """
    source = text(path, follow=parser is None)
    chapters, loaded = contract.names(), contract.all_exercises().values()
    watched = frozenset(alias for exercise in loaded for alias in aliases(exercise.forbidden))
    found = (parser.parse if parser else parse)(source, plain(shown(path)), watched)
    defined = frozenset(name for name in found.defined if name in chapters)
    graded = {name for name, chapter in chapters.items() if chapter == found.chapter} or defined
    names = tuple(name for name in contract.in_order() if name in graded)
    return Submission(path, found.cells, names, defined, found.notes, found.uses, found.prints)


def shortcut(submission: Submission, function: str, forbidden: tuple[str, ...]) -> str | None:
    """Where the function uses a forbidden one, itself or through what it calls; None if nowhere.

    Only a sentence for the learner: what names hide is refused when it runs.
    """
    refused, reached = aliases(forbidden), {function}
    bound = {owner for owner, *_ in submission.uses} | submission.defined
    while True:
        uses = [use for use in submission.uses if use[0] in reached]
        for owner, name, line, label in uses:
            if name in refused and (name not in bound or owner == name != function):
                return f"{message(refused[name])} ({label}, line {line})"
        more = {name for _, name, _, _ in uses if name in bound} - reached
        if not more:
            return None
        reached |= more
