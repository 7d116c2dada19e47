"""The text of a library function, as a notebook shows it: the stub and the solution."""

import ast
import builtins
import inspect
import itertools
import re
import textwrap
from collections.abc import Callable
from types import FunctionType
from typing import Any

SHOWN_FROM = (
    *("attncourse.mechanisms", "attncourse.core.dtypes", "attncourse.core.masks"),
    *("attncourse.measure.analytic", "attncourse.exercises"),
)


def stub(
    function: Callable[..., Any], broken: Callable[..., Any] | None = None, *, name: str = ""
) -> str:
    """The signature of `function`, what it computes and its example, over NotImplementedError.

    What else the docstring promises (errors, precision, cost) is the library's: the contract of an
    exercise is its statement. Where there is a `broken` function to mend, its body stands there
    instead, without the docstring, which says what is wrong with it. `name` is what an exercise
    calls the function that the library calls otherwise.
    """
    signature, docstring, _ = _parts(function)
    body = ["    raise NotImplementedError"] if broken is None else _parts(broken)[2]
    head = "\n".join([*signature, *_first_line_and_example(docstring)])
    return "\n".join([_renamed(head, function, name), *body])


def whole(function: Callable[..., Any], *, name: str = "") -> str:
    """The definition of `function` without its decorators, under another `name` if one is given."""
    return _renamed(_definition(function)[0], function, name)


def body_lines(function: Callable[..., Any]) -> list[str]:
    """The lines of code of `function` below its docstring, stripped."""
    return [line.strip() for line in _parts(function)[2] if line.strip()]


def statements(function: Callable[..., Any]) -> list[str]:
    """The statements of `function` below its docstring, each in one form whatever its layout."""
    node = _definition(function)[1]
    documented = ast.get_docstring(node) is not None
    return [ast.unparse(statement) for statement in node.body[documented:]]


def free_names(text: str) -> set[str]:
    """The names that a piece of code reads and neither binds nor finds among Python's own."""
    nodes = list(ast.walk(ast.parse(text)))
    names = [node for node in nodes if isinstance(node, ast.Name)]
    bound = {node.id for node in names if not isinstance(node.ctx, ast.Load)}
    bound |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    bound |= {node.name for node in nodes if isinstance(node, ast.FunctionDef)}
    imports = (node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom))
    bound |= {alias.asname or alias.name for node in imports for alias in node.names}
    return {node.id for node in names} - bound - set(dir(builtins))


def needs(function: Callable[..., Any]) -> list[Callable[..., Any]]:
    """The library's own functions that `function` calls, and theirs, those needed first first."""
    found: list[Callable[..., Any]] = []
    plain = inspect.unwrap(function)
    for name in plain.__code__.co_names:
        value = plain.__globals__.get(name)
        shown = isinstance(value, FunctionType) and value.__module__.startswith(SHOWN_FROM)
        if shown and value is not function:
            found += [other for other in [*needs(value), value] if other not in found]
    return found


def _renamed(text: str, function: Callable[..., Any], name: str) -> str:
    """The text with another name wherever the function is defined or called."""
    return re.sub(rf"\b{function.__name__}(?=\()", name or function.__name__, text)


def _first_line_and_example(docstring: list[str]) -> list[str]:
    first, *rest = docstring or [""]
    example = list(itertools.dropwhile(lambda line: not line.lstrip().startswith(">>>"), rest))
    if not rest:
        return docstring
    return [first, "", *example] if example else [first + '"""']


def _parts(function: Callable[..., Any]) -> tuple[list[str], list[str], list[str]]:
    """The lines of the signature, those of the docstring, and those below."""
    text, node = _definition(function)
    first = node.body[0]
    documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    start = first.lineno - 1
    end = (first.end_lineno or start) if documented else start
    lines = text.splitlines()
    return lines[:start], lines[start:end], lines[end:]


def _definition(function: Callable[..., Any]) -> tuple[str, ast.FunctionDef]:
    """The source from ``def`` on, and its tree (with line numbers that fit it)."""
    text = textwrap.dedent(inspect.getsource(inspect.unwrap(function)))
    node = ast.parse(text).body[0]
    assert isinstance(node, ast.FunctionDef)
    text = "\n".join(text.splitlines()[node.lineno - 1 :])
    again = ast.parse(text).body[0]
    assert isinstance(again, ast.FunctionDef)
    return text, again
