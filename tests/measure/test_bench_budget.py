"""A run that has so many minutes, on a stand-in with a clock and a memory of its own.

Time passes only where the stand-in says so: each call takes what its length makes it take.
"""

import math
from dataclasses import replace

import pytest
import torch
from bench_cases import BASELINE, RIGHT

from attncourse.measure.bench import card as cards
from attncourse.measure.bench import cuda, suites
from attncourse.measure.bench.budget import (
    BESIDE_ROUNDS,
    Budget,
    by_worth,
    cost,
    expected_bytes,
    expected_seconds,
    left_out,
    no_memory,
    no_time,
)
from attncourse.measure.bench.card import Card, card_found
from attncourse.measure.bench.case import Case, Shape, Suite
from attncourse.measure.bench.instrument import Instrument
from attncourse.measure.bench.provenance import provenance
from attncourse.measure.bench.report import Report, Row, from_json, to_json
from attncourse.measure.bench.runner import run
from attncourse.measure.bench.session import measure
from attncourse.measure.bench.table import tables
from attncourse.measure.roofline import Ceilings
from attncourse.measure.timing import Effort, Spread

SHAPE = Shape(h=2, d=8)
EFFORT = Effort(least=2, most=2, seconds=0.0, patience=1e6)
ROW = Row("s", "m", "attncourse", "forward", 8, "measured", "", 2.0)


class Watch:
    """A clock that stands still unless it is moved."""

    def __init__(self):
        self.time = 0.0

    def __call__(self):
        return self.time


class StandIn:
    """The clock of a device on which a call takes seconds(n); the listener is told n."""

    def __init__(self, watch, seconds):
        self.watch, self.took = watch, seconds
        self.n = 0

    def seconds(self, call):
        call()
        self.watch.time += self.took(self.n)
        return self.took(self.n)

    def listen(self, what):
        if ", n = " in what:
            self.n = int(what.split(", n = ")[1].split(",")[0])


def stand_in(seconds, *, free=math.inf, peak=lambda call: 1, card=None):
    watch = Watch()
    clock = StandIn(watch, seconds)
    top = {"float32": Ceilings(1e9, 1e9)}
    made = Instrument(top, clock=clock, peak=peak, effort=EFFORT, free=lambda: free, card=card)
    return made, watch, clock.listen


def suite(*cases, lengths=(8, 16, 32, 64)):
    return Suite("test", BASELINE, (BASELINE, *cases), lengths, lengths[:1], (SHAPE,))


def forward(rows, mechanism="full"):
    """(n, state) of a mechanism's forward rows."""
    wanted = [r for r in rows if r.direction == "forward" and r.mechanism == mechanism]
    return [(r.n, r.state) for r in wanted]


def timed(n, seconds, **options):
    return replace(ROW, n=n, seconds=Spread(seconds, seconds, seconds), **options)


# Time


def test_without_a_budget_nothing_is_left_out():
    device, watch, listen = stand_in(lambda n: 1e3 * n)
    rows = run(suite(RIGHT), device, listen=listen)
    assert left_out(rows) == {}
    assert watch.time > 0


def test_lengths_are_measured_while_the_next_one_is_expected_to_fit():
    """n^2 ms a call: 64 ms at 8, then 0.26, 1.0 and 4.1 s; 2 rounds and 6 calls beside them."""
    device, watch, listen = stand_in(lambda n: n * n / 1e3)
    rows = run(suite(), device, listen=listen, budget=Budget(20.0, watch))
    assert forward(rows) == [
        (8, "measured"),
        (16, "measured"),
        (32, "measured"),
        (64, "left out"),
    ]
    late = next(r for r in rows if r.state == "left out")
    spent = 2 * (0.064 + 0.256 + 1.024)
    wanted, left = 4.096 * (2 + BESIDE_ROUNDS), 20 / 2 - spent
    assert late.remark == f"time: about {wanted:.1f} s wanted, {left:.1f} s are left"
    assert late.seconds is None


def test_the_run_ends_within_its_budget():
    for seconds in (0.5, 3.0, 20.0, 100.0):
        device, watch, listen = stand_in(lambda n: n * n / 1e3)
        rows = run(suite(RIGHT), device, listen=listen, budget=Budget(seconds, watch))
        assert watch.time <= seconds + 0.3  # a first call that nobody could foresee
        assert len(rows) == 2 * 2 * 4  # and every measurement is a row, made or not


