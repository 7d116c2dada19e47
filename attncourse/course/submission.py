"""Reading a submission: the definitions in a notebook or a Python file, without running any of it.

Imports, functions and classes are taken; an assignment is taken only if a definition uses the
name it binds. Everything else (calls, prints, loops, plots, magics) is a learner's own demo.
"""

import ast
import contextlib
import dis
import re
import types
import warnings
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

# a magic or a shell line, continued by backslashes; x = !ls or x = %magic; name? and name??
_MAGIC = re.compile(
    r"^([ \t]*)((?:[%!?]|\w+[ \t]*=[ \t]*[%!])(?:.*\\\n)*.*|\w[\w.]*\?{1,2}[ \t]*)$", re.MULTILINE
)


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

    exercises are the names of those to be graded, in the order of the course: those of the
    chapter that the notebook belongs to, or else those it defines. defined names every exercise
    whose function is there; notes say what could not be read.
    """

    path: Path
    cells: tuple[Cell, ...] = ()
    exercises: tuple[str, ...] = ()
    defined: frozenset[str] = frozenset()
    notes: tuple[str, ...] = field(default=())


def read(path: Path) -> Submission:
    """Read the definitions in `path`. Raises UnreadableError for what is no notebook or .py."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a "\sqrt" in a docstring, of cells without an id
        return _read(path)


def _read(path: Path) -> Submission:
    cells, chapter = _read_cells(path)
    notes: list[str] = []
    trees: list[tuple[Cell, ast.Module]] = []
    for cell in cells:
        try:
            trees.append((cell, ast.parse(cell.source)))
        except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
            notes.append(f"{cell.label} could not be read: {_syntax(error)}")
    kept = _keep(trees)
    defined = frozenset(name for name in _defined(trees) if name in contract.all_exercises())
    graded = {e.name for e in contract.of_chapter(chapter)} if chapter else defined
    names = tuple(name for name in contract.all_exercises() if name in graded)
    return Submission(path, tuple(kept), names, defined, tuple(notes))


def _read_cells(path: Path) -> tuple[list[Cell], str | None]:
    """The code cells of a file, and the chapter that it says it belongs to."""
    text = _read_text(path)
    if path.suffix == ".py":
        return [Cell(path.name, text)], None
    try:
        notebook = nbformat.reads(text, as_version=4)
        code = [str(cell.source) for cell in notebook.cells if cell.cell_type == "code"]
        tag = str(notebook.metadata.get("attncourse", {}).get("chapter", path.stem))
    except Exception as error:
        not_json = isinstance(error, nbformat.reader.NotJSONError)
        reason = "it is not JSON" if not_json else "its JSON does not have the form of one"
        raise UnreadableError(f"{path.name} is not a Jupyter notebook: {reason}") from None
    cells = [
        Cell(f"code cell {number}", without_magics(source)) for number, source in enumerate(code, 1)
    ]
    return cells, tag if tag in CHAPTERS else None


def _read_text(path: Path) -> str:
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise UnreadableError(f"{path.name} is larger than {LARGEST_FILE // 2**20} MiB")
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UnreadableError(f"{path.name} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UnreadableError(f"{path.name} is not a text file in UTF-8") from None
    if not text.strip():
        raise UnreadableError(f"{path.name} is empty")
    return text


def without_magics(source: str) -> str:
    """The source with IPython's magics and shell lines replaced by ``pass``, line for line.

    Source that is Python as it stands is left alone: in it a line may well begin with ``%``.
    """
    with contextlib.suppress(SyntaxError, ValueError, MemoryError, RecursionError):
        ast.parse(source)
        return source
    first, _, rest = source.lstrip().partition("\n")
    if first.startswith("%%"):
        if first.split()[0] not in _HARMLESS_CELL_MAGICS:
            return ""
        source = f"\n{rest}"
    return _MAGIC.sub(lambda found: f"{found[1]}pass" + "\n" * found[2].count("\n"), source)


def _keep(trees: Iterable[tuple[Cell, ast.Module]]) -> Iterator[Cell]:
    """The cells with the statements to run: definitions, and the assignments they need."""
    cells = list(trees)
    statements = [statement for _, tree in cells for statement in tree.body]
    chosen = {id(s) for s in statements if isinstance(s, _DEFINITIONS + _IMPORTS)}
    chosen |= {id(s) for s in _functions(statements)}
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
    return {
        n.id for target in _targets(statement) for n in ast.walk(target) if isinstance(n, ast.Name)
    }


def _targets(statement: ast.stmt) -> list[ast.expr]:
    return statement.targets if isinstance(statement, ast.Assign) else [statement.target]  # type: ignore[attr-defined]


def _defined(trees: Iterable[tuple[Cell, ast.Module]]) -> Iterator[str]:
    """The names of functions defined, or bound to one by assignment, at top level."""
    for statement in _functions(statement for _, tree in trees for statement in tree.body):
        if isinstance(statement, _DEFINITIONS):
            yield statement.name
        else:
            yield from _bound(statement)


def _functions(statements: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Definitions, and assignments of a lambda or of a function: ``softmax = my_softmax``.

    Any other assignment to an exercise's name is a demo: ``attention = weights @ v``.
    """
    known: set[str] = set()
    for statement in statements:
        if isinstance(statement, _DEFINITIONS):
            known.add(statement.name)
            yield statement
        elif isinstance(statement, ast.Assign | ast.AnnAssign):
            value = statement.value
            alias = isinstance(value, ast.Name) and value.id in known
            plain = all(isinstance(target, ast.Name) for target in _targets(statement))
            if plain and (alias or isinstance(value, ast.Lambda)):
                known |= _bound(statement)
                yield statement


def _syntax(error: BaseException) -> str:
    if isinstance(error, SyntaxError) and error.lineno:
        return f"line {error.lineno}: {error.msg}"
    return "it nests too deeply" if isinstance(error, RecursionError | MemoryError) else str(error)
