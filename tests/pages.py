"""The pages of the book, in the order of _toc.yml, for the tests that walk them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
SITE = ROOT / "_build" / "html"


def _names(node: Any) -> Iterator[str]:
    """Every `root` and `file` of a table of contents, from top to bottom."""
    if isinstance(node, list):
        for item in node:
            yield from _names(item)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key in ("root", "file"):
                yield value
            else:
                yield from _names(value)


PAGES = list(_names(yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))))


def source(page: str) -> Path:
    """The file a page is made from."""
    found = [ROOT / f"{page}{kind}" for kind in (".ipynb", ".md")]
    return next((path for path in found if path.is_file()), found[0])
