"""A file that somebody sends in: what is looked at, each fault planted in a file of a stand-in."""

from dataclasses import replace
from pathlib import Path

import pytest

from attncourse.measure.bench.arrival import card_of, faults
from attncourse.measure.bench.provenance import provenance
from attncourse.measure.bench.report import FORMAT, Report, Row, to_json
from attncourse.measure.roofline import Ceilings
from attncourse.measure.timing import Spread

FOLDER = Path(__file__).parents[2] / "book" / "data"
NAME = "cuda-tesla-t4-quick.json"
ABOUT = replace(
    provenance("attncourse bench --device cuda --suite all --quick"),
    device="Tesla T4 (15 GiB), Intel(R) Xeon(R) CPU @ 2.20GHz",
    commit="0" * 40,
)
ROW = Row(
    "kernels",
    "full",
    "attncourse",
    "forward",
    1024,
    "measured",
    "",
    2.0,
    dtype="float16",
    seconds=Spread(1e-3, 1e-3, 1e-3),
    flops=2 * 10**10,  # 20 TFLOP/s
)
TOPS = {"float16": Ceilings(5e13, 2.5e11), "float32": Ceilings(7e12, 2.5e11)}
REPORT = Report(FORMAT, ABOUT, TOPS, (ROW, replace(ROW, state="left out", seconds=None)))


def found(tmp_path, report, name=NAME):
    (tmp_path / name).write_text(to_json(report), encoding="utf-8")
    return faults(tmp_path / name)


def test_the_committed_files_of_cards_have_no_faults():
    """Today there may be none; each one that comes is looked at here."""
    assert {path.name: told for path in FOLDER.glob("cuda-*.json") if (told := faults(path))} == {}


def test_a_sound_file_has_none(tmp_path):
    assert found(tmp_path, REPORT) == []
    assert card_of(REPORT) == "Tesla T4"


def with_about(**changes):
    return replace(REPORT, provenance=replace(ABOUT, **changes))


PLANTED = {
    "the command must be attncourse bench --device cuda: got attncourse bench --device cpu": (
        with_about(command="attncourse bench --device cpu")
    ),
    "the command must name no place of a machine: got attncourse bench --device cuda "
    "--out /home/a": (with_about(command="attncourse bench --device cuda --out /home/a")),
    "it must be measured from a commit without changes: got unknown": with_about(commit="unknown"),
    f"it must be measured from a commit without changes: got {'0' * 40}+changes": (
        with_about(commit="0" * 40 + "+changes")
    ),
    "the run must have come to its end: got one that was stopped": (
        replace(REPORT, complete=False)
    ),
    "at least 1 row must be measured: got 0": replace(REPORT, rows=()),
    "no row may be failed: got full by attncourse": (
        replace(REPORT, rows=(ROW, replace(ROW, state="failed", seconds=None)))
    ),
    "no rate may lie above T4's 65 TFLOP/s: got 2e+04 TFLOP/s for full by attncourse, n = 1024, "
    "forward, d = 64": replace(REPORT, rows=(replace(ROW, seconds=Spread(1e-6, 1e-6, 1e-6)),)),
    "no rate may lie above T4's 8.1 TFLOP/s: got 50 TFLOP/s for the ceiling in float32": (
        replace(REPORT, ceilings={"float32": Ceilings(5e13, 2.5e11)})
    ),
    "no copy may be faster than 320 GB/s: got 900": (
        replace(REPORT, ceilings={"float16": Ceilings(5e13, 9e11)})
    ),
}


@pytest.mark.parametrize("sentence", PLANTED)
def test_a_fault_is_told_in_a_sentence_and_no_other(tmp_path, sentence):
    assert found(tmp_path, PLANTED[sentence]) == [sentence]


def test_a_file_is_called_by_its_card(tmp_path):
    told = found(tmp_path, REPORT, "cuda-mine.json")
    wanted = "cuda-tesla-t4-<suite>.json, by its card: got cuda-mine.json"
    assert told == [f"the file must be called {wanted}"]


def test_of_an_unknown_card_the_rates_are_taken_as_they_are(tmp_path):
    fast = replace(
        with_about(device="NVIDIA GeForce RTX 2060 (6 GiB), CPU"),
        rows=(replace(ROW, seconds=Spread(1e-6, 1e-6, 1e-6)),),
    )
    assert found(tmp_path, fast, "cuda-rtx-2060-quick.json") == []


def test_kernels_may_take_tf32_parts_of_float32(tmp_path):
    a100 = replace(
        with_about(device="NVIDIA A100-SXM4-40GB (40 GiB), CPU"),
        ceilings={},
        rows=(replace(ROW, dtype="float32", flops=4 * 10**10),),
    )
    assert found(tmp_path, a100, "cuda-a100-sxm4-40gb-all.json") == []


def test_what_is_no_bench_file_is_said(tmp_path):
    (tmp_path / NAME).write_text("no")
    assert faults(tmp_path / NAME)[0].startswith("a bench file must be JSON")
