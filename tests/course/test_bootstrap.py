"""The repository's address: one place names it, one command sets it everywhere."""

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from attncourse.course.bootstrap import (
    NOTEBOOKS,
    bootstrap_cell,
    bootstrap_source,
    is_set,
    repository_url,
    set_repository,
)
from pages import ROOT

OWNER = "https://github.com/OWNER/attncourse"
ADA = "https://github.com/ada/attncourse"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A configuration as ours, and a notebook in each folder with a learner's work in it."""
    config = (ROOT / "_config.yml").read_text(encoding="utf-8")
    (tmp_path / "_config.yml").write_text(
        config.replace(repository_url(ROOT), OWNER), encoding="utf-8"
    )
    for folder in NOTEBOOKS:
        (tmp_path / folder).mkdir()
        cells = [bootstrap_cell(OWNER), nbformat.v4.new_code_cell("mine = 1", id="mine")]
        notebook = nbformat.v4.new_notebook(cells=cells)
        text = nbformat.v4.writes(notebook) + "\n"
        (tmp_path / folder / "x.ipynb").write_text(text, encoding="utf-8")
    return tmp_path


def test_one_command_sets_it_everywhere_and_touches_nothing_else(checkout: Path) -> None:
    config = (checkout / "_config.yml").read_text(encoding="utf-8")
    assert len(set_repository(checkout, ADA)) == 1 + len(NOTEBOOKS)
    written = (checkout / "_config.yml").read_text(encoding="utf-8")
    assert written == config.replace(f"url: {OWNER}", f"url: {ADA}")
    for folder in NOTEBOOKS:
        first, mine = nbformat.read(checkout / folder / "x.ipynb", as_version=4).cells
        assert first == bootstrap_cell(ADA)
        assert mine.source == "mine = 1"
    assert set_repository(checkout, ADA) == []


def test_naming_the_repository_keeps_the_models_where_they_are_used(checkout: Path) -> None:
    path = checkout / "book" / "x.ipynb"
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[1].source = "from attncourse import in_a_model"
    nbformat.write(notebook, path)
    set_repository(checkout, ADA)
    first = nbformat.read(path, as_version=4).cells[0]
    assert first.source == bootstrap_source(ADA, models=True)


@pytest.mark.parametrize("url", [f"{ADA}/", f"{ADA}.git", f" {ADA}.git/ "])
def test_an_address_is_taken_as_it_is_copied(checkout: Path, url: str) -> None:
    set_repository(checkout, url)
    assert repository_url(checkout) == ADA


@pytest.mark.parametrize(
    "url",
    [
        "",
        "github.com/ada/attncourse",
        "git@github.com:ada/attncourse.git",
        "https://github.com/ada",
        OWNER,
        f'{ADA}"; rm -r .',
        f"{ADA}?tab=readme",
        f"{ADA}\\g<0>",
    ],
)
def test_what_is_no_address_is_refused_and_nothing_is_written(checkout: Path, url: str) -> None:
    before = {path: path.read_bytes() for path in checkout.rglob("*") if path.is_file()}
    with pytest.raises(ValueError, match=r"the repository's address is https://HOST/ACCOUNT/NAME"):
        set_repository(checkout, url)
    assert before == {path: path.read_bytes() for path in checkout.rglob("*") if path.is_file()}


def test_the_command_says_what_it_did_or_why_not(checkout: Path) -> None:
    command = [sys.executable, "-m", "attncourse.course.bootstrap"]
    done = subprocess.run([*command, ADA], cwd=checkout, capture_output=True, text=True, check=True)
    assert done.stdout == f"The repository is {ADA}: 6 files name it anew.\n"
    for copy in ("x.ipynb", "gpu/your-gpu.ipynb"):
        assert ADA in (checkout / "book" / "colab" / copy).read_text(encoding="utf-8")
    refused = subprocess.run([*command, ""], cwd=checkout, capture_output=True, text=True)
    assert refused.returncode == 1
    assert refused.stderr.endswith("as in https://github.com/ada/attncourse: got ''\n")


@pytest.mark.parametrize(
    "url", [OWNER, ADA, "https://gitlab.com/OWNER/x", "https://x.org/MOWNER/x"]
)
def test_an_address_is_set_when_it_names_an_account(url: str) -> None:
    assert is_set(url) == (url not in (OWNER, "https://gitlab.com/OWNER/x"))


def test_without_a_repository_the_first_cell_says_what_to_do(monkeypatch) -> None:
    source = bootstrap_source(OWNER)
    assert "OWNER" not in source
    exec(source, {})
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"run %pip install FOLDER .* restart the kernel"):
        exec(source, {})
