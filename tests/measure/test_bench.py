"""The bench: what is wrong is never timed, what fails is a result, files keep a schema."""

import io
import json
import math
import platform
from dataclasses import asdict, replace

import jsonschema
import pytest
import torch
from bench_cases import BASELINE, RIGHT
from rich.console import Console

from attncourse.measure.bench import instrument as bench_instrument
from attncourse.measure.bench import runner
from attncourse.measure.bench.case import Shape, Suite, self_attention
from attncourse.measure.bench.comparison import compare
from attncourse.measure.bench.instrument import Instrument
from attncourse.measure.bench.provenance import commit, processor, provenance
from attncourse.measure.bench.report import (
    FORMAT,
    Report,
    Row,
    from_json,
    schema,
    to_json,
)
from attncourse.measure.bench.runner import run, steps, with_exponents
from attncourse.measure.bench.session import measure
from attncourse.measure.bench.suites import SUITES
from attncourse.measure.bench.table import ESSENTIAL, LEGEND, heading, tables
from attncourse.measure.cost import flops
from attncourse.measure.memory import peak_bytes
from attncourse.measure.roofline import Ceilings
from attncourse.measure.timing import Effort, Spread
from attncourse.mechanisms.dense.softmax import attention

CASES = [case for make in SUITES.values() for case in make().cases]


class Clock:
    """A clock that makes every call and finds that it took as long as its turn says."""

    def __init__(self, *seconds):
        self.times = seconds or (1.0,)
        self.turn = 0

    def seconds(self, call):
        call()
        self.turn += 1
        return self.times[(self.turn - 1) % len(self.times)]


def gauge(call):
    """In place of the profiler, which takes its time."""
    call()
    return 100


def instrument(*seconds, rounds=2, **options):
    effort = Effort(least=rounds, most=rounds)
    made = Instrument(
        {"float32": Ceilings(1e9, 1e9)}, clock=Clock(*seconds), peak=gauge, effort=effort
    )
    return replace(made, **options)


def suite(*cases, lengths=(8, 16)):
    return Suite("test", BASELINE, cases, lengths=lengths, quick_lengths=lengths[:1])


def run_without_baseline(made, *arguments, **options):
    """The rows of a run but for those of the baseline, which stand first in their group."""
    return [r for r in run(made, *arguments, **options) if r.mechanism != "full"]


def row(**changes):
    plain = Row("s", "m", "i", "forward", 8, "measured", "", 2.0, seconds=Spread(1.0, 1.0, 1.0))
    return replace(plain, **changes)


def report(*rows):
    return Report(FORMAT, provenance("attncourse bench"), {"float32": Ceilings(1e9, 2e9)}, rows)


# What is measured


def test_every_case_is_measured_at_every_length_in_both_directions():
    rows = run(suite(BASELINE, RIGHT), instrument())
    expected = [
        (direction, n, case.name)
        for direction in ("forward", "forward+backward")
        for n in (8, 16)
        for case in (BASELINE, RIGHT)
    ]
    assert [(r.direction, r.n, f"{r.mechanism} · {r.implementation}") for r in rows] == expected
    assert {r.state for r in rows} == {"measured"}
    assert all(r.error < 1e-5 and r.peak_bytes == 100 for r in rows)


def test_times_and_ratios_are_taken_round_by_round():
    found = run_without_baseline(suite(RIGHT, lengths=(8,)), instrument(2.0, 6.0, 5.0, 1.0))
    # two rounds, the second backwards: baseline 2 and 1, the case 6 and 5
    assert found[0].seconds == Spread(5.5, 5.25, 5.75)
    assert found[0].ratio == Spread(4.0, 3.5, 4.5)
    assert found[0].samples == 2


def test_the_baseline_over_itself_is_one():
    found = run(suite(BASELINE, RIGHT), instrument(2.0, 3.0, 7.0, rounds=5))
    assert {r.ratio for r in found if r.mechanism == "full"} == {Spread(1.0, 1.0, 1.0)}


