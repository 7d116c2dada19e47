"""The committed measurement of mistakes in timing, redone in small: what holds on any machine."""

import sys
from pathlib import Path

import pytest
import torch

from attncourse.measure.experiment import measured
from attncourse.measure.placing import STEPS, smollm_work

FOUND = measured("timing")


@pytest.fixture(scope="module")
def bench():
    torch.set_num_threads(1)
    sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))
    try:
        import timing
    finally:
        sys.path.pop(0)
    return timing


def test_what_else_is_in_the_timed_part_is_timed(bench):
    assert bench.copied_inside(0.1) > 1.1 < FOUND.results["a copy inside"]
    assert bench.inputs_made_inside(0.1) > 0.8
    assert FOUND.results["inputs made inside"] > 1


def test_special_numbers_are_numbers_to_the_machine(bench):
    found = bench.special_numbers(0.02)
    assert set(found) == set(FOUND.results["numbers"])
    assert all(ratio > 0 for ratio in found.values())


def test_the_first_call_of_a_process_is_cold(bench):
    assert bench.first_calls(1)[0] > 3
    assert min(FOUND.results["first call of a process"]) > 3


@pytest.mark.by_turns
def test_busy_neighbours_change_times_more_than_ratios(bench):
    found = bench.with_a_neighbour(1, 0.2)
    assert set(found) == set(FOUND.results["neighbour"])
    told = FOUND.results["neighbour"]
    ratio = told["plain over fused, crowded"] / told["plain over fused, alone"]
    assert abs(ratio - 1) < 0.4 < 1.5 < told["time, crowded over alone"]


def test_the_work_of_smollm_is_counted_as_it_was():
    for name, (flops, moved, seconds) in FOUND.results["smollm"].items():
        work = smollm_work(*STEPS[name])
        assert (flops, moved) == (work.flops, work.moved_bytes)
        top = FOUND.results["ceilings"]
        floor = max(flops / top["flops"], moved / top["bandwidth"])
        assert 0.5 * floor < seconds
    assert set(FOUND.results["smollm"]) == set(STEPS)


def test_the_file_says_where_it_is_from():
    assert FOUND.provenance.command.startswith("python bench/timing.py --out book/data/timing.json")
