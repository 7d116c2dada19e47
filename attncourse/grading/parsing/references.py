"""What the names that a submission binds refer to: whom an answer calls, and what it must not."""

import ast
from collections.abc import Iterator, Sequence

from attncourse.grading.parsing.statements import ASSIGNMENTS, DEFINITIONS, bound


def uses(
    cells: Sequence[tuple[str, ast.Module]], watched: frozenset[str]
) -> Iterator[tuple[str, str, int, str]]:
    """What each name bound at top level refers to: names watched for, and names bound here.

    cells are labels and trees. The name bound, the name it refers to, the line, the label.
    """
    nodes = [node for _, tree in cells for node in ast.walk(tree)]
    own = {node.name for node in nodes if isinstance(node, DEFINITIONS)}
    own |= {name for node in nodes if isinstance(node, ast.Assign) for name in bound(node)}
    imported = {a.asname or a.name for n in nodes if isinstance(n, ast.ImportFrom) for a in n.names}
    for label, tree in cells:
        for statement in tree.body:
            for owner, name, line in _references(statement, own):
                if name in watched or name in own | imported:
                    yield owner, name, line, label


def _references(statement: ast.stmt, own: set[str]) -> Iterator[tuple[str, str, int]]:
    """The name that the statement binds, a name that it refers to, and the line."""
    if isinstance(statement, ast.ImportFrom):
        for alias in statement.names:
            yield alias.asname or alias.name, alias.name, statement.lineno
    elif isinstance(statement, DEFINITIONS):
        yield from ((statement.name, name, line) for name, line in _names(statement, own))
    elif isinstance(statement, ASSIGNMENTS):
        for owner in bound(statement):
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