def test_groups_are_small_and_each_holds_the_baseline():
    cases = [replace(RIGHT, mechanism=f"dense {i}") for i in range(2 * runner.GROUP + 1)]
    clock = Clock(3.0)
    rows = run_without_baseline(suite(*cases, lengths=(8,)), instrument(clock=clock))
    assert len(rows) == 2 * len(cases)
    groups = -(-(len(cases) + 1) // runner.GROUP)  # the baseline is in the first one itself
    assert clock.turn == 2 * 2 * (len(cases) + groups)  # directions, rounds, cases and baselines


def test_flops_are_counted_and_floors_follow_from_the_ceilings():
    found = run_without_baseline(suite(RIGHT, lengths=(8,)), instrument())
    inputs = self_attention(Shape().of(8))
    work = flops(attention, *inputs)
    assert found[0].flops == work == 4 * 8 * 8 * 8 * 64
    moved = 4 * inputs[0].nbytes
    assert found[0].floor_seconds == pytest.approx(max(work, moved) / 1e9)
    assert found[1].flops > 2.5 * work


def test_the_incoming_gradient_is_there_before_and_counts_as_no_memory():
    case = replace(RIGHT, function=lambda q, k, v: q + k, definition=lambda q, k, v: q + k)
    found = run_without_baseline(suite(case, lengths=(8,)), instrument(peak=peak_bytes))
    size = self_attention(Shape().of(8))[0].nbytes
    assert found[0].peak_bytes == size
    assert found[1].peak_bytes <= 4 * size


def test_a_case_is_left_out_where_it_is_too_long_or_has_no_backward_pass():
    short, forward = (
        replace(RIGHT, longest=8),
        replace(RIGHT, mechanism="forward", differentiable=False),
    )
    rows = run_without_baseline(suite(short, forward), instrument())
    found = [(r.mechanism, r.direction, r.n) for r in rows]
    assert found == [
        ("dense", "forward", 8),
        ("forward", "forward", 8),
        ("forward", "forward", 16),
        ("dense", "forward+backward", 8),
    ]


def test_native_inputs_are_made_outside_of_the_clock_and_results_turned_back():
    made = []

    def tokens_first(q, k, v):
        made.append(q.shape)
        return tuple(x.transpose(1, 2).contiguous() for x in (q, k, v))

    def in_other_layout(q, k, v):
        return attention(*(x.transpose(1, 2) for x in (q, k, v))).transpose(1, 2)

    case = replace(
        RIGHT,
        function=in_other_layout,
        native=tokens_first,
        result=lambda out: out.transpose(1, 2),
    )
    rows = run_without_baseline(suite(case, lengths=(8,)), instrument(rounds=7))
    assert {r.state for r in rows} == {"measured"}
    assert made.count(torch.Size([1, 8, 8, 64])) == 2  # once for each direction


def test_quick_runs_are_shorter_and_every_step_is_told():
    told = []
    made = suite(BASELINE, RIGHT, lengths=(8, 16))
    assert {r.n for r in run(made, instrument(), quick=True, listen=told.append)} == {8}
    assert len(told) == steps(made, quick=True) == 8
    assert told[0] == "checking full · torch, forward"
    assert told[3] == "dense · attncourse, n = 8, forward"
    assert steps(made) == 12


# What is wrong


def wrong_values(q, k, v):
    return 1.01 * attention(q, k, v)


def wrong_shape(q, k, v):
    return attention(q, k, v)[..., :3]


def not_a_number(q, k, v):
    return attention(q, k, v) * math.nan


class WrongGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx, q, k, v):
        return attention(q, k, v)

    @staticmethod
    def backward(ctx, grad):
        return grad, grad, grad


@pytest.mark.parametrize("function", [wrong_values, wrong_shape, not_a_number])
def test_a_wrong_function_is_reported_and_never_timed(function):
    timed = []

    def spy(q, k, v):
        timed.append(q.shape[-2])
        return function(q, k, v)

    rows = run_without_baseline(suite(replace(RIGHT, function=spy), lengths=(8,)), instrument())
    assert [r.state for r in rows] == ["wrong", "wrong"]
    assert set(timed) == {RIGHT.check_length}
    for found in rows:
        assert found.n == RIGHT.check_length
        assert found.remark.startswith("differs from its definition by ")
        assert (found.seconds, found.ratio, found.peak_bytes, found.flops) == (None,) * 4
    expected = pytest.approx(0.01, rel=1e-3) if function is wrong_values else None
    assert rows[0].error == expected


def test_a_wrong_gradient_is_reported_where_the_value_is_right():
    rows = run_without_baseline(
        suite(replace(RIGHT, function=WrongGradient.apply), lengths=(8,)), instrument()
    )
    assert [(r.direction, r.state) for r in rows] == [
        ("forward", "measured"),
        ("forward+backward", "wrong"),
    ]


