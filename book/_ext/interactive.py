"""Figures that a reader moves: ``{interactive} name``, a caption, and what print shows instead.

    ```{interactive} temperature-and-scale
    :caption: A small temperature sharpens.
    :words: The trophy does not fit
    :scores: 0.5 2.5 0.1 0.3 1.2
    :::{table}
    ...
    :::
    ```

Each name is a script ``book/_static/interactive/<name>.js`` that draws into the figure and takes
the options as data. What the directive holds, a table or an image, is what print and a browser
without scripts show.
"""

from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from elements import element, loads

FIGURES = Path(__file__).parent.parent / "_static" / "interactive"
DATA = ("words", "keys", "scores", "size", "start")
DATA += ("model", "sentence", "layer", "head", "row", "view")  # of the map browser


class Interactive(SphinxDirective):
    """A figure drawn by one of our own scripts."""

    has_content = True
    required_arguments = 1
    option_spec = dict.fromkeys(["caption", *DATA], directives.unchanged_required)

    def run(self) -> list[nodes.Node]:
        """Put it on the page."""
        name = self.arguments[0]
        if not (FIGURES / f"{name}.js").is_file():
            raise self.error(f"there is no interactive figure {name!r}: book/_static/interactive/")
        if "caption" not in self.options or not self.content:
            raise self.error(
                "an interactive figure has a :caption: and, below it, what print shows"
            )
        data = {f"data_{key}": self.options[key] for key in DATA if key in self.options}
        figure = element("figure", "interactive", data_interactive=name, **data)
        still = element("div", "interactive-still")
        self.state.nested_parse(self.content, self.content_offset, still)
        caption = element("figcaption")
        words, messages = self.parse_inline(self.options["caption"])
        caption += words
        figure += [still, caption, *messages]
        return [figure]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.add_directive("interactive", Interactive)
    scripts = loads("data-interactive", lambda name: ["interactive.js", f"interactive/{name}.js"])
    app.connect("html-page-context", scripts)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
