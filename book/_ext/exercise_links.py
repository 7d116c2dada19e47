"""Beside every download of a notebook, a link that opens it in Colab.

Chapters name no repository: the address is made here from the one in _config.yml.
"""

import posixpath
from typing import Any

from docutils import nodes
from sphinx.addnodes import download_reference
from sphinx.application import Sphinx

GITHUB = "https://github.com/"


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("doctree-read", add_colab_links)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def add_colab_links(app: Sphinx, doctree: nodes.document) -> None:
    """Put "(open in Colab)" after each link that downloads a notebook."""
    theme = app.config.html_theme_options
    url, branch = theme["repository_url"], theme["repository_branch"]
    if not url.startswith(GITHUB):  # Colab opens notebooks of GitHub only
        return
    base = f"{theme['launch_buttons']['colab_url']}/github/{url.removeprefix(GITHUB)}/blob/{branch}"
    folder = posixpath.dirname(app.env.docname)
    for download in list(doctree.findall(download_reference)):
        if download["reftarget"].endswith(".ipynb"):
            path = posixpath.normpath(posixpath.join(folder, download["reftarget"]))
            colab = nodes.reference("", "open in Colab", refuri=f"{base}/{path}", internal=False)
            place = download.parent.index(download) + 1
            download.parent[place:place] = [nodes.Text(" ("), colab, nodes.Text(")")]
