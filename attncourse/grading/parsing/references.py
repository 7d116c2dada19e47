"""What the names that a submission binds refer to: whom an answer calls."""

import ast
from collections.abc import Iterator, Sequence

from attncourse.grading.parsing.statements import ASSIGNMENTS, DEFINITIONS, at_top, bound


def uses(cells: Sequence[tuple[str, ast.Module]]) -> Iterator[tuple[str, str, int, str]]:
    """What each name bound at top level refers to of the names bound here.

    cells are labels and trees. The name bound, the name it refers to, the line, the label.
    """
    own = {name for _, tree in cells for statement in at_top(tree) for name in _owners(statement)}
    for label, tree in cells:
        for statement in at_top(tree):
            for owner in _owners(statement):
                for node in ast.walk(statement):
                    if isinstance(node, ast.Name) and node.id in own:
                        yield owner, node.id, node.lineno, label


def _owners(statement: ast.stmt) -> set[str]:
    """The names that a definition or an assignment binds."""
    if isinstance(statement, DEFINITIONS):
        return {statement.name}
    return bound(statement) if isinstance(statement, ASSIGNMENTS) else set()
