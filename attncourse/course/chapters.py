"""Chapters as they are committed: executed, with their text outputs, nothing of the machine.

``execute`` writes a chapter that way, ``problems`` says where one is not.
"""

import ast
import hashlib
import re
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from attncourse.course import boxes
from attncourse.course.bootstrap import TAGS, bootstrap_of, is_bootstrap
from attncourse.course.prose import markdown_problems

TIMEOUT = 120  # seconds that one cell may take
CELL_METADATA = ("mystnb", "tags")
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}

# nbformat gives new cells eight hexadecimal digits, JupyterLab a whole UUID
_RANDOM_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})?")
_TITLE = re.compile(r"^# \S", re.MULTILINE)
_HEADING = re.compile(r"^#{1,6} +(.+)$", re.MULTILINE)
_ROOT = re.compile(r"attncourse(\.|$)")
_ADDRESS = re.compile(r"\b0x[0-9a-f]{6,}\b")


def execute(path: Path, repository_url: str) -> None:
    """Run a chapter in its own folder and write it back clean; a second run changes no byte.

    Text outputs stay, pictures go (the site's build draws them), and so does what only tells of
    this machine or this run. Cells keep their ids; a missing or random id is derived from the
    cell's content. Of an output with several forms only the plain text stays, so a cell that
    shows HTML fails under nbval: print text instead. Raises nbclient's CellExecutionError when a
    cell fails, and leaves the file as it was.
    """
    import nbformat
    from nbclient import NotebookClient

    notebook = _read(path)
    _place_bootstrap(notebook, repository_url)
    boxes.place(notebook, path.stem)
    name_cells(notebook, path.stem)
    NotebookClient(
        notebook,
        timeout=TIMEOUT,
        kernel_name="python3",
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(path.parent)}},
    ).execute()
    _strip(notebook)
    nbformat.write(notebook, path)


def problems(path: Path, repository_url: str) -> list[str]:
    """Say what in a committed chapter is not as ``execute`` leaves it, or not as a page should be.

    One sentence each, with the file and the cell; an empty list when all is well.
    """
    try:
        notebook = _read(path)
    except ValueError as error:
        return [f"{path.name} is not a notebook: {error}"]
    found = [*_notebook_problems(notebook, repository_url), *boxes.problems(notebook, path.stem)]
    count = 0
    for cell in notebook.cells:
        if cell.cell_type == "code":
            count += 1
            sentences = [*_code_problems(cell, count), *_output_problems(cell, path)]
            sentences += _import_problems(cell.source)
        else:
            sentences = markdown_problems(cell.source)
        sentences += _cell_problems(cell)
        found += [f"cell {cell.get('id', '?')}: {sentence}" for sentence in sentences]
    return [f"{path.name}, {sentence}" for sentence in found]


def _read(path: Path) -> Any:
    """A notebook as it stands in the file: nothing repaired, nothing warned of."""
    import nbformat

    return nbformat.v4.reads(path.read_text(encoding="utf-8"))


def _place_bootstrap(notebook: Any, url: str) -> None:
    """Put today's bootstrap cell behind the title, in place of any other."""
    notebook.cells = [cell for cell in notebook.cells if not is_bootstrap(cell)]
    notebook.cells.insert(1, bootstrap_of(notebook, url))


def name_cells(notebook: Any, slug: str) -> None:
    """Give every cell an id that stays the same from run to run and from machine to machine."""
    taken = {cell.id for cell in notebook.cells if not _is_random(cell)}
    for cell in notebook.cells:
        if _is_random(cell):
            name = base = _cell_name(cell, slug)
            number = 1
            while name in taken:
                number += 1
                name = f"{base}-{number}"
            taken.add(name)
            cell["id"] = name


def _is_random(cell: Any) -> bool:
    """Has this cell no id, or one that a tool drew by lot?"""
    return not cell.get("id") or _RANDOM_ID.fullmatch(cell.id) is not None


def _cell_name(cell: Any, slug: str) -> str:
    """The first words of the heading, or a short hash of the chapter and the source."""
    heading = _HEADING.search(cell.source) if cell.cell_type == "markdown" else None
    words = re.findall(r"[a-z0-9]+", heading[1].lower()) if heading else []
    if words:
        return "-".join(words[:6])[:48]
    kind = "code" if cell.cell_type == "code" else "text"
    digest = hashlib.sha1(f"{slug}\n{cell.source}".encode(), usedforsecurity=False)
    return f"{kind}-{digest.hexdigest()[:10]}"


