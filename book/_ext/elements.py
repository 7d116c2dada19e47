"""HTML elements of our own in a page's tree, and the scripts that a page with them loads."""

from collections.abc import Callable
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

IN_LINES = ("span",)  # no space may come about around them


class Element(nodes.General, nodes.Element):
    """An HTML element with a tag, classes and attributes; print formats show what it holds."""


def element(tag: str, *classes: str, **attributes: object) -> Element:
    """An HTML element; ``data_right=1`` becomes ``data-right="1"``."""
    named = {key.replace("_", "-"): str(value) for key, value in attributes.items()}
    return Element(tag=tag, classes=list(classes), attributes=named)


def visit(translator: Any, node: Element) -> None:
    """Open the tag."""
    end = "" if node["tag"] in IN_LINES else "\n"
    translator.body.append(translator.starttag(node, node["tag"], end, **node["attributes"]))


def depart(translator: Any, node: Element) -> None:
    """Close the tag."""
    translator.body.append(f"</{node['tag']}>" + ("" if node["tag"] in IN_LINES else "\n"))


def loads(attribute: str, scripts: Callable[[str], list[str]]) -> Callable[..., None]:
    """A handler that loads `scripts(value)` on a page for each value of the attribute there."""

    def add_scripts(app: Sphinx, page: str, template: str, context: Any, doctree: Any) -> None:
        elements = doctree.findall(Element) if doctree else ()
        found = dict.fromkeys(e["attributes"].get(attribute) for e in elements)
        needed = dict.fromkeys(script for value in found if value for script in scripts(value))
        for script in needed:
            app.add_js_file(script, loading_method="defer")

    return add_scripts


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.add_node(Element, html=(visit, depart), latex=(visit, depart))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