def test_an_error_is_relative_to_the_largest_entry_in_float64():
    assert compare(RIGHT, Shape(), backward=False).error < 1e-6
    scaled = replace(RIGHT, function=wrong_values)
    assert compare(scaled, Shape(), backward=False).error == pytest.approx(0.01, rel=1e-3)
    unused = replace(RIGHT, function=lambda q, k, v: v * 1, definition=lambda q, k, v: v * 1)
    assert compare(unused, Shape(), backward=True).error < 1e-6


def test_half_precision_may_err_twice_as_much_as_its_definition_and_no_more():
    half = Shape(dtype=torch.bfloat16)
    found = compare(RIGHT, half, backward=True)
    assert found.right
    assert 1e-3 < found.error < found.allowed < 0.05
    off = replace(RIGHT, function=lambda q, k, v: attention(q, k, v) * 1.1)
    assert not compare(off, half, backward=True).right
    assert compare(RIGHT, Shape(), backward=True).allowed == RIGHT.tolerance


def test_a_wrong_baseline_ends_the_run():
    wrong = replace(BASELINE, function=wrong_values)
    with pytest.raises(RuntimeError, match="the baseline full · torch is wrong: differs"):
        run(replace(suite(RIGHT), baseline=wrong), instrument())


# What fails


def failing(n, error):
    def function(q, k, v):
        if q.shape[-2] == n:
            raise error
        return attention(q, k, v)

    return replace(RIGHT, mechanism="failing", function=function)


OUT_OF_MEMORY = [
    MemoryError(),
    RuntimeError("DefaultCPUAllocator: can't allocate memory"),
    torch.OutOfMemoryError("CUDA out of memory"),
]


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=lambda error: type(error).__name__)
def test_memory_that_runs_out_is_a_result_and_the_others_go_on(error):
    rows = run_without_baseline(suite(failing(16, error), RIGHT), instrument())
    states = {(r.mechanism, r.n): r.state for r in rows}
    assert states == {
        ("failing", 8): "measured",
        ("failing", 16): "out of memory",
        ("dense", 8): "measured",
        ("dense", 16): "measured",
    }


def test_any_other_error_is_a_result_with_its_first_line():
    rows = run_without_baseline(suite(failing(16, ValueError("no\nmore")), RIGHT), instrument())
    failed = [r for r in rows if r.mechanism == "failing" and r.n == 16]
    assert [(r.state, r.remark, r.seconds) for r in failed] == [
        ("failed", "ValueError: no", None)
    ] * 2


def test_an_error_in_the_check_is_a_result():
    rows = run_without_baseline(suite(failing(20, ValueError("never"))), instrument())
    assert [(r.state, r.remark) for r in rows] == [("failed", "ValueError: never")] * 2


def test_an_error_that_comes_only_while_the_clock_runs_drops_that_case_alone():
    calls = []

    def fails_at_last(q, k, v):
        calls.append(q.shape)
        if len(calls) > 3 and q.shape[-2] == 8:
            raise MemoryError
        return attention(q, k, v)

    case = replace(RIGHT, mechanism="late", function=fails_at_last, differentiable=False)
    rows = run_without_baseline(suite(case, RIGHT, lengths=(8,)), instrument(rounds=5))
    late, dense = (r for r in rows if r.direction == "forward")
    assert (late.state, late.seconds) == ("out of memory", None)
    assert (dense.state, dense.samples) == ("measured", 5)


# Exponents


def test_an_exponent_compares_a_length_with_its_half():
    times = {8: 1.0, 16: 4.0, 32: 8.0, 128: 9.0}
    rows = [row(n=n, seconds=Spread(s, s, s)) for n, s in times.items()]
    assert [r.exponent for r in with_exponents(rows)] == [None, 2.0, 1.0, None]


def test_exponents_do_not_mix_directions_cases_or_suites():
    first = row(n=8)
    others = [
        row(n=16, direction="forward+backward"),
        row(n=16, mechanism="other"),
        row(n=16, implementation="other"),
        row(n=16, suite="other"),
        row(n=16, seconds=None, state="failed"),
    ]
    assert [r.exponent for r in with_exponents([first, *others])] == [None] * 6


# The file


def test_a_report_is_the_same_after_it_was_written_and_read():
    rows = run(suite(RIGHT, replace(RIGHT, mechanism="x", function=wrong_values)), instrument())
    made = report(*rows)
    assert from_json(to_json(made)) == made
    assert json.loads(to_json(made))["format"] == "attncourse-bench/2"


