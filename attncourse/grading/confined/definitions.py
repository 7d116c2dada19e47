"""A submission's definitions in a worker: compiled once, run for each exercise anew."""

import ast
import linecache
import marshal
from collections.abc import Sequence
from dataclasses import dataclass
from types import CodeType
from typing import Any

from attncourse.grading.confined.surroundings import REFUSED
from attncourse.grading.parsing.parser import Cell
from attncourse.grading.sandbox.mounts import hidden


@dataclass(frozen=True)
class _Statement:
    """One that is kept: the number it has in its cell, and its code where there is one."""

    cell: Cell
    number: int
    code: CodeType | None

    def tree(self) -> ast.stmt:
        """Its syntax."""
        return ast.parse(self.cell.source).body[self.number]

    def run(self, namespace: dict[str, Any]) -> None:
        """Run it. Raises whatever it raises, or why it cannot be compiled."""
        code = self.code or compile(ast.Module([self.tree()], []), self.cell.filename, "exec")
        exec(code, namespace)


class Definitions:
    """The kept statements of a submission's cells, ready to be run."""

    def __init__(self, cells: Sequence[Cell]) -> None:
        self.statements = [statement for cell in cells for statement in _statements(cell)]

    def run(self) -> tuple[dict[str, Any], list[str]]:
        """A new namespace in which all have run; and notes of those that failed.

        One that fails costs only itself. An import of what is not available here is noted only
        where nothing of this package is meant: a chapter's own cells import the library.
        """
        namespace: dict[str, Any] = {"__name__": "submission"}
        notes = []
        for statement in self.statements:
            try:
                statement.run(namespace)
            except (Exception, SystemExit) as error:
                if isinstance(error, ImportError) and hidden(error.name or ""):
                    _import_the_rest(statement.tree(), namespace)
                    continue
                reason = str(error).partition("\n")[0][:200]
                place = f"{statement.cell.label}, line {statement.tree().lineno}"
                notes.append(f"{place}: {type(error).__name__}: {reason}")
        return namespace, notes


def _statements(cell: Cell) -> list[_Statement]:
    lines = cell.source.splitlines(True)
    linecache.cache[cell.filename] = (len(cell.source), None, lines, cell.filename)
    codes = marshal.loads(cell.code) if cell.code else [None] * len(cell.keep)
    return [_Statement(cell, *one) for one in zip(cell.keep, codes, strict=True)]


def _import_the_rest(statement: ast.stmt, namespace: dict[str, Any]) -> None:
    """Import what may be had, name by name; the other names say so when they are used.

    ``from attncourse import attention, flops``: the first is an answer, the second is not.
    """
    if not isinstance(statement, ast.ImportFrom):
        return
    for alias in statement.names:
        name, whole = alias.asname or alias.name, f"{statement.module}.{alias.name}"
        single = ast.copy_location(ast.ImportFrom(statement.module, [alias], 0), statement)
        try:
            exec(compile(ast.Module([single], []), "<import>", "exec"), namespace)
        except ImportError:
            namespace[name] = _Unavailable(whole)


class _Unavailable:
    """Stands for what cannot be imported here: any use of it raises ImportError."""

    def __init__(self, name: str) -> None:
        self.__name = name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise ImportError(f"{self.__name} {REFUSED}", name=self.__name)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self()
