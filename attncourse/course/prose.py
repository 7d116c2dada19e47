"""What can be wrong with a piece of Markdown and would spoil the page in silence."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

FENCE = re.compile(r" {0,3}(?P<run>`{3,}|~{3,}|:{3,})(?P<info>.*)")
_INLINE_CODE = re.compile(r"(`+)(?!`).*?(?<!`)\1(?!`)", re.DOTALL)


def markdown(path: Path) -> str:
    """What a page's author wrote as Markdown. Raises ValueError for what is no notebook."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        return text
    import nbformat

    cells = nbformat.v4.reads(text).cells
    return "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def read_as_markdown(text: str) -> str:
    """The lines that are read as Markdown: not those of code blocks, but those in directives."""
    return "\n".join(_outside_code(text.splitlines(), []))


def markdown_problems(text: str) -> list[str]:
    """Name unbalanced fences and odd ``$$``, one sentence each; nothing is an empty list."""
    found: list[str] = []
    prose = "\n".join(_outside_code(text.splitlines(), found))
    if _INLINE_CODE.sub("", prose).count("$$") % 2:
        found.append("a $$ has no partner")
    return found


def _outside_code(lines: Iterable[str], found: list[str]) -> Iterator[str]:
    """The lines that are read as Markdown: those outside fences, and those inside directives.

    A fence ends at the first bare fence of its own sign and at least its own length, whatever
    stands between, so a directive that holds a code block needs the longer fence of the two.
    """
    opened, inside = None, list[str]()
    for line in lines:
        fence = FENCE.match(line)
        if opened is None:
            if fence is None:
                yield line
            else:
                opened, inside = fence, []
        elif fence and closes(fence, opened):
            if opened["info"].strip().startswith("{"):
                yield from _outside_code(inside, found)
            opened = None
        else:
            inside.append(line)
    if opened is not None:
        found.append(f"the fence {opened[0].strip()!r} is never closed")


def closes(fence: re.Match[str], opened: re.Match[str]) -> bool:
    """Does this fence close the one that was opened?"""
    return fence["run"].startswith(opened["run"]) and not fence["info"].strip()
