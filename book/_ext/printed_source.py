"""Functions that a cell prints are coloured as code, as the cells are.

A cell prints source with ``print(whole(f))``, or ``inspect.getsource``: plain text, the same in
the notebook, in nbval and here. What a page then knows of it is the text itself.
"""

import ast
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

OPENINGS = ("def ", "class ", "async def ", "@")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("doctree-read", colour)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def colour(app: Sphinx, doctree: nodes.document) -> None:
    """Give each printed definition the language that it is written in."""
    for block in doctree.findall(nodes.literal_block):
        if "output" in block.get("classes", ()) and is_source(block.astext()):
            block["language"] = "ipython3"


def is_source(text: str) -> bool:
    """Is this one definition after another, and nothing else?"""
    if not text.startswith(OPENINGS):
        return False
    try:
        return all(hasattr(node, "body") for node in ast.parse(text).body)
    except SyntaxError:
        return False
