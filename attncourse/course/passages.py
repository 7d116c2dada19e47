"""Passages of hand-written pages that are generated: what would otherwise be counted by hand.

A passage stands between ``<!-- generated: name -->`` and ``<!-- end -->``.
"""

import re
from collections.abc import Callable
from pathlib import Path

from attncourse.course import exercise as contract
from attncourse.course import rules
from attncourse.course.contents import CHAPTERS, PARTS, Part, page

PAGES = ("README.md", "CONTRIBUTING.md", "book/intro.ipynb")

_PASSAGE = re.compile(r"(<!-- generated: ([\w ]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def page_renewed(path: Path, root: Path) -> str | None:
    """The text of a page, be it Markdown or a notebook; None where it cannot be read."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".ipynb":
        return renewed(text, root)
    import nbformat

    try:
        notebook = nbformat.v4.reads(text)
    except ValueError:
        return None
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = renewed(cell.source, root)
    return nbformat.v4.writes(notebook).rstrip("\n") + "\n"


def renewed(text: str, root: Path) -> str:
    """The text of a page with its passages of today. Raises ValueError for an unknown one."""

    def passage(found: re.Match[str]) -> str:
        if found[2] not in _PASSAGES:
            known = ", ".join(_PASSAGES)
            raise ValueError(f"there is no generated passage {found[2]!r}: there are {known}")
        return f"{found[1]}{_PASSAGES[found[2]](root)}\n{found[3]}"

    return _PASSAGE.sub(passage, text)


def _counts(root: Path) -> str:
    """How much is written."""
    written = sum(page(root, slug) is not None for slug in CHAPTERS)
    exercises = _many(len(contract.names()), "exercise")
    return f"Written so far: {_many(written, 'chapter')} with {exercises}."


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _outline(root: Path) -> str:
    """The numbered parts: links to the chapters that are written, the titles of the others."""
    parts = [part for part in PARTS if part.numbered]
    return "\n".join(
        f"{n}. **{part.title}.** {_part(part, root)}" for n, part in enumerate(parts, 1)
    )


def _part(part: Part, root: Path) -> str:
    files = {slug: page(root, slug) for slug in part.pages}
    here = [f"[{part.pages[slug]}]({path.name})" for slug, path in files.items() if path]
    to_come = [part.pages[slug] for slug, path in files.items() if not path]
    sentences = ["; ".join(here)] * bool(here)
    sentences += [f"*To come:* {'; '.join(to_come)}"] * bool(to_come)
    return " ".join(f"{sentence}." for sentence in sentences)


def _rules(root: Path) -> str:
    return f"\n{rules.in_words()}\n"


_PASSAGES: dict[str, Callable[[Path], str]] = {
    "counts": _counts,
    "outline": _outline,
    "rules of an exercise": _rules,
}
