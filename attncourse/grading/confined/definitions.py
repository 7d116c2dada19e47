"""A submission's cells in a worker: compiled once, run for each exercise anew, as Jupyter would.

A cell that fails keeps what it has bound before, and the next one runs. What may not be used
while an exercise is graded (PyTorch's softmax, this package's) is passed over, statement by
statement: in a learner's own demo it is no mistake.
"""

import ast
import contextlib
import inspect
import linecache
import marshal
import random
import resource
import sys
import time
import types
from collections.abc import Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from attncourse.course.clock import OutOfTime, limited
from attncourse.course.execution import is_stub
from attncourse.course.forbidden import asks_for_your_own
from attncourse.grading.confined import surroundings
from attncourse.grading.confined.imports import import_the_rest
from attncourse.grading.parsing.parser import AWAIT, Cell, compiled

LONGEST = 5.0  # seconds of processor time where the system sets no limit
PATIENCE = 2.0  # times as long may a statement wait without computing


@dataclass(frozen=True)
class Pass:
    """What all cells have bound, once run: the functions that count as answers, by name; notes.

    The function of a name is what was bound to it last that can be called, since a demo may use
    the name again; or what `check` was asked about under that name.
    """

    functions: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def same(self, other: "Pass") -> bool:
        """Did both give the same, as far as names and notes tell?"""
        return self.notes == other.notes and self.functions.keys() == other.functions.keys()


class Definitions:
    """The cells of a submission, ready to be run."""

    def __init__(self, cells: Sequence[Cell]) -> None:
        self.script = any(cell.script for cell in cells)
        self.statements = [(cell, _statements(cell)) for cell in cells]

    def run(self) -> Pass:
        """Run all cells in a new module, where nothing is printed."""
        # a notebook is the program itself; a .py file is imported, without its main part
        name = "submission" if self.script else "__main__"
        module = sys.modules[name] = types.ModuleType(name)
        vars(module).update(surroundings.ipython())
        run = _Run(vars(module))
        random.seed(0)
        with torch.random.fork_rng(devices=[]), surroundings.silence():
            torch.default_generator.manual_seed(0)
            for cell, statements in self.statements:
                run.cell(cell, statements)
        drawn = ", ".join(surroundings.drawn())
        notes = [f"skipped, as nothing is drawn here: {drawn}"] if drawn else []
        return Pass(run.answers(), run.notes + notes)


@dataclass
class _Statement:
    """One statement of a cell: its number there, its code, what it binds, and what it imports."""

    number: int
    code: types.CodeType
    binds: frozenset[str]
    imports: frozenset[str]
    stopped: str = ""  # why it was stopped once, and is not tried again

    def tree(self, cell: Cell) -> ast.stmt:
        """Its syntax."""
        return ast.parse(cell.source).body[self.number]


class _Run:
    """One run of all cells: what they bind, notes, and the processor time that is left."""

    def __init__(self, namespace: dict[str, Any]) -> None:
        self.namespace = namespace
        self.bound: dict[str, Any] = {}
        self.lost: set[str] = set()  # what was to be bound by statements that were passed over
        self.notes: list[str] = []
        self.left = _seconds_left() / 2  # the other half is the exercise's
        surroundings.begin()

    def cell(self, cell: Cell, statements: Sequence[_Statement]) -> None:
        """Run a cell to its end, or to the first statement that fails.

        In a .py file a statement that fails costs only itself. So does one that fails only here:
        it uses what no answer may (PyTorch's softmax, in a demo, is no mistake), or a file or a
        package that is not there.
        """
        going_on = cell.script
        for statement in statements:
            error = self._try(cell, statement)
            self.bound |= {n: v for n in statement.binds if callable(v := self.namespace.get(n))}
            if error is not None:
                going_on |= asks_for_your_own(error) or _lacking(error)
                last = going_on or statement is statements[-1]
                if not (isinstance(error, NameError) and error.name in self.lost):
                    rest = "" if last else "; the rest of it did not run"
                    self._note(cell, statement, error, rest)
                self.lost |= statement.binds | statement.imports
                if not going_on:
                    return

    def answers(self) -> dict[str, Any]:
        """What can be called, by name."""
        found = self.bound | {
            name: value
            for name, value in self.namespace.items()
            if name not in self.bound and callable(value)
        }
        for name, function in surroundings.CHECKED.items():
            if name not in found or is_stub(found[name]):
                found[name] = function
        return found

    def _try(self, cell: Cell, statement: _Statement) -> BaseException | None:
        """Run one statement, within half of the time that is left; what it raised, if anything."""
        if statement.stopped:
            return OutOfTime(statement.stopped)
        before, most = time.thread_time(), self.left / 2
        try:
            with limited(most, PATIENCE * most + 1):
                _run(statement.code, self.namespace)
        except OutOfTime as error:
            statement.stopped = str(error)
            return error
        except (Exception, SystemExit) as error:
            refused = asks_for_your_own(error)
            imported = refused and import_the_rest(statement.tree(cell), self.namespace)
            return None if imported else error
        finally:
            self.left -= time.thread_time() - before
        return None

    def _note(self, cell: Cell, statement: _Statement, error: BaseException, rest: str) -> None:
        line = statement.tree(cell).lineno
        for frame, number in _frames(error):
            line = number if frame.f_code is statement.code else line
        reason = str(error).partition("\n")[0][:200]
        if isinstance(error, OutOfTime):
            told = f" was stopped: it {reason} for too long"
        elif asks_for_your_own(error):
            told = f" was passed over: {reason.rpartition(': ')[2]} in an answer"
        else:
            told = f": {type(error).__name__}" + (f": {reason}" if reason else "")
        self.notes.append(f"{cell.label}, line {line}{told}{rest}")


def _statements(cell: Cell) -> list[_Statement]:
    lines = cell.source.splitlines(True)
    linecache.cache[cell.filename] = (len(cell.source), None, lines, cell.filename)
    if cell.code:
        found = marshal.loads(cell.code)
    else:
        found, _ = compiled(ast.parse(cell.source), cell.filename, AWAIT)
    return [_Statement(number, *one) for number, one in enumerate(found)]


def _run(code: types.CodeType, namespace: dict[str, Any]) -> None:
    """Run a statement, to its end where it awaits something."""
    if not code.co_flags & inspect.CO_COROUTINE:
        exec(code, namespace)
        return
    waiting: Coroutine[Any, Any, Any] = eval(code, namespace)
    with contextlib.suppress(StopIteration):
        while True:
            waiting.send(None)


def _lacking(error: BaseException) -> bool:
    """Does it fail for a file, a connection or a package, which may well be there elsewhere?"""
    denied = isinstance(error, RuntimeError) and "open file failed" in str(error)  # torch.save's
    return denied or isinstance(error, OSError | ModuleNotFoundError)


def _frames(error: BaseException) -> Iterator[tuple[types.FrameType, int]]:
    """The frames that an exception passed through, each with its line."""
    trace = error.__traceback__
    while trace is not None:
        yield trace.tb_frame, trace.tb_lineno
        trace = trace.tb_next


def _seconds_left() -> float:
    """Seconds of processor time that this process may still use."""
    most = resource.getrlimit(resource.RLIMIT_CPU)[0]
    return LONGEST if most == resource.RLIM_INFINITY else max(0.1, most - time.process_time())
