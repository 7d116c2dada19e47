"""Fingerprints of code: what stays of it when names, literals, comments and spaces are changed.

Winnowing (Schleimer, Wilkerson, Aiken: *Winnowing: local algorithms for document fingerprinting*,
SIGMOD 2003) over the nodes of the syntax tree, statement after statement: any LENGTH + WINDOW - 1
nodes that two texts share give them a fingerprint in common. Knows no exercise, so that it can
run where submissions run.
"""

import ast
import itertools
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

LENGTH = 8  # nodes in what is hashed
WINDOW = 4  # hashes of which the smallest is kept
MOST_NODES = 4000  # of a definition
MOST_LINES = 400

_LEFT_OUT = (ast.expr_context, ast.arguments)


@dataclass(frozen=True)
class Print:
    """A definition's name, its lines, and its marks: a hash, the first and the last line of it."""

    name: str
    lines: tuple[str, ...]
    marks: tuple[tuple[int, int, int], ...]


def fingerprint(definition: ast.stmt, name: str, source: str) -> Print:
    """The fingerprints of a top-level statement of `source`; lines are counted from 0."""
    first, last = definition.lineno, definition.end_lineno or definition.lineno
    lines = re.split(r"\r\n|\r|\n", source)[first - 1 : min(last, first - 1 + MOST_LINES)]
    found = ((code, a - first, b - first) for code, a, b in winnow(grams(definition)))
    return Print(name, tuple(lines), tuple(mark for mark in found if mark[2] < len(lines)))


def grams(definition: ast.AST) -> list[tuple[int, int, int]]:
    """The hash of every LENGTH nodes in a row, with the first and the last line they are from."""
    nodes = list(_nodes(definition))
    words, lines = [word for word, _ in nodes], [line for _, line in nodes]
    runs = (slice(i, i + LENGTH) for i in range(len(nodes) - LENGTH + 1))
    return [
        (zlib.crc32(" ".join(words[run]).encode()), min(lines[run]), max(lines[run]))
        for run in runs
    ]


def winnow(hashes: Sequence[tuple[int, int, int]]) -> Iterator[tuple[int, int, int]]:
    """Of every WINDOW in a row the smallest, the rightmost of equal ones; each once."""
    order = [(code, -i) for i, (code, *_) in enumerate(hashes)]
    starts = range(max(1, len(hashes) - WINDOW + 1) if hashes else 0)
    chosen = (-min(order[start : start + WINDOW])[1] for start in starts)
    yield from (hashes[i] for i, _ in itertools.groupby(chosen))


def _nodes(definition: ast.AST) -> Iterator[tuple[str, int]]:
    """The nodes in the order of the text, as words without names, each with its line."""
    line, count = getattr(definition, "lineno", 1), 0
    waiting: list[ast.AST] = [definition]
    while waiting and count < MOST_NODES:
        node = waiting.pop()
        if not isinstance(node, _LEFT_OUT):
            line, count = getattr(node, "lineno", line), count + 1
            yield _word(node), line
        waiting.extend(reversed(list(_inside(node))))


def _inside(node: ast.AST) -> Iterable[ast.AST]:
    """What a node is made of, but for docstrings, annotations and decorators."""
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "decorator_list"):
            continue
        for child in value if isinstance(value, list) else (value,):
            text = isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant)
            if isinstance(child, ast.AST) and not text:
                yield child


def _word(node: ast.AST) -> str:
    """The kind of a node; of what PyTorch named, the name."""
    if isinstance(node, ast.Attribute):
        return f".{node.attr}"
    if isinstance(node, ast.keyword):
        return f"{node.arg}="
    return type(node).__name__
