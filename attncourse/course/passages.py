"""Passages of hand-written pages that are generated: what would otherwise be counted by hand.

A passage stands between ``<!-- generated: name -->`` and ``<!-- end -->``.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from attncourse.course import exercise as contract
from attncourse.course import rules
from attncourse.course.contents import CHAPTERS, PARTS, Part, page

INTRODUCTION = "book/intro.ipynb"
PAGES = ("README.md", "CONTRIBUTING.md")

_PASSAGE = re.compile(r"(<!-- generated: ([\w ]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def renew(notebook: Any, root: Path) -> None:
    """Write today's passages into the cells of a notebook."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = renewed(cell.source, root)


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


def _spoilt(root: Path) -> str:
    """What the introduction's cells printed of a spoilt line: a model's words, and a grader's."""
    import nbformat

    notebook = nbformat.v4.reads((root / INTRODUCTION).read_text(encoding="utf-8"))
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    words, verdict = (output.text.strip() for output in outputs[:2])
    return f"""
and this is what SmolLM2, a small language model, answers with it:

```
{words}
```

Handed in as an exercise, it is answered by the grader:

> {verdict.replace(chr(10), "  " + chr(10) + "> ")}
"""


def _rules(root: Path) -> str:
    return f"\n{rules.in_words()}\n"


_PASSAGES: dict[str, Callable[[Path], str]] = {
    "counts": _counts,
    "outline": _outline,
    "rules of an exercise": _rules,
    "spoilt": _spoilt,
}
