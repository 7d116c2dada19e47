"""A page's Markdown in its blocks: words, code between fences, and MyST's directives."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from attncourse.course.prose import FENCE, closes

_INFO = re.compile(r"\s*\{(?P<name>[\w:+-]+)\}\s*(?P<argument>.*?)\s*$")
_OPTION = re.compile(r"\s*:(?P<key>[\w-]+):(?:\s+(?P<value>.*?))?\s*$")


@dataclass(frozen=True)
class Fence:
    """What stands between two fences: a directive by its name, or code, whose name is empty.

    argument is what follows the directive's name, or the language of the code.
    """

    name: str
    argument: str
    body: str
    options: dict[str, str] = field(default_factory=dict)


def blocks(text: str) -> Iterator[str | Fence]:
    """Words (as Markdown) and fences, in their order. A fence that is never closed is left out."""
    words: list[str] = []
    opened, inside = None, list[str]()
    for line in text.splitlines():
        fence = FENCE.match(line)
        if opened is None and fence is None:
            words.append(line)
        elif opened is None:
            opened, inside = fence, []
        elif fence and closes(fence, opened):
            if any(word.strip() for word in words):
                yield "\n".join(words)
            yield _fence(opened["info"], inside)
            words, opened = [], None
        else:
            inside.append(line)
    if any(word.strip() for word in words):
        yield "\n".join(words)


def directives(text: str) -> Iterator[Fence]:
    """The directives, and those that they hold, each before what it holds."""
    for block in blocks(text):
        if isinstance(block, Fence) and block.name:
            yield block
            yield from directives(block.body)


def _fence(info: str, lines: list[str]) -> Fence:
    named = _INFO.match(info)
    if not named:
        return Fence("", info.strip(), "\n".join(lines))
    options, rest = {}, list(lines)
    while rest and (option := _OPTION.match(rest[0])):
        options[option["key"]] = option["value"] or ""
        rest.pop(0)
    return Fence(named["name"], named["argument"], "\n".join(rest).strip("\n"), options)
