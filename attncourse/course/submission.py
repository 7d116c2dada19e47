"""Reading a submission: the definitions in a notebook or a Python file, without running any of it.

Imports, functions and classes are taken; an assignment is taken only if a definition uses the
name it binds. Everything else (calls, prints, loops, plots, magics) is a learner's own demo.
"""

import ast
import dis
import re
import types
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import nbformat

from attncourse.course import exercise as contract
from attncourse.exercises import CHAPTERS

LARGEST_FILE = 8 * 2**20  # bytes

_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_IMPORTS = (ast.Import, ast.ImportFrom)
_ASSIGNMENTS = (ast.Assign, ast.AnnAssign, ast.AugAssign)
_HARMLESS_CELL_MAGICS = ("%%time", "%%timeit", "%%capture")


class UnreadableError(ValueError):
    """The file cannot be read as a submission; the message says why in one sentence."""


@dataclass(frozen=True)
class Cell:
    """One cell (or one .py file): its source, and which of its top-level statements to run."""

    label: str
    source: str
    keep: tuple[int, ...] = ()


@dataclass(frozen=True)
class Submission:
    """What was found in one file.

    exercises are the names of those defined in it or expected from it, in the order of the
    course; defined those whose function is there; notes say what could not be read.
    """

    path: Path
    cells: tuple[Cell, ...] = ()
    exercises: tuple[str, ...] = ()
    defined: frozenset[str] = frozenset()
    notes: tuple[str, ...] = field(default=())


def read(path: Path) -> Submission:
    """Read the definitions in `path`. Raises UnreadableError for what is no notebook or .py."""
    cells, chapter = _read_cells(path)
    notes: list[str] = []
    trees: list[tuple[Cell, ast.Module]] = []
    for cell in cells:
        try:
            trees.append((cell, ast.parse(cell.source)))
        except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
            notes.append(f"{cell.label} could not be read: {_syntax(error)}")
    kept = _keep(trees)
    defined = frozenset(_defined(trees)) & contract.all_exercises().keys()
    expected = {e.name for e in contract.of_chapter(chapter)} if chapter else set()
    names = tuple(name for name in contract.all_exercises() if name in defined | expected)
    return Submission(path, tuple(kept), names, defined, tuple(notes))


def _read_cells(path: Path) -> tuple[list[Cell], str | None]:
    """The code cells of a file, and the chapter that it says it belongs to."""
    text = _read_text(path)
    if path.suffix == ".py":
        return [Cell(path.name, text)], None
    try:
        notebook = nbformat.reads(text, as_version=4)
        code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
        tag = notebook.metadata.get("attncourse", {}).get("chapter", path.stem)
    except Exception as error:
        reason = str(error).strip().partition("\n")[0][:200] or type(error).__name__
        raise UnreadableError(f"{path.name} is not a Jupyter notebook: {reason}") from None
    cells = [
        Cell(f"code cell {number}", without_magics(source)) for number, source in enumerate(code, 1)
    ]
    return cells, tag if tag in CHAPTERS else None


def _read_text(path: Path) -> str:
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise UnreadableError(f"{path.name} is larger than {LARGEST_FILE // 2**20} MiB")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UnreadableError(f"{path.name} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UnreadableError(f"{path.name} is not a text file in UTF-8") from None
    if not text.strip():
        raise UnreadableError(f"{path.name} is empty")
    return text


def without_magics(source: str) -> str:
    """The source with IPython's magics and shell lines replaced by ``pass``, line for line."""
    first, _, rest = source.lstrip().partition("\n")
    if first.startswith("%%"):
        if first.split()[0] not in _HARMLESS_CELL_MAGICS:
            return ""
        source = f"\n{rest}"
    magic = re.compile(r"^(\s*)(?:[%!?].*|\w+\s*=\s*[%!].*|\w[\w.]*\?{1,2}\s*)$", re.MULTILINE)
    return magic.sub(r"\1pass", source)


def _keep(trees: Iterable[tuple[Cell, ast.Module]]) -> Iterator[Cell]:
    """The cells with the statements to run: definitions, and the assignments they need."""
    cells = list(trees)
    statements = [statement for _, tree in cells for statement in tree.body]
    chosen = {id(s) for s in statements if isinstance(s, _DEFINITIONS + _IMPORTS)}
    needed = _names_used(s for s in statements if id(s) in chosen)
    grew = True
    while grew:
        extra = [
            s
            for s in statements
            if isinstance(s, _ASSIGNMENTS) and id(s) not in chosen and _bound(s) & needed
        ]
        chosen |= {id(s) for s in extra}
        needed |= _names_used(extra)
        grew = bool(extra)
    for cell, tree in cells:
        keep = tuple(i for i, s in enumerate(tree.body) if id(s) in chosen)
        if keep:
            yield Cell(cell.label, cell.source, keep)


def _names_used(statements: Iterable[ast.stmt]) -> set[str]:
    """The global names that the statements, and the functions in them, load."""
    names: set[str] = set()
    for statement in statements:
        try:
            code = compile(ast.Module([statement], []), "<submission>", "exec")
        except (SyntaxError, ValueError, RecursionError):
            continue
        names |= set(_globals_loaded(code))
    return names


def _globals_loaded(code: types.CodeType) -> Iterator[str]:
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("LOAD_NAME", "LOAD_GLOBAL"):
            yield str(instruction.argval)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _globals_loaded(constant)


def _bound(statement: ast.stmt) -> set[str]:
    """The names that an assignment binds, or whose attributes or items it sets."""
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]  # type: ignore[attr-defined]
    return {n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name)}


def _defined(trees: Iterable[tuple[Cell, ast.Module]]) -> Iterator[str]:
    """The names of functions defined, or bound by assignment, at top level."""
    for _, tree in trees:
        for statement in tree.body:
            if isinstance(statement, _DEFINITIONS):
                yield statement.name
            elif isinstance(statement, ast.Assign):
                yield from _bound(statement)


def _syntax(error: BaseException) -> str:
    if isinstance(error, SyntaxError) and error.lineno:
        return f"line {error.lineno}: {error.msg}"
    return "it nests too deeply" if isinstance(error, RecursionError | MemoryError) else str(error)
