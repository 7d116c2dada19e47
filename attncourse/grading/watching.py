"""A file that is checked whenever it is saved: what changed, and what is next."""

import ast
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from attncourse.core.errors import CourseError
from attncourse.course import exercise as contract
from attncourse.course import report
from attncourse.course.checking import Result
from attncourse.grading.judge.one_file import SECONDS, OneFile
from attncourse.grading.judge.submission import Submission
from attncourse.grading.judge.zygote import Zygote

POLL, SETTLE = 0.3, 0.1  # seconds between two looks, and for a save to be whole


@dataclass(frozen=True)
class News:
    """What a save brought: a problem with the whole file, or the exercises that changed.

    first: nothing was known before, so that all exercises are told.
    """

    problem: str = ""
    results: tuple[Result, ...] = ()
    broken: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    printed: str = ""
    first: bool = False


def saves(path: Path, sleep: Callable[[float], None] = time.sleep) -> Iterator[bool]:
    """Now, and each time that the file was saved: is it there?

    A file that is still being written, or exchanged for another, is waited for.
    """
    known: object = "nothing yet"
    while True:
        state = _state(path)
        if state == known:
            sleep(POLL)
            continue
        sleep(SETTLE)
        if _state(path) == state:
            known = state
            yield state is not None


class Watch:
    """What is known of a file; `look` checks it anew and tells what is new.

    A context: one zygote serves all looks, so that torch is imported once.
    """

    def __init__(self, path: Path, asked: tuple[str, ...] = (), seconds: float = SECONDS) -> None:
        contract.names()  # where there can be none, no save would mend it
        self.path, self.asked, self.seconds = path, asked, seconds
        self.results: dict[str, Result] = {}
        self._text = ""
        self._codes: dict[str, str] = {}
        self._zygote = Zygote()

    def __enter__(self) -> "Watch":
        return self

    def __exit__(self, *exception: object) -> None:
        self._zygote.stop()

    def look(self) -> News | None:
        """What has changed since the last look; None where that is nothing of the code."""
        try:
            return self._look()
        except CourseError as error:
            self._text = ""  # the same code is told again, once it can be read
            return News(problem=str(error))

    def _look(self) -> News | None:
        with OneFile(self.path, self.asked, self.seconds, self._zygote) as file:
            text = "\0".join(cell.source for cell in file.submission.cells)
            if text == self._text:
                return None
            if file.nothing:
                self._text = text
                return News(problem=file.nothing)
            found = list(file.results())
            results = {r.exercise: r for r in found if isinstance(r, Result)}
            codes = {name: code(file.submission, name) for name in results}
            new = tuple(results[name] for name in results if self._is_new(results[name], codes))
            broken = tuple(str(error) for error in found if not isinstance(error, Result))
            first, notes, printed = not self.results, file.notes, file.printed
        self.results, self._codes, self._text = results, codes, text
        return News("", new, broken, notes, printed, first)

    def _is_new(self, result: Result, codes: dict[str, str]) -> bool:
        name = result.exercise
        before = self.results.get(name)
        if before is None or codes[name] != self._codes.get(name):
            return True
        return report.text(before) != report.text(result)

    @property
    def passed(self) -> int:
        """How many of the file's exercises pass."""
        return sum(result.state == "passed" for result in self.results.values())

    @property
    def progress(self) -> str:
        """The file's exercises as marks, and how many of them pass."""
        marks = "".join(report.MARKS[result.state] for result in self.results.values())
        return f"{marks}  {self.passed} of {len(self.results)} passed."

    @property
    def next_step(self) -> str:
        """The exercise to go on with: the first of the file that does not pass, or another file."""
        for name, result in self.results.items():
            if result.state != "passed":
                return f"Next: {name} ({contract.get(name).title})."
        names = contract.in_order()
        after = names[max((names.index(n) for n in self.results), default=-1) + 1 :]
        if not after:
            return "That was the last exercise of the course so far."
        chapter = contract.names()[after[0]]
        return f"All of this file passed. Next: {after[0]}, in exercises/{chapter}.ipynb."


def code(submission: Submission, name: str) -> str:
    """What the file says of a function: its definition, and those of what it uses."""
    wanted = submission.reaches(name)
    found = [
        statement
        for cell in submission.cells
        for bound, statement in _statements(cell.source)
        if bound & wanted
    ]
    return "\n".join(found)


def _statements(source: str) -> Iterator[tuple[set[str], str]]:
    """Each top-level statement with the names that it binds; all at once where it is no Python."""
    with suppress(SyntaxError, ValueError, RecursionError):
        for node in ast.parse(source).body:
            yield _bound(node), ast.unparse(node)
        return
    yield set(source.replace("(", " ").split()), source


def _bound(node: ast.stmt) -> set[str]:
    own = {node.name} if isinstance(node, ast.FunctionDef | ast.ClassDef) else set[str]()
    stored = {
        inner.id
        for inner in ast.walk(node)
        if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store)
    }
    return own or stored


def _state(path: Path) -> tuple[int, int, int] | None:
    """What changes when a file is saved; None where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
