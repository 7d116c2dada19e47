"""Which top-level statements of a submission are run: definitions, and what they need.

Imports, functions and classes are taken; an assignment is taken only if a definition uses the
name it binds. Everything else (calls, prints, loops, plots, magics) is a learner's own demo.
"""

import ast
import dis
import types
from collections.abc import Iterable, Iterator, Sequence

DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
IMPORTS = (ast.Import, ast.ImportFrom)
ASSIGNMENTS = (ast.Assign, ast.AnnAssign, ast.AugAssign)


def kept(trees: Sequence[ast.Module]) -> list[tuple[int, ...]]:
    """The numbers of the statements to run in each: definitions, and the assignments they need."""
    statements = [statement for tree in trees for statement in tree.body]
    chosen = {id(s) for s in statements if isinstance(s, DEFINITIONS + IMPORTS)}
    chosen |= {id(s) for s in _functions(statements)}
    left = {
        id(s): bound(s) for s in statements if isinstance(s, ASSIGNMENTS) and id(s) not in chosen
    }
    wanted = set().union(*left.values())
    needed = _names_used((s for s in statements if id(s) in chosen), wanted)
    while extra := [s for s in statements if left.get(id(s), set()) & needed]:
        chosen |= {id(s) for s in extra}
        left = {number: names for number, names in left.items() if number not in chosen}
        needed |= _names_used(extra, wanted)
    return [tuple(i for i, s in enumerate(tree.body) if id(s) in chosen) for tree in trees]


def _names_used(statements: Iterable[ast.stmt], wanted: set[str]) -> set[str]:
    """Of the wanted names, those that the statements, and the functions in them, load."""
    names: set[str] = set()
    for statement in statements if wanted else ():
        code = compiled(statement, "<submission>")
        if code is not None:
            names |= wanted.intersection(_globals_loaded(code, wanted))
    return names


def compiled(statement: ast.stmt, filename: str) -> types.CodeType | None:
    """The code of one statement; None where there is none."""
    try:
        return compile(ast.Module([statement], []), filename, "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _globals_loaded(code: types.CodeType, wanted: set[str]) -> Iterator[str]:
    """The global names that code loads, where any of the wanted is among all that it names."""
    if not wanted.isdisjoint(code.co_names):
        for instruction in dis.get_instructions(code):
            if instruction.opname in ("LOAD_NAME", "LOAD_GLOBAL"):
                yield str(instruction.argval)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _globals_loaded(constant, wanted)


def defined(trees: Sequence[ast.Module]) -> Iterator[str]:
    """The names of functions defined, or bound to one by assignment, at top level."""
    for statement in _functions(statement for tree in trees for statement in tree.body):
        if isinstance(statement, DEFINITIONS):
            yield statement.name
        else:
            yield from bound(statement)


def bound(statement: ast.stmt) -> set[str]:
    """The names that an assignment binds, or whose attributes or items it sets."""
    return {
        n.id for target in _targets(statement) for n in ast.walk(target) if isinstance(n, ast.Name)
    }


def _targets(statement: ast.stmt) -> list[ast.expr]:
    return statement.targets if isinstance(statement, ast.Assign) else [statement.target]  # type: ignore[attr-defined]


def _functions(statements: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Definitions, and assignments of a lambda or of a function: ``softmax = my_softmax``.

    Any other assignment to an exercise's name is a demo: ``attention = weights @ v``.
    """
    known: set[str] = set()
    for statement in statements:
        if isinstance(statement, DEFINITIONS):
            known.add(statement.name)
            yield statement
        elif isinstance(statement, ast.Assign | ast.AnnAssign):
            value = statement.value
            alias = isinstance(value, ast.Name) and value.id in known
            plain = all(isinstance(target, ast.Name) for target in _targets(statement))
            if plain and (alias or isinstance(value, ast.Lambda)):
                known |= bound(statement)
                yield statement