def _strip(notebook: Any) -> None:
    """Leave nothing that tells of a machine, a moment or a picture."""
    notebook.metadata = type(notebook)(METADATA)
    notebook.nbformat_minor = 5
    count = 0
    for cell in notebook.cells:
        cell.metadata = {key: cell.metadata[key] for key in CELL_METADATA if key in cell.metadata}
        if cell.cell_type == "code":
            count += 1
            cell.execution_count = count  # nbval compares no cell that has none
            for output in cell.outputs:
                _strip_output(output, count)


def _strip_output(output: Any, count: int) -> None:
    if "metadata" in output:
        output.metadata = {}
    if "execution_count" in output:
        output.execution_count = count
    if "data" in output:
        texts = [kind for kind in sorted(output.data) if kind.startswith("text/")]
        kept = ["text/plain"] if "text/plain" in texts else texts
        output.data = {kind: output.data[kind] for kind in kept}


def _notebook_problems(notebook: Any, url: str) -> Iterator[str]:
    if notebook.metadata != METADATA:
        yield "its metadata tell of a machine"
    titled = [cell for cell in notebook.cells[:1] if cell.cell_type == "markdown"]
    if not any(_TITLE.search(cell.source) for cell in titled):
        yield "its first cell is not Markdown with a title"
    places = [i for i, cell in enumerate(notebook.cells) if is_bootstrap(cell)]
    if places != [1]:
        yield "its bootstrap cell is missing, misplaced or there twice"
    elif notebook.cells[1].source != bootstrap_of(notebook, url).source:
        yield "its bootstrap cell is outdated"
    ids = [cell.get("id") for cell in notebook.cells]
    if len(set(ids)) < len(ids):
        yield "two of its cells share an id"


def _cell_problems(cell: Any) -> Iterator[str]:
    if _is_random(cell):
        yield "its id is random or missing"
    if extra := sorted(set(cell.metadata) - set(CELL_METADATA)):
        yield f"its metadata have {', '.join(extra)}"
    if cell.get("attachments") or "data:image" in cell.source:
        yield "it carries a picture"


def _code_problems(cell: Any, count: int) -> Iterator[str]:
    if cell.execution_count != count:
        yield f"its execution count is {cell.execution_count}, not {count}"
    texts = [str(output.get("data", {}).get("text/plain", "")) for output in cell.outputs]
    if "plt.show()" in cell.source or any(text.startswith("<Figure size") for text in texts):
        alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
        if not alt.strip():
            yield "its figure has no alt text (metadata mystnb.image.alt)"
    if is_bootstrap(cell) and cell.metadata.tags != list(TAGS):
        yield f"its tags are not {', '.join(TAGS)}"


def _import_problems(source: str) -> Iterator[str]:
    """What a cell takes from the package, and the package has not: said before anything runs."""
    try:
        nodes = list(ast.walk(ast.parse(source)))
    except SyntaxError:  # magics, or a mistake that shows when the cell is run
        return
    for node in nodes:
        module = getattr(node, "module", None) or ""
        if isinstance(node, ast.ImportFrom) and _ROOT.match(module):
            for name in [alias.name for alias in node.names if not _has(module, alias.name)]:
                yield f"it imports {name} from {module}, which has none"


def _has(module: str, name: str) -> bool:
    """Does a module of the package exist, and the name in it?"""
    try:
        return hasattr(import_module(module), name) or find_spec(f"{module}.{name}") is not None
    except ModuleNotFoundError as error:
        return not _ROOT.match(error.name or "")  # what else is missing is no fault of the cell


def _output_problems(cell: Any, path: Path) -> Iterator[str]:
    for output in cell.outputs:
        data = output.get("data", {})
        if pictures := sorted(kind for kind in data if not kind.startswith("text/")):
            yield f"it has {', '.join(pictures)} among its outputs"
        if output.output_type == "error":
            yield f"it ended in {output.ename}"
        if output.get("name") == "stderr":
            yield "it wrote to stderr"
        text = "".join([output.get("text", ""), *map(str, data.values())])
        if _ADDRESS.search(text):
            yield "it printed a memory address"
        if any(f"{home}/" in text for home in _homes(path)):
            yield "it printed a path of this machine"


def _homes(path: Path) -> set[str]:
    """The folders whose names are this machine's business only."""
    return {str(path.resolve().parent.parent), str(Path.home())} - {"/"}
