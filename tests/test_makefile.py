"""The Makefile, with tools that only write down that they were called."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FILES = (
    *("requirements.lock", "requirements-models.lock", "pyproject.toml", "_config.yml", "_toc.yml"),
    *("attncourse/a.py", "book/a.ipynb", "book/data/a.json", "exercises/a.ipynb"),
)
TOOL = """#!/bin/sh
case "$*" in *--version*|*PYTHON_CHECK*) exit 0 ;; esac
echo "$(basename "$0") $1 $2 $3" >> calls
echo "${MATPLOTLIBRC-none} ${IPYTHONDIR-none}" > surroundings
mkdir -p _build/html
"""

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")


@pytest.fixture
def checkout(tmp_path):
    """A checkout of a few files, whose environment holds tools that build nothing."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1")
    for tool in ("python", "jupyter-book", "jupyter"):
        path = tmp_path / ".venv/bin" / tool
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(TOOL)
        path.chmod(0o755)
    return tmp_path


def make(folder, target="book"):
    """What was called, in words."""
    (folder / "calls").write_text("")
    words = ["make", "-s", "-C", folder, "PYTHON=.venv/bin/python", target]
    done = subprocess.run(words, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    calls = (folder / "calls").read_text()
    told = {"python -m pip install": "install", "jupyter-book build": "build"}
    return [word for words, word in told.items() if words in calls]


def outdated(path, text):
    """A file as an archive brings it: other contents, and a date before the last build."""
    path.write_text(text)
    os.utime(path, (1e9, 1e9))


def test_what_is_built_is_not_built_again(checkout):
    assert make(checkout) == ["install", "build"]
    assert make(checkout) == []
    for name in FILES:
        (checkout / name).touch()
    assert make(checkout) == []


@pytest.mark.parametrize(
    ("name", "called"),
    [
        *((name, ["install", "build"]) for name in FILES[:2]),
        *((name, ["build"]) for name in FILES[3:]),
    ],
)
def test_what_an_archive_replaces_is_built_whatever_its_date(checkout, name, called):
    make(checkout)
    outdated(checkout / name, "2")
    assert make(checkout) == called
    assert make(checkout) == []


def test_a_page_that_is_gone_is_missed(checkout):
    make(checkout)
    (checkout / "book/a.ipynb").unlink()
    assert make(checkout) == ["build"]


@pytest.mark.parametrize("name", ["my notes", "a: 2nd", "100%", "a#b", "$HOME", "a;b", "a=b", "ü"])
def test_a_readers_file_may_have_any_name(checkout, name):
    for place in ("exercises", "book", "attncourse"):
        (checkout / place / f"{name}.ipynb").write_text("1")
    make(checkout, "help")
    assert make(checkout) == ["install", "build"]
    assert make(checkout) == []
    (checkout / "exercises" / f"{name}.ipynb").write_text("2")
    assert make(checkout) == ["build"]


def test_pages_are_built_without_a_readers_settings_and_lab_has_them(checkout, monkeypatch):
    monkeypatch.setenv("MATPLOTLIBRC", "mine")
    monkeypatch.setenv("IPYTHONDIR", "mine")
    make(checkout)
    told = (checkout / "surroundings").read_text()
    assert told == f"/dev/null {checkout.resolve()}/_build/ipython\n"
    kernel = checkout / "_build/ipython/profile_default/ipython_kernel_config.py"
    assert kernel.read_text() == 'c.IPKernelApp.log_level = "ERROR"\n'
    make(checkout, "lab")
    assert (checkout / "surroundings").read_text() == "mine mine\n"
