"""What the statements of a submission bind, as far as their text tells.

All of them are run (see `confined.definitions`), and only that shows what a name is in the end.
"""

import ast
import dis
import re
import types
from collections.abc import Iterable, Iterator

DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
ASSIGNMENTS = (ast.Assign, ast.AnnAssign, ast.AugAssign)

# what is no function, whatever it is made of
_VALUES = (
    type(None),  # x: int
    *(ast.Constant, ast.JoinedStr, ast.BinOp, ast.UnaryOp, ast.Compare),
    *(ast.List, ast.Tuple, ast.Set, ast.Dict),
    *(ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp),
)
_DEFINED = re.compile(
    r"^[ \t]*(?:async[ \t]+)?(?:def|class)[ \t]+(\w+)|^(\w+)[ \t]*=(?!=)", re.MULTILINE
)


def at_top(tree: ast.Module) -> Iterator[ast.stmt]:
    """All statements that may run at top level: also those inside if, for, while, with and try."""
    waiting = tree.body[::-1]
    while waiting:
        statement = waiting.pop()
        yield statement
        if not isinstance(statement, DEFINITIONS):
            waiting.extend(list(_blocks(statement))[::-1])


def _blocks(statement: ast.stmt) -> Iterator[ast.stmt]:
    yield from getattr(statement, "body", ())
    for part in (*getattr(statement, "handlers", ()), *getattr(statement, "cases", ())):
        yield from part.body
    yield from getattr(statement, "orelse", ())
    yield from getattr(statement, "finalbody", ())


def bound(statement: ast.stmt) -> set[str]:
    """The names that an assignment binds, or whose attributes or items it sets."""
    return {
        n.id for target in _targets(statement) for n in ast.walk(target) if isinstance(n, ast.Name)
    }


def _targets(statement: ast.stmt) -> list[ast.expr]:
    return statement.targets if isinstance(statement, ast.Assign) else [statement.target]  # type: ignore[attr-defined]


def defined(trees: Iterable[ast.Module]) -> Iterator[str]:
    """The names of functions and classes, and of what is assigned a lambda or one of those.

    Each as often as it is bound.
    """
    known: set[str] = set()
    for statement in _all(trees):
        if isinstance(statement, DEFINITIONS):
            known.add(statement.name)
            yield statement.name
        elif isinstance(statement, ast.Assign | ast.AnnAssign):
            alias = isinstance(statement.value, ast.Name) and statement.value.id in known
            if alias or isinstance(statement.value, ast.Lambda):
                known.update(names := _plain(statement))
                yield from names


def unsure(trees: Iterable[ast.Module]) -> Iterator[str]:
    """The names that may be functions once all has run: ``softmax = partial(...)``.

    Also those that a check is asked for: ``check("softmax", mine)``.
    """
    for statement in _all(trees):
        if isinstance(statement, ast.Assign | ast.AnnAssign):
            if not isinstance(statement.value, _VALUES):
                yield from _plain(statement)
        elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
            call = statement.value
            named = isinstance(call.func, ast.Name) and call.func.id == "check" and call.args
            first = call.args[0] if named else None
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield first.value


def functions(tree: ast.Module) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The names that may be functions, each with its parameters where the text shows them."""
    for statement in at_top(tree):
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            yield statement.name, parameters(statement.args)
        elif isinstance(statement, ast.ClassDef):
            yield statement.name, ()
        elif isinstance(statement, ast.Assign | ast.AnnAssign):
            value = statement.value
            known = parameters(value.args) if isinstance(value, ast.Lambda) else ()
            if not isinstance(value, _VALUES):
                yield from ((name, known) for name in _plain(statement))


def parameters(arguments: ast.arguments) -> tuple[str, ...]:
    """The names of a function's parameters."""
    every = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
    return tuple(argument.arg for argument in every)


def binds(code: types.CodeType) -> tuple[frozenset[str], frozenset[str]]:
    """The names that a statement binds, those that it imports apart."""
    bound: set[str] = set()
    imports: set[str] = set()
    importing = False
    for step in dis.get_instructions(code):
        if step.opname in ("STORE_NAME", "STORE_GLOBAL"):
            (imports if importing else bound).add(str(step.argval))
        goes_on = importing and step.opname in ("SWAP", "ROT_TWO", "POP_TOP")  # import a.b as c
        importing = goes_on or step.opname in ("IMPORT_NAME", "IMPORT_FROM")
    return frozenset(bound), frozenset(imports)


def names_in(text: str) -> list[str]:
    """The names that a text would define, if it were Python."""
    return [name or other for name, other in _DEFINED.findall(text)]


def _all(trees: Iterable[ast.Module]) -> Iterator[ast.stmt]:
    return (statement for tree in trees for statement in at_top(tree))


def _plain(statement: ast.Assign | ast.AnnAssign) -> list[str]:
    """The names that are given the whole value."""
    return [target.id for target in _targets(statement) if isinstance(target, ast.Name)]