def test_half_of_the_time_is_kept_for_the_way_back():
    device, watch, listen = stand_in(lambda n: n * n / 1e3)
    rows = run(suite(), device, listen=listen, budget=Budget(20.0, watch))
    backward = [r.state for r in rows if r.direction != "forward"]
    assert backward.count("measured") >= 3


def test_a_spent_budget_leaves_out_everything_and_says_so():
    device, watch, listen = stand_in(lambda n: 1.0)
    rows = run(suite(RIGHT), device, listen=listen, budget=Budget(0.0, watch))
    assert {r.state for r in rows} == {"left out"}
    assert {r.remark for r in rows} == {"time: none is left"}
    assert left_out(rows) == {"time": 16}
    assert watch.time == 0


def test_without_the_baseline_a_length_is_left_out_whole():
    """The plain form is said to grow with n alone; without its baseline it has no ratio."""
    slow = replace(RIGHT, growth=1.0)
    device, watch, listen = stand_in(lambda n: n * n / 1e3)
    rows = run(suite(slow), device, listen=listen, budget=Budget(24.0, watch))
    last = [r for r in rows if r.n == 64 and r.direction == "forward"]
    assert [r.state for r in last] == ["left out"] * 2
    assert last[1].remark == "baseline: left out at this length"


def test_every_suite_gets_its_share(monkeypatch):
    device, watch, listen = stand_in(lambda n: n * n / 1e3)
    monkeypatch.setattr(
        "attncourse.measure.bench.session.instrument_for", lambda *args, **options: device
    )
    two = [suite(), replace(suite(), name="second")]
    report = measure(two, "attncourse bench", listen=listen, budget=Budget(12.0, watch))
    done = {s.name: [r for r in report.rows if r.suite == s.name and r.seconds] for s in two}
    assert done["test"]
    assert done["second"]
    assert watch.time <= 12.5


def test_what_is_wanted_most_comes_first():
    other = replace(RIGHT, mechanism="a", implementation="somebody")
    kernel = replace(RIGHT, mechanism="b", implementation="attncourse, Triton")
    theirs = replace(RIGHT, mechanism="c", implementation="PyTorch, flash")
    found = by_worth([other, theirs, kernel, RIGHT, BASELINE], BASELINE)
    assert found == [BASELINE, RIGHT, kernel, theirs, other]


def test_the_time_of_a_call_grows_as_its_counted_work():
    case = replace(RIGHT, growth=1.0, work=lambda size, backward: size.n**3)
    assert expected_seconds(case, 32, [timed(8, 1.0), timed(16, 2.0)]) == 2.0 * 2**3
    assert expected_seconds(RIGHT, 32, [timed(16, 2.0)]) == 2.0 * 2**2  # by theory, n^2
    assert expected_seconds(RIGHT, 32, []) is None
    assert expected_seconds(RIGHT, 16, [timed(16, 2.0)]) is None


def test_what_measuring_costs_is_rounds_and_what_is_beside_them():
    effort = Effort(least=2, most=10, seconds=1.0)
    assert cost(0.2, effort) == pytest.approx(0.2 * (5 + BESIDE_ROUNDS))
    assert cost(10.0, effort) == 10.0 * (2 + BESIDE_ROUNDS)
    assert cost(0.001, effort) == pytest.approx(0.001 * (10 + BESIDE_ROUNDS))
    assert no_time(1.0, effort, 8.0) == ""
    assert no_time(None, effort, 0.1) == ""
    assert no_time(1.0, effort, 7.9) == "time: about 8.0 s wanted, 7.9 s are left"


# Memory


def test_a_length_that_does_not_fit_into_the_card_is_left_out():
    """Peaks of n^2 KiB: at 64 it would be 4 MiB, and 3 are free."""
    peaks = iter([8 * 8, 16 * 16, 32 * 32] * 2)
    device, _, listen = stand_in(
        lambda n: 1.0, free=3 * 2**20, peak=lambda call: next(peaks) * 1024
    )
    rows = run(suite(), device, listen=listen)
    assert forward(rows) == [
        (8, "measured"),
        (16, "measured"),
        (32, "measured"),
        (64, "left out"),
    ]
    assert left_out(rows) == {"memory": 2}
    assert [r.remark for r in rows if r.state == "left out"] == [
        "memory: about 0.0 GiB wanted, 0.0 GiB are free"
    ] * 2


