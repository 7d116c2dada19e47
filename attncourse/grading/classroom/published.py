"""Answers that are the course's own: its notebook of solutions, or the code of one.

Compared are words of code in their order, without comments, docstrings, spacing and
the names that the writer chose: a solution whose names were changed is still one.
"""

import functools
import io
import keyword
import re
import tokenize
from collections.abc import Iterator, Sequence

from attncourse.course import source
from attncourse.course.exercise import get

LEAST = 40  # words of code below which two people may well write the same

_KIND = re.compile(rb'"attncourse"\s*:\s*\{[^{}]{0,500}"kind"\s*:\s*"solutions"')
_NO_CODE = (
    *(tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT),
    *(tokenize.ENCODING, tokenize.ENDMARKER),
)


def is_published(content: bytes) -> bool:
    """Do the metadata of a notebook say that it is the course's notebook of solutions?"""
    return _KIND.search(content) is not None


def is_solution(name: str, lines: Sequence[str]) -> bool:
    """Are these lines the published solution of an exercise, but for names and comments?"""
    return bool(lines) and _is_solution(name, "\n".join(lines))


@functools.lru_cache(maxsize=4096)  # a class gives many of the same, and is looked at twice
def _is_solution(name: str, text: str) -> bool:
    return _words(text) in _solutions(name)


@functools.cache
def _solutions(name: str) -> frozenset[tuple[str, ...]]:
    """The solution as it is published, with and without what it needs; none if it is short."""
    solution = get(name).solution
    needed = [source.whole(function) for function in source.needs(solution)]
    whole = source.whole(solution, name=name)
    texts = [whole, "\n\n".join([*needed, whole])]
    found = (_words(text) for text in texts)
    return frozenset(words for words in found if len(words) >= LEAST)


def _words(text: str) -> tuple[str, ...]:
    """The words of code, in which the names that the writer chose are numbers."""
    numbers: dict[str, str] = {}
    words: list[str] = []
    tokens = list(_tokens(text))
    for at, token in enumerate(tokens):
        before = tokens[at - 1].string if at else ""
        own = token.type == tokenize.NAME and not keyword.iskeyword(token.string)
        if own and before not in (".", "def"):
            words.append(numbers.setdefault(token.string, f"#{len(numbers)}"))
        elif token.type != tokenize.STRING or before not in ("", ":"):  # no docstring
            words.append(token.string)
    return tuple(words)


def _tokens(text: str) -> Iterator[tokenize.TokenInfo]:
    """The tokens of a text as far as they can be told."""
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type not in _NO_CODE:
                yield token
    except (tokenize.TokenError, SyntaxError, ValueError):
        return
