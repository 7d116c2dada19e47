"""A plugin for nbval's run over the chapters: what it executes is executed for the site too.

The outputs of a chapter whose cells all passed go into the cache that the site's build looks into
(`_build/.jupyter_cache`), figures included, so that no chapter is executed twice. Committed
chapters have no drawings, so of a figure only its words are compared.
"""

from pathlib import Path
from typing import Any

import nbformat
import pytest

CACHE = Path(__file__).parent.parent / "_build" / ".jupyter_cache"

OUTPUTS = pytest.StashKey[dict[int, list[Any]]]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """Keep what a cell gave; a cell that fails leaves nothing."""
    if compare := getattr(item, "compare_outputs", None):
        item.compare_outputs = lambda test, *rest: compare(list(map(_words, test)), *rest)
    yield
    if hasattr(item, "test_outputs"):
        item.parent.stash.setdefault(OUTPUTS, {})[id(item.cell)] = item.test_outputs


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item, nextitem):
    """After the last cell of a chapter: remember it, if every cell has passed."""
    notebook = getattr(item.parent, "nb", None)
    if notebook is None or getattr(nextitem, "parent", None) is item.parent:
        return
    found = item.parent.stash.get(OUTPUTS, {})
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    if all(id(cell) in found for cell in cells):
        for count, cell in enumerate(cells, 1):
            cell.outputs = [_as_stored(output) for output in found[id(cell)]]
            cell.execution_count = count
        remember(notebook, item.path)


def _words(output: Any) -> Any:
    """An output without the drawings of a figure."""
    data = output.get("data", {})
    if "image/svg+xml" not in data:
        return output
    words = {kind: data[kind] for kind in data if kind == "text/plain"}
    return nbformat.from_dict({**output, "data": words})


def _as_stored(output: Any) -> Any:
    """A kernel's message as a notebook keeps it: the same, without what only a screen needs."""
    return nbformat.from_dict({k: v for k, v in output.items() if k != "transient"})


def remember(notebook: Any, path: Path) -> None:
    """Put an executed notebook into the cache of the site's build."""
    from jupyter_cache import get_cache
    from jupyter_cache.cache.main import CacheBundleIn

    bundle = CacheBundleIn(notebook, str(path), data={"execution_seconds": None})
    get_cache(CACHE).cache_notebook_bundle(bundle, check_validity=False, overwrite=True)
