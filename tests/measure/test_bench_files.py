"""Files of results: those that are committed keep the schema; what is picked is what was asked."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from attncourse.measure.bench.files import (
    pick,
    ratios_to_baseline,
    read_report,
    roofline_points,
)
from attncourse.measure.bench.report import Row
from attncourse.measure.bench.suites import SUITES
from attncourse.measure.experiment import measured
from attncourse.measure.timing import Spread

FOLDER = Path(__file__).parents[2] / "book" / "data"
DATA = [path for path in sorted(FOLDER.glob("*.json")) if path.stem.startswith(("cpu-", "cuda-"))]
ROW = Row("s", "m", "attncourse", "forward", 8, "measured", "", 2.0, seconds=Spread(2.0, 1.0, 3.0))
every_file = pytest.mark.parametrize("path", DATA, ids=lambda path: path.stem)


def test_there_are_measurements():
    assert DATA


@every_file
def test_a_committed_file_keeps_the_schema_and_came_to_its_end(path):
    report = read_report(path)
    assert report.complete
    assert report.rows or report.pitfalls


@every_file
def test_it_says_where_when_and_how_it_came_about(path):
    about = read_report(path).provenance
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", about.date)
    assert re.fullmatch(r"[0-9a-f]{40}(\+changes)?", about.commit)
    assert about.command.startswith("attncourse bench --device ")
    assert about.device
    assert about.torch


@every_file
def test_nothing_in_it_is_wrong_and_every_mechanism_is_one_of_the_suites(path):
    report = read_report(path)
    device = "cuda" if "cuda" in report.provenance.command else "cpu"
    known = {(name, case.name) for name in SUITES for case in SUITES[name](device).cases}
    for row in report.rows:
        assert row.state not in ("wrong", "failed"), row
        assert (row.suite, f"{row.mechanism} · {row.implementation}") in known


def test_rows_are_picked_by_their_fields_and_only_where_they_were_measured():
    rows = [ROW, replace(ROW, n=16), replace(ROW, n=16, state="failed", seconds=None)]
    assert pick(rows) == rows[:2]
    assert pick(rows, n=16, dtype="float32") == [rows[1]]
    assert pick(rows, d=128) == []
    with pytest.raises(ValueError, match=r"^a row must have the field: got length, not in suite, "):
        pick(rows, length=16)


@pytest.mark.parametrize("chapter", ["patterns", "content", "low-rank", "random-features"])
def test_chapters_tell_the_clocks_of_the_measurement_of_speed(chapter):
    told = measured(chapter).results["clock"]
    assert told
    assert ratios_to_baseline(FOLDER / "cpu-scaling.json", told) == told


def test_points_of_a_roofline_are_those_with_work_and_bytes():
    full = replace(ROW, flops=10, moved_bytes=5)
    rows = [ROW, full, replace(full, implementation="PyTorch"), replace(full, state="wrong")]
    assert roofline_points(rows) == {"m": (10.0, 5.0, 2.0), "m (PyTorch)": (10.0, 5.0, 2.0)}
    assert roofline_points([replace(full, flops=0)]) == {}


def test_a_file_that_is_none_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_report(tmp_path / "no.json")
