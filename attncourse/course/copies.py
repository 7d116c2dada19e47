"""What GitHub and Colab show of the book: a copy of each notebook in plain Markdown.

A page of the site is a notebook with directives, without pictures, whose answers the site folds.
Shown by anything else it is raw, and its answers are open. A copy has the same code cells with the
same text outputs; its words are plain Markdown, its answers fold, what the page hides is hidden,
and a figure, drawn when its cell runs, is told in words until then. Colab's button leads to it.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from attncourse.course.bank import Question, load
from attncourse.course.bootstrap import is_set
from attncourse.course.citations import sources
from attncourse.course.contents import TITLES
from attncourse.course.directives import directives
from attncourse.course.exercise import of_chapter
from attncourse.course.page import FOLDED, SILENT
from attncourse.course.page import questions as of_page
from attncourse.course.plain import FOLDER, Book, fold, plain
from attncourse.course.prose import markdown, read_as_markdown

_NAMED = re.compile(r"^\(([\w-]+)\)= *\n+#+ +(.+?) *$", re.MULTILINE)
_DRAWN = "<Figure "  # how Matplotlib names a figure that only the site draws


def files(root: Path, pages: dict[Path, Any]) -> dict[Path, str]:
    """The text of each copy, by its path under `root`; pages are the notebooks by theirs."""
    shared = _titles(root), _base(root), _site(root)
    return {
        Path(FOLDER, path.name): text(notebook, root, path.stem, *shared)
        for path, notebook in pages.items()
    }


def text(notebook: Any, root: Path, slug: str, titles: dict[str, str], base: str, site: str) -> str:
    """A page's notebook as GitHub and Colab show it."""
    import nbformat

    book = Book(
        questions=of_page(root / "book" / f"{slug}.ipynb"),
        works=sources(root / "book" / "references.bib"),
        titles=titles | _own_titles(notebook, slug),
        files={page.stem: page.name for page in _written(root)},
        base=base,
        bank=_bank(root, slug),
    )
    cells = [cell for original in notebook.cells for cell in _cells(original, book)]
    cells.insert(1, nbformat.v4.new_markdown_cell(_about(slug, site), id="about-this-copy"))
    copy = nbformat.v4.new_notebook(cells=cells, metadata=notebook.metadata)
    return nbformat.writes(copy, version=4).rstrip("\n") + "\n"


def _bank(root: Path, slug: str) -> dict[str, Question]:
    """The questions of the bank by their identities; those of the page's chapter by their names."""
    asked = load(root / "book" / "interview")
    return {q.identity: q for q in asked} | {q.name: q for q in asked if q.chapter == slug}


def _cells(original: Any, book: Book) -> Iterator[Any]:
    """A cell as it is copied, and below one that draws what it draws, in words."""
    import nbformat

    if original.cell_type != "code":
        yield nbformat.v4.new_markdown_cell(plain(original.source, book), id=original.id)
        return
    tags = set(original.metadata.get("tags", ()))
    cell = nbformat.v4.new_code_cell(
        original.source, id=original.id, execution_count=original.execution_count
    )
    if tags & FOLDED:  # JupyterLab reads the first, Colab the second
        cell.metadata.update({"jupyter": {"source_hidden": True}, "cellView": "form"})
    cell.outputs = [] if tags & SILENT else [out for out in original.outputs if not _drawn(out)]
    yield cell
    if alt := original.metadata.get("mystnb", {}).get("image", {}).get("alt", ""):
        words = fold("The figure in words", alt)
        yield nbformat.v4.new_markdown_cell(words, id=f"{original.id[:56]}-figure")


def _drawn(output: Any) -> bool:
    return str(output.get("data", {}).get("text/plain", "")).startswith(_DRAWN)


def _about(slug: str, site: str) -> str:
    page = f"[its page]({site}/book/{slug}.html)" if site else "its page"
    return (
        f"> This is a copy of a page of *Attention, executed* for Colab and GitHub; {page} on the "
        "course's site is easier to read. Answers are folded. A figure is drawn when its cell "
        "runs; below the cell it is told in words."
    )


def _written(root: Path) -> list[Path]:
    """The files of all pages."""
    return sorted(path for kind in ("*.ipynb", "*.md") for path in (root / "book").glob(kind))


def _titles(root: Path) -> dict[str, str]:
    """What links to a page, or to a target before a heading, are called."""
    found = dict(TITLES)
    for path in _written(root):
        try:
            found.update(_NAMED.findall(read_as_markdown(markdown(path))))
        except ValueError:
            continue
    return found


def _own_titles(notebook: Any, slug: str) -> dict[str, str]:
    """What the labels of a page's own boxes and figures are called."""
    labels = {f"ex-{e.name.replace('_', '-')}": e.title for e in of_chapter(slug)}
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for fence in directives(cell.source):
                name = fence.options.get("label") or fence.options.get("name")
                if name and fence.argument:
                    labels.setdefault(name, fence.argument)
    return labels


def _settings(root: Path) -> dict[str, Any]:
    import yaml

    return yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))


def _base(root: Path) -> str:
    """Where the repository's files are on the web; nothing while no repository is named."""
    repository = _settings(root)["repository"]
    url = repository["url"]
    return f"{url}/blob/{repository.get('branch', 'main')}" if is_set(url) else ""


def _site(root: Path) -> str:
    """The address of the site, if the configuration says one (``html_baseurl``)."""
    found = _settings(root).get("sphinx", {}).get("config", {}).get("html_baseurl", "")
    return str(found).rstrip("/")
