"""Finding the definitions in the text of a notebook or a Python file, without running any of it.

`statements` says which of them are run. Knows no exercise, so that it can run where submissions
run: hostile text is read there.
"""

import ast
import contextlib
import marshal
import re
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from attncourse.core.errors import CourseError
from attncourse.grading.parsing.fingerprints import Print, fingerprint
from attncourse.grading.parsing.references import uses
from attncourse.grading.parsing.statements import DEFINITIONS, compiled, defined, kept

MOST_PRINTS = 200  # functions of a submission

_HARMLESS_CELL_MAGICS = ("%%time", "%%timeit", "%%capture")

# a magic or a shell line, continued by backslashes; x = !ls or x = %magic; name? and name??
_MAGIC = re.compile(
    r"^([ \t]*)((?:[%!?]|\w+[ \t]*=[ \t]*[%!])(?:.*\\\n)*.*|\w[\w.]*\?{1,2}[ \t]*)$", re.MULTILINE
)


class UnreadableError(CourseError):
    """The file cannot be read as a submission; the message says why in one sentence."""


@dataclass(frozen=True)
class Cell:
    """One cell (or one .py file): its source, and which of its top-level statements to run.

    code is what those compile to, marshalled, as a worker runs it: for the judge it is bytes.
    """

    label: str
    source: str
    keep: tuple[int, ...] = ()
    code: bytes = field(default=b"", compare=False, repr=False)

    @property
    def filename(self) -> str:
        """What tracebacks call it."""
        return f"<{self.label}>"


@dataclass(frozen=True)
class Parsed:
    """What was found: cells with something to run, the names of functions, notes.

    chapter is what the file says it belongs to, its stem if it says nothing; None in a .py.
    uses tells what the names bound at top level refer to: the name bound, a name watched for or
    bound here, the line of the cell, and the cell's label. prints are of the functions defined.
    """

    cells: tuple[Cell, ...] = ()
    chapter: str | None = None
    defined: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    uses: tuple[tuple[str, str, int, str], ...] = ()
    prints: tuple[Print, ...] = ()


def parse(text: str, name: str, watched: frozenset[str] = frozenset()) -> Parsed:
    """Find the definitions in the text of the file `name`, and uses of the names watched for.

    Raises UnreadableError.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a "\sqrt" in a docstring, of cells without an id
        cells, chapter = _cells(text, name)
        notes: list[str] = []
        trees: list[tuple[Cell, ast.Module]] = []
        for cell in cells:
            try:
                trees.append((cell, ast.parse(cell.source)))
            except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
                notes.append(f"{cell.label} could not be read: {_syntax(error)}")
        bodies = [tree for _, tree in trees]
        found = tuple(_to_run(trees, kept(bodies)))
        labelled = [(cell.label, tree) for cell, tree in trees]
        used = tuple(uses(labelled, watched)) if watched else ()
        prints = tuple(_prints(trees))
        return Parsed(found, chapter, tuple(defined(bodies)), tuple(notes), used, prints)


def _cells(text: str, name: str) -> tuple[list[Cell], str | None]:
    """The code cells of a file, and the chapter that it says it belongs to."""
    if name.endswith(".py"):
        return [Cell(name, text)], None
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
    cells = [
        Cell(f"code cell {number}", without_magics(source)) for number, source in enumerate(code, 1)
    ]
    return cells, chapter


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


def _to_run(
    trees: Iterable[tuple[Cell, ast.Module]], keep: Iterable[tuple[int, ...]]
) -> Iterator[Cell]:
    """The cells in which something is to be run, with what it compiles to."""
    for (cell, tree), numbers in zip(trees, keep, strict=True):
        if numbers:
            code = [compiled(tree.body[number], cell.filename) for number in numbers]
            yield Cell(cell.label, cell.source, numbers, marshal.dumps(code))


def _prints(trees: Iterable[tuple[Cell, ast.Module]]) -> Iterator[Print]:
    """The fingerprints of the functions and classes; of several of a name, the last."""
    found = {
        statement.name: (statement, cell.source)
        for cell, tree in trees
        for statement in tree.body
        if isinstance(statement, DEFINITIONS)
    }
    for name, (statement, source) in list(found.items())[-MOST_PRINTS:]:
        yield fingerprint(statement, name, source)


def _syntax(error: BaseException) -> str:
    if isinstance(error, SyntaxError) and error.lineno:
        return f"line {error.lineno}: {error.msg}"
    return "it nests too deeply" if isinstance(error, RecursionError | MemoryError) else str(error)