def test_the_peak_grows_on_as_it_did():
    measured = [replace(ROW, n=n, peak_bytes=n**2) for n in (8, 16)]
    assert expected_bytes(64, 100, measured) == pytest.approx(100 + 64**2)
    assert expected_bytes(64, 100, measured[:1]) == 100 + 8**2 * 8
    assert expected_bytes(64, 100, []) == 100
    shrinking = [replace(ROW, n=8, peak_bytes=64), replace(ROW, n=16, peak_bytes=32)]
    assert expected_bytes(64, 0, shrinking) == 32


def test_what_is_free_is_said_in_gibibytes():
    assert no_memory(0.9 * 2**34, 2**34) == ""
    said = "memory: about 15.0 GiB wanted, 16.0 GiB are free"
    assert no_memory(15 * 2**30, 2**34) == said


# The card


def test_a_card_without_the_capability_leaves_the_case_out():
    new = replace(RIGHT, mechanism="new", capability=80)
    device, _, listen = stand_in(lambda n: 1.0, card=Card(75))
    rows = run(suite(new, lengths=(8, 16)), device, listen=listen)
    assert forward(rows, "new") == [(8, "left out"), (16, "left out")]
    assert {r.remark for r in rows if r.mechanism == "new"} == {
        "card: needs compute capability 8.0, this is 7.5"
    }
    assert left_out(rows) == {"card": 4}


def test_what_was_written_for_nvidia_is_not_tried_on_amd():
    theirs = replace(RIGHT, mechanism="theirs", nvidia=True, capability=80)
    assert Card(94, amd=True).lacks(theirs) == "card: written for NVIDIA, not tried on AMD"
    assert Card(94, amd=True).lacks(RIGHT) == ""
    assert Card(90).lacks(theirs) == ""


def test_half_precision_is_that_of_the_card():
    assert Card(75).half == torch.float16
    assert Card(89).half == Card(90).half == torch.bfloat16
    assert Card(94, amd=True).half == torch.bfloat16


@pytest.mark.parametrize("name", suites.SUITES)
def test_a_t4_is_measured_in_float16(name, monkeypatch):
    monkeypatch.setattr(suites, "card_found", lambda: Card(75))
    shapes = suites.SUITES[name]("cuda").shapes
    assert {shape.dtype for shape in shapes} == {torch.float16, torch.float32}


def test_a_t4_runs_our_kernels_and_counts_what_it_does_not():
    cases = (*cuda.SDPA, *cuda.FLEX, *cuda.kernels())
    lacking = {case.implementation for case in cases if Card(75).lacks(case)}
    assert lacking == {"PyTorch, flash", "PyTorch, cuDNN", "FlexAttention"}
    on_amd = {case.implementation for case in cases if Card(94, amd=True).lacks(case)}
    assert on_amd == {"PyTorch, cuDNN", "FlexAttention", "attncourse, Triton"}


def test_the_card_is_asked_what_it_is(monkeypatch):
    assert card_found("cpu") is None
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    assert card_found() == Card(75)
    monkeypatch.setattr(cards.torch.version, "hip", "6.2", raising=False)
    assert card_found() == Card(75, amd=True)


def test_what_was_left_out_is_written_and_read_again():
    rows = (replace(ROW, state="left out", remark="time: none is left"),)
    device, watch, listen = stand_in(lambda n: 1.0)
    made = run(suite(), device, listen=listen, budget=Budget(0.0, watch))
    report = Report("attncourse-bench/2", provenance("attncourse bench"), {}, (*rows, *made))
    assert from_json(to_json(report)) == report


def test_a_case_has_no_demands_unless_it_says_so():
    case = Case("x", RIGHT.function, RIGHT.definition)
    assert (case.capability, case.nvidia) == (0, False)


def test_kernels_that_need_triton_are_counted_where_it_is_not(monkeypatch):
    assert len(cuda.kernels()) == cuda.KERNELS
    assert cuda.without_triton() == 0
    monkeypatch.setattr(cuda, "find_spec", lambda name: None)
    assert (cuda.kernels(), cuda.without_triton()) == ((), 4)


def test_what_was_left_out_has_no_line_in_the_tables():
    done = timed(8, 1.0)
    late = replace(ROW, n=16, mechanism="late", state="left out", remark="time: none is left")
    about = provenance("attncourse bench")
    (table,) = tables(Report("attncourse-bench/2", about, {}, (done, late)))
    assert table.row_count == 1
    assert tables(Report("attncourse-bench/2", about, {}, (late,))) == []
