"""A book of three pages, built as the real one is, in a few seconds: what ours may hold."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from pages import ROOT

PAGES = Path(__file__).parent / "small"
SITE = "_build/html"
URL = "https://github.com/ada/attncourse"


def make(folder: Path, pages: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Build the small book in `folder`; `pages` are written over its own."""
    shutil.copytree(PAGES, folder, dirs_exist_ok=True)
    (folder / "exercises").mkdir(exist_ok=True)
    (folder / "exercises" / "masks.ipynb").write_text("{}", encoding="utf-8")
    for name, text in (pages or {}).items():
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "_config.yml").write_text(yaml.safe_dump(configuration()), encoding="utf-8")
    files = [{"file": name} for name in ("plain", "errata")]
    contents = {"format": "jb-book", "root": "intro", "chapters": files}
    (folder / "_toc.yml").write_text(yaml.safe_dump(contents), encoding="utf-8")
    command = [
        str(Path(sys.executable).with_name("jupyter-book")),
        "build",
        str(folder),
        "-W",
        "-n",
    ]
    environment = {**os.environ, "NO_COLOR": "1", "PYTHONWARNINGS": "ignore"}
    return subprocess.run(
        [*command, "--keep-going"], capture_output=True, text=True, env=environment, cwd=folder
    )


def configuration() -> dict[str, Any]:
    """The book's own, with paths that hold from anywhere and a repository that is named."""
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    sphinx = config["sphinx"]
    sphinx["local_extensions"] = {
        name: str(ROOT / path) for name, path in sphinx["local_extensions"].items()
    }
    sphinx["config"]["html_static_path"] = [str(ROOT / "book" / "_static")]
    config["bibtex_bibfiles"] = [str(ROOT / "book" / "references.bib")]
    config["repository"]["url"] = URL
    config["html"]["favicon"] = str(ROOT / config["html"]["favicon"])
    return config