def test_the_schema_is_one_and_reports_keep_it():
    jsonschema.Draft202012Validator.check_schema(schema())
    made = json.loads(to_json(report(row(), row(seconds=None, state="failed", remark="E"))))
    jsonschema.validate(made, schema())


@pytest.mark.parametrize(
    ("path", "value", "place"),
    [
        (["rows", 0, "n"], "8", "rows/0/n"),
        (["rows", 0, "state"], "great", "rows/0/state"),
        (["rows", 0, "seconds"], 1.0, "rows/0/seconds"),
        (["rows", 0, "extra"], 1, "rows/0"),
        (["format"], "attncourse-bench/1", "format"),
        (["provenance", "host"], "me", "provenance"),
        (["ceilings"], None, "ceilings"),
        (["ceilings", "float32"], {}, "ceilings/float32"),
        (["complete"], 1, "complete"),
    ],
)
def test_a_file_that_does_not_keep_it_is_refused_with_the_place(path, value, place):
    data = json.loads(to_json(report(row())))
    inner = data
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    with pytest.raises(
        ValueError, match="a bench file must keep attncourse-bench/2: got "
    ) as caught:
        from_json(json.dumps(data))
    assert str(caught.value).endswith(f" at {place}")


def test_what_is_no_json_is_refused():
    with pytest.raises(ValueError, match="a bench file must be JSON: got "):
        from_json("my results")


def test_provenance_names_the_machine_and_no_one():
    made = provenance("attncourse bench --quick", ["click"])
    assert made.threads == torch.get_num_threads()
    assert made.torch == torch.__version__
    assert made.cores >= 1
    assert made.device == processor() != ""
    assert set(made.packages) == {"click"}
    assert platform.node() not in json.dumps(asdict(made))
    assert "/" not in made.device + made.system


def test_a_folder_without_history_has_no_commit(tmp_path):
    assert commit(tmp_path) == "unknown"


# The table


def text_of(made, width=200):
    console = Console(width=width, record=True, file=io.StringIO())
    for table in tables(made, width=width):
        console.print(table)
    return console.export_text()


def test_on_a_narrow_terminal_the_table_keeps_what_matters_and_cuts_nothing():
    wrong = replace(RIGHT, mechanism="x", function=wrong_values)
    text = text_of(report(*run(suite(BASELINE, RIGHT, wrong), instrument(0.5))), width=80)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 80
    header = text.splitlines()[1].split("  ")
    assert [h.strip() for h in header if h.strip()] == ["mechanism", *ESSENTIAL]
    assert text.count("x: wrong: differs from its") == 2  # one for each direction
    assert "1.000" in text


def test_the_table_has_a_line_for_each_row_and_says_what_is_wrong():
    rows = run(
        suite(BASELINE, RIGHT, replace(RIGHT, mechanism="x", function=wrong_values)),
        instrument(0.5),
    )
    text = text_of(report(*rows))
    lines = text.splitlines()
    assert [line for line in lines if line.startswith("test, ")] == [
        line for line in lines if line.startswith(("test, forward", "test, forward+backward"))
    ]
    assert sum(line.lstrip().startswith("dense") for line in lines) == 4
    assert sum("wrong: differs from its definition by 0.01" in line for line in lines) == 2
    assert "500" in text
    assert "1.000 (1.000 to 1.000)" in text


def test_the_heading_names_the_ceilings():
    assert heading(report()).endswith("matrix products 1 GFLOP/s in float32; a copy 2.0 GB/s")
    assert "GFLOP" not in heading(replace(report(), ceilings={}))
    assert "quartiles" in LEGEND


# The real thing


def test_names_of_cases_are_different_within_a_suite():
    for make in SUITES.values():
        names = [case.name for case in make().cases]
        assert len(names) == len(set(names))
        assert make().baseline in make().cases


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_case_equals_its_definition(case):
    assert compare(case, Shape(), backward=case.differentiable).right


def test_a_real_run_gives_a_report_that_keeps_the_schema(monkeypatch):
    monkeypatch.setattr(bench_instrument, "measured_ceilings", lambda **_: Ceilings(1e9, 1e9))
    made = suite(BASELINE, RIGHT, lengths=(16, 32))
    found = measure([made], "attncourse bench --quick", quick=True)
    assert from_json(to_json(found)) == found
    assert found.provenance.command == "attncourse bench --quick"
    assert all(r.seconds.median > 0 and r.samples >= 3 for r in found.rows)
