"""The committed measurement of a busy machine, and the script that made it, in small."""

import subprocess
import sys
from pathlib import Path

from attncourse.measure.experiment import measured, read_experiment

ROOT = Path(__file__).parents[2]
FOUND = measured("busy").results


def times(way):
    """How much slower each form got in the worst of its tries."""
    return {name: ms["worst"] / ms["quiet"] for name, ms in FOUND[way]["forms"].items()}


def test_all_ways_were_tried_ten_times_on_the_same_forms():
    assert [FOUND[way]["tries"] for way in FOUND] == [10, 10, 10]
    assert len({frozenset(times(way)) for way in FOUND}) == 1


def test_with_a_shorter_spin_no_form_collapses():
    assert max(times("as PyTorch is").values()) > 100
    assert max(times("GOMP_SPINCOUNT=1000").values()) < 5


def test_a_run_is_added_to_the_file(tmp_path):
    out = tmp_path / "small.json"
    words = ["blocks of 256", "--tries", "1", "--calls", "1", "--n", "64", "--busy", "1"]
    command = [sys.executable, str(ROOT / "bench" / "busy.py"), *words, "--out", str(out)]
    for more in ({}, {"GOMP_SPINCOUNT": "5"}):
        done = subprocess.run(command, capture_output=True, text=True, env=more, check=False)
        assert done.returncode == 0 or "times slower" in done.stderr, done.stderr
    found = read_experiment(out)
    assert list(found.results) == ["as PyTorch is", "GOMP_SPINCOUNT=5"]
    (form,) = found.results["GOMP_SPINCOUNT=5"]["forms"].values()
    assert form["quiet"] > 0
    assert found.provenance.command.endswith("small.json")
