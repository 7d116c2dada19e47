"""Finding the definitions in the text of a notebook or a Python file, without running any of it.

Imports, functions and classes are taken; an assignment is taken only if a definition uses the
name it binds. Everything else (calls, prints, loops, plots, magics) is a learner's own demo.
Knows no exercise, so that it can run where submissions run: hostile text is read there.
"""

import ast
import contextlib
import dis
import re
import types
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from attncourse.course.fingerprints import Print, fingerprint

_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_IMPORTS = (ast.Import, ast.ImportFrom)
_ASSIGNMENTS = (ast.Assign, ast.AnnAssign, ast.AugAssign)
MOST_PRINTS = 200  # functions of a submission

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
        kept = tuple(_keep(trees))
        uses = tuple(_uses(trees, watched)) if watched else ()
        prints = tuple(_prints(trees))
        return Parsed(kept, chapter, tuple(_defined(trees)), tuple(notes), uses, prints)


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


def _prints(trees: Iterable[tuple[Cell, ast.Module]]) -> Iterator[Print]:
    """The fingerprints of the functions and classes; of several of a name, the last."""
    found = {
        statement.name: (statement, cell.source)
        for cell, tree in trees
        for statement in tree.body
        if isinstance(statement, _DEFINITIONS)
    }
    for name, (statement, source) in list(found.items())[-MOST_PRINTS:]:
        yield fingerprint(statement, name, source)


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


def _uses(
    trees: Iterable[tuple[Cell, ast.Module]], watched: frozenset[str]
) -> Iterator[tuple[str, str, int, str]]:
    """What each name bound at top level refers to: names watched for, and names bound here."""
    cells = list(trees)
    nodes = [node for _, tree in cells for node in ast.walk(tree)]
    own = {node.name for node in nodes if isinstance(node, _DEFINITIONS)}
    own |= {name for node in nodes if isinstance(node, ast.Assign) for name in _bound(node)}
    imported = {a.asname or a.name for n in nodes if isinstance(n, ast.ImportFrom) for a in n.names}
    for cell, tree in cells:
        for statement in tree.body:
            for owner, name, line in _references(statement, own):
                if name in watched or name in own | imported:
                    yield owner, name, line, cell.label


def _references(statement: ast.stmt, own: set[str]) -> Iterator[tuple[str, str, int]]:
    """The name that the statement binds, a name that it refers to, and the line."""
    if isinstance(statement, ast.ImportFrom):
        for alias in statement.names:
            yield alias.asname or alias.name, alias.name, statement.lineno
    elif isinstance(statement, _DEFINITIONS):
        yield from ((statement.name, name, line) for name, line in _names(statement, own))
    elif isinstance(statement, _ASSIGNMENTS):
        for owner in _bound(statement):
            yield from ((owner, name, line) for name, line in _names(statement, own))


def _names(statement: ast.stmt, own: set[str]) -> Iterator[tuple[str, int]]:
    """Attributes, imported names, plain names and constant strings given to getattr."""
    for node in ast.walk(statement):
        if isinstance(node, ast.ImportFrom):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.Attribute) and node.attr not in own:
            yield node.attr, node.lineno
        elif isinstance(node, ast.Name):
            yield node.id, node.lineno
        elif isinstance(node, ast.Call):
            yield from ((text, node.lineno) for text in _spelt(node))


def _spelt(call: ast.Call) -> Iterator[str]:
    """The constant strings by which getattr, __import__ or a table of names is asked."""
    names = ("getattr", "__getattribute__", "import_module", "__import__", "attrgetter", "get")
    function = call.func
    called = getattr(function, "id", getattr(function, "attr", ""))
    if called in names:
        for value in call.args:
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield value.value
