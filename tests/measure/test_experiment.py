"""Experiments that were written down can be read, and say where they come from."""

import re
from pathlib import Path

import pytest

from attncourse.measure.bench.provenance import provenance
from attncourse.measure.experiment import FORMAT, measured, write_experiment

FOLDER = Path(__file__).parents[2] / "book" / "data"
NAMES = [path.stem for path in sorted(FOLDER.glob("*.json")) if FORMAT in path.read_text()[:200]]
every = pytest.mark.parametrize("name", NAMES)


def test_there_are_experiments():
    assert NAMES


@every
def test_it_says_where_when_and_how_it_came_about(name):
    found = measured(name)
    assert found.results
    assert found.seconds > 0
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", found.provenance.date)
    assert re.fullmatch(r"[0-9a-f]{40}(\+changes)?", found.provenance.commit)
    script = re.match(r"python (bench/\w+\.py) .*--out ", found.provenance.command)[1]
    assert (FOLDER.parents[1] / script).exists()


@every
def test_it_is_small(name):
    assert (FOLDER / f"{name}.json").stat().st_size < 60_000


def test_what_is_written_is_read(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path)
    about = provenance("python bench/made.py --out data/made.json", ["torch"])
    write_experiment("data/made.json", {"a": [1, 2.5], "b": "ä"}, about=about, seconds=0.123)
    found = measured("made")
    assert found.results == {"a": [1, 2.5], "b": "ä"}
    assert (found.provenance, found.seconds) == (about, 0.1)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("python bench/made.py --out data/made.json", "python bench/made.py --out data/made.json"),
        (f"python bench/made.py --out {FOLDER}/made.json", "book/data/made.json"),
        ("attncourse bench --out=/home/ann/made.json", "attncourse bench --out=made.json"),
    ],
)
def test_a_command_is_told_without_the_places_of_a_machine(given, told):
    assert provenance(given).command.endswith(told)
    assert "/home" not in provenance(given).command
    assert str(FOLDER.parents[1]) not in provenance(given).command


def test_a_file_that_is_not_there_or_is_something_else_is_refused():
    with pytest.raises(FileNotFoundError, match=r"^there is no measured experiment 'heats': "):
        measured("heats")
    message = r"^cpu-decode.json must be of the format attncourse-experiment/1: got attncourse-b"
    with pytest.raises(ValueError, match=message):
        measured("cpu-decode")
