"""Reading the text of a notebook or a Python file, without running any of it.

Knows no exercise, so that it can run where submissions run: hostile text is read there.
"""

import __future__

import ast
import marshal
import re
import types
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from attncourse.core.errors import CourseError
from attncourse.grading.parsing.fingerprints import Print, fingerprint
from attncourse.grading.parsing.magics import to_python
from attncourse.grading.parsing.references import uses
from attncourse.grading.parsing.statements import (
    DEFINITIONS,
    at_top,
    binds,
    defined,
    functions,
    names_in,
    unsure,
)

MOST_PRINTS = 200  # functions of a submission
MOST_NAMES = 1000  # that may be functions

Compiled = tuple[types.CodeType, frozenset[str], frozenset[str]]

AWAIT = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
_FUTURES = sum(
    getattr(__future__, name).compiler_flag for name in set(__future__.all_feature_names)
)


class UnreadableError(CourseError):
    """The file cannot be read as a submission; the message says why in one sentence."""


@dataclass(frozen=True)
class Cell:
    """One cell, or one .py file: a `script`, in which a statement that fails costs only itself.

    code is what its statements compile to, marshalled, as a worker runs it, each with the names
    that it binds and imports: for the judge it is bytes.
    """

    label: str
    source: str
    script: bool = False
    code: bytes = field(default=b"", compare=False, repr=False)

    @property
    def filename(self) -> str:
        """What tracebacks call it."""
        return f"<{self.label}>"


@dataclass(frozen=True)
class Function:
    """What may be a function once all has run: its name, its parameters, the cell it is in."""

    name: str
    parameters: tuple[str, ...]
    label: str


@dataclass(frozen=True)
class Parsed:
    """What was found: the cells to be run, the names that they bind, notes.

    chapter is what the file says it belongs to, its stem if it says nothing; None in a .py.
    defined are the names of functions, unsure those of what may be one. functions are both, and
    those of cells that could not be read. uses tells what the names bound at top level refer to:
    the name bound, a name bound here, the line of the cell, and the cell's label. prints are of
    the functions defined.
    """

    cells: tuple[Cell, ...] = ()
    chapter: str | None = None
    defined: tuple[str, ...] = ()
    unsure: tuple[str, ...] = ()
    functions: tuple[Function, ...] = ()
    notes: tuple[str, ...] = ()
    uses: tuple[tuple[str, str, int, str], ...] = ()
    prints: tuple[Print, ...] = ()


@dataclass
class _Reading:
    """What has been read so far: trees with their cells, what may be a function, notes."""

    cells: list[Cell] = field(default_factory=list)
    trees: list[ast.Module] = field(default_factory=list)
    functions: list[Function] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    left_out: dict[str, list[str]] = field(default_factory=dict)
    flags: int = AWAIT

    def take(self, label: str, text: str, script: bool) -> None:
        """Read one cell; what cannot be read is noted, and what it would define is kept."""
        source, left_out = to_python(text, script)
        for name in left_out:
            self.left_out.setdefault(name, []).append(label)
        try:
            tree = ast.parse(source)
            code, self.flags = compiled(tree, f"<{label}>", self.flags)
        except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
            self.notes.append(f"{label} could not be read: {_syntax(error, source)}")
            self.functions += [Function(name, (), label) for name in names_in(text)]
            return
        if code:
            self.cells.append(Cell(label, source, script, marshal.dumps(code)))
            self.trees.append(tree)
            self.functions += [Function(name, known, label) for name, known in functions(tree)]


def parse(text: str, name: str) -> Parsed:
    """What stands in the text of the file `name`. Raises UnreadableError."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a "\sqrt" in a docstring, of cells without an id
        texts, chapter = _texts(text, name)
        read, script = _Reading(), chapter is None
        for label, source in texts:
            read.take(label, source, script)
        labelled = [(cell.label, tree) for cell, tree in zip(read.cells, read.trees, strict=True)]
        return Parsed(
            tuple(read.cells),
            chapter,
            tuple(dict.fromkeys(defined(read.trees))),
            tuple(dict.fromkeys(unsure(read.trees))),
            tuple(read.functions[-MOST_NAMES:]),
            (*read.notes, *_skipped(read.left_out)),
            tuple(uses(labelled)),
            tuple(_prints(zip(read.cells, read.trees, strict=True))),
        )


def compiled(tree: ast.Module, filename: str, flags: int) -> tuple[list[Compiled], int]:
    """Each statement's code, the names that it binds and imports; and the flags for what follows.

    A future lasts, as in Jupyter. Raises SyntaxError for what has none, such as a `return` outside
    of a function.
    """
    code = []
    for statement in tree.body:
        one = compile(ast.Module([statement], []), filename, "exec", flags, dont_inherit=True)
        flags |= one.co_flags & _FUTURES
        code.append((one, *binds(one)))
    return code, flags


def _texts(text: str, name: str) -> tuple[list[tuple[str, str]], str | None]:
    """The code cells of a file with their labels, and the chapter that it says it belongs to."""
    if name.endswith(".py"):
        return [(name, text)], None
    import nbformat  # here alone: the judge, which parses nothing, is spared its seconds

    try:
        notebook = nbformat.reads(text, as_version=4)
        code = [str(cell.source) for cell in notebook.cells if cell.cell_type == "code"]
        stem = name.rpartition(".")[0]
        chapter = str(notebook.metadata.get("attncourse", {}).get("chapter", stem))[:200]
    except Exception as error:
        not_json = isinstance(error, nbformat.reader.NotJSONError)
        reason = "it is not JSON" if not_json else "its JSON does not have the form of one"
        raise UnreadableError(f"{name} is not a Jupyter notebook: {reason}") from None
    run = (source for source in code if source.strip())  # Jupyter does not count the others
    return [(f"code cell {number}", source) for number, source in enumerate(run, 1)], chapter


def _skipped(left_out: dict[str, list[str]]) -> Iterator[str]:
    """A note on what is no Python."""
    if left_out:
        told = (f"{name} ({', '.join(dict.fromkeys(at))})" for name, at in left_out.items())
        yield f"skipped, as only IPython runs it: {', '.join(told)}"


def _prints(trees: Iterable[tuple[Cell, ast.Module]]) -> Iterator[Print]:
    """The fingerprints of the functions and classes; of several of a name, the last."""
    found = {
        statement.name: (statement, cell.source)
        for cell, tree in trees
        for statement in at_top(tree)
        if isinstance(statement, DEFINITIONS)
    }
    for name, (statement, source) in list(found.items())[-MOST_PRINTS:]:
        yield fingerprint(statement, name, source)


def _syntax(error: BaseException, source: str) -> str:
    """What is wrong with a text, and the line that shows it."""
    if isinstance(error, SyntaxError) and error.lineno:
        lines = re.split(r"\r\n|\r|\n", source)[error.lineno - 1 : error.lineno]
        shown = "".join(lines).strip()[:80]
        return f"line {error.lineno}: {error.msg}" + (f": `{shown}`" if shown else "")
    return "it nests too deeply" if isinstance(error, RecursionError | MemoryError) else str(error)
