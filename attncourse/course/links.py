"""Links of the book's pages that lead nowhere, found without building the site.

Targets are ``(label)=``, the ``:label:`` and ``:name:`` of directives, and headings; links are
Markdown's, the roles ``ref``, ``numref``, ``eq``, ``doc``, ``download`` and ``cite``, and the files
that directives include.
"""

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from attncourse.course.prose import markdown, read_as_markdown

_LABEL = re.compile(r"^(?:\(([\w-]+)\)=|:(?:label|name): *([\w-]+)) *$", re.MULTILINE)
_HEADING = re.compile(r"^#{1,3} +(.+?) *$", re.MULTILINE)
_LINK = re.compile(r"\]\(([^()\s]+)\)")
_ROLE = re.compile(r"\{(ref|numref|eq|doc|download|cite(?::\w+)?)\}`([^`]+)`")
_INCLUDED = re.compile(r"^[`:]{3,}\{(?:literalinclude|include|figure|image)\} +(\S+)", re.MULTILINE)
_ROLE_OR_CODE = re.compile(r"(\{[\w:]+\}`[^`]+`)|(`+)(?!`).+?(?<!`)\2(?!`)", re.DOTALL)


@dataclass(frozen=True)
class Page:
    """What a page offers to links, and where its own lead."""

    path: Path
    labels: tuple[str, ...]
    headings: frozenset[str]
    links: tuple[str, ...]
    roles: tuple[tuple[str, str], ...]
    included: tuple[str, ...]


def problems(folder: Path) -> list[str]:
    """A sentence for each link of the pages in `folder` that has no target there.

    What cannot be read is left out; `chapters.problems` tells of it.
    """
    pages, keys = _pages(folder), _keys(folder / "references.bib")
    times = Counter(label for page in pages.values() for label in page.labels)
    found = [f"{n} targets are called {label}" for label, n in times.items() if n > 1]
    for page in pages.values():
        lost = _lost(page, pages, frozenset(times), keys)
        found += [f"{page.path.name}: {sentence}" for sentence in lost]
    return found


def _pages(folder: Path) -> dict[Path, Page]:
    found = {}
    for path in sorted(p for kind in ("*.ipynb", "*.md") for p in folder.glob(kind)):
        with suppress(ValueError):
            found[path] = _page(path, markdown(path))
    return found


def _keys(bibliography: Path) -> frozenset[str]:
    """The keys that can be cited."""
    text = bibliography.read_text(encoding="utf-8") if bibliography.is_file() else ""
    return frozenset(re.findall(r"^@\w+\{([^,\s]+),", text, re.MULTILINE))


def _page(path: Path, text: str) -> Page:
    prose = read_as_markdown(text)
    words = _ROLE_OR_CODE.sub(lambda found: found[1] or "", prose)
    return Page(
        path=path,
        labels=tuple(a or b for a, b in _LABEL.findall(text)),
        headings=frozenset(map(_slug, _HEADING.findall(prose))),
        links=tuple(_LINK.findall(words)),
        roles=tuple(_ROLE.findall(words)),
        included=tuple(_INCLUDED.findall(text)),
    )


def _slug(heading: str) -> str:
    """The anchor that MyST gives to a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def _lost(
    page: Page, pages: dict[Path, Page], labels: frozenset[str], keys: frozenset[str]
) -> Iterator[str]:
    for link in page.links:
        if not re.match(r"https?:|mailto:", link) and not _leads(page, link, pages, labels):
            yield f"the link {link} has no target"
    for role, text in page.roles:
        inner = re.search(r"<([^<>]+)>\s*$", text)
        for target in (inner[1] if inner else text).split("," if role.startswith("cite") else "\0"):
            if not _found(page, role, target.strip(), labels, keys):
                yield f"the {role} {target.strip()} has no target"
    for file in page.included:
        if not (page.path.parent / file).is_file():
            yield f"the file {file} is not there"


def _leads(page: Page, link: str, pages: dict[Path, Page], labels: frozenset[str]) -> bool:
    """Has a Markdown link a target: a file, a place in it, or a label?"""
    file, _, anchor = link.partition("#")
    if not file:
        return anchor in page.headings or anchor in labels
    if file in labels and not anchor:
        return True
    path = (page.path.parent / file).resolve()
    other = pages.get(page.path.parent / path.name) if path.parent == page.path.parent else None
    inside = not anchor or bool(other and anchor in {*other.headings, *other.labels})
    return path.is_file() and inside


def _found(
    page: Page, role: str, target: str, labels: frozenset[str], keys: frozenset[str]
) -> bool:
    if role.startswith("cite"):
        return target in keys
    if role == "download":
        return (page.path.parent / target).is_file()
    if role == "doc":
        return any((page.path.parent / f"{target}{kind}").is_file() for kind in (".ipynb", ".md"))
    return target in labels
