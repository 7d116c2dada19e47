"""What a page offers of the repository and Colab: all of it, or nothing while there is none.

Chapters name no repository. Its address is the one in _config.yml; as long as OWNER stands there
for the account, every link into it would be dead, and none is built. Colab opens a page's copy in
plain Markdown, since it shows no directive.
"""

import posixpath
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.addnodes import download_reference
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.util.docutils import SphinxDirective

from attncourse.course.bootstrap import is_set
from attncourse.course.plain import COLAB, FOLDER, GITHUB

BUTTONS = (
    "use_repository_button",
    "use_issues_button",
    "use_source_button",
    "use_edit_page_button",
)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("config-inited", drop_dead_buttons, priority=100)
    app.add_directive("hosted", Hosted)
    app.connect("doctree-read", add_colab_links)
    app.connect("html-page-context", open_copies, priority=900)  # when the theme has its buttons
    return {"parallel_read_safe": True, "parallel_write_safe": True}


class Hosted(SphinxDirective):
    """Words that hold where Colab can open the notebooks; nothing elsewhere."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Put them on the page, or not."""
        if not colab(self.config.html_theme_options):
            return []
        held = nodes.container()
        self.state.nested_parse(self.content, self.content_offset, held)
        return held.children


def colab(theme: dict[str, Any]) -> str:
    """Where Colab finds the repository's files; nothing where it cannot."""
    url, branch = theme["repository_url"], theme["repository_branch"]
    host = theme["launch_buttons"].get("colab_url")
    if not host or not url.startswith(GITHUB):  # Colab opens notebooks of GitHub only
        return ""
    return f"{host}/github/{url.removeprefix(GITHUB)}/blob/{branch}"


def drop_dead_buttons(app: Sphinx, config: Config) -> None:
    """Build no button that leads into a repository that nobody has named."""
    theme = config.html_theme_options
    if not is_set(theme["repository_url"]):
        theme.update(dict.fromkeys(BUTTONS, False), launch_buttons={})


def add_colab_links(app: Sphinx, doctree: nodes.document) -> None:
    """Put "(open in Colab)" after each link that downloads a notebook."""
    base = colab(app.config.html_theme_options)
    if not base:
        return
    folder = posixpath.dirname(app.env.docname)
    for download in list(doctree.findall(download_reference)):
        if download["reftarget"].endswith(".ipynb"):
            path = posixpath.normpath(posixpath.join(folder, download["reftarget"]))
            link = nodes.reference("", "open in Colab", refuri=f"{base}/{path}", internal=False)
            place = download.parent.index(download) + 1
            download.parent[place:place] = [nodes.Text(" ("), link, nodes.Text(")")]


def open_copies(app: Sphinx, page: str, template: str, context: Any, doctree: Any) -> None:
    """Let Colab's button open the page's copy."""
    name = f"{posixpath.basename(page)}.ipynb"
    if not Path(app.srcdir, FOLDER, name).is_file():
        return
    for group in context.get("header_buttons", ()):
        for button in group.get("buttons", ()):
            address = str(button.get("url", ""))
            if address.startswith(COLAB) and address.endswith(f"/{page}.ipynb"):
                button["url"] = address.removesuffix(f"{page}.ipynb") + f"{FOLDER}/{name}"
