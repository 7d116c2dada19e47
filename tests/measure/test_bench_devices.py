"""The bench on a device that works by itself: what a run does with its shapes, memory and patience.

The device is a stand-in; what a CUDA device does is in test_gpu.py.
"""

import warnings
from dataclasses import replace

import pytest
import torch
from bench_cases import BASELINE, RIGHT
from torch.nn.functional import scaled_dot_product_attention

from attncourse.measure.bench import cuda, suites
from attncourse.measure.bench.case import Shape, Suite, self_attention
from attncourse.measure.bench.comparison import compare
from attncourse.measure.bench.instrument import Instrument, _copies
from attncourse.measure.bench.prepared import Prepared
from attncourse.measure.bench.runner import GROUP, run, steps
from attncourse.measure.roofline import Ceilings
from attncourse.measure.timing import Effort
from attncourse.mechanisms.dense.softmax import attention

SHAPES = Shape(h=2, d=8), Shape(h=2, d=16, dtype=torch.bfloat16)


class Clock:
    """Every call takes as long as it is said to, and is made."""

    def __init__(self, seconds=1.0):
        self.took = seconds
        self.calls = 0

    def seconds(self, call):
        call()
        self.calls += 1
        return self.took


def instrument(**options):
    ceilings = {"float32": Ceilings(1e9, 1e9), "bfloat16": Ceilings(4e9, 1e9)}
    made = Instrument(ceilings, clock=Clock(), peak=lambda call: 1, effort=Effort(2, 2))
    return replace(made, **options)


def suite(*cases, lengths=(8, 16), shapes=SHAPES):
    return Suite("test", BASELINE, cases, lengths, lengths[:1], shapes)


def failing(error, *lengths):
    def function(q, k, v):
        if q.shape[-2] in lengths:
            raise error
        return attention(q, k, v)

    return replace(RIGHT, mechanism="failing", function=function, differentiable=False)


def states(rows, mechanism):
    return [(r.n, r.state) for r in rows if r.mechanism == mechanism and r.d == SHAPES[0].d]


def test_every_shape_is_measured_with_its_own_ceiling():
    made = suite(RIGHT)
    told = []
    rows = run(made, instrument(), listen=told.append)
    assert len(rows) == 2 * 2 * 2
    assert {(r.batch, r.h, r.d, r.dtype) for r in rows} == {
        (1, 2, 8, "float32"),
        (1, 2, 16, "bfloat16"),
    }
    for row in rows:
        top = 1e9 if row.dtype == "float32" else 4e9
        assert row.floor_seconds == max(row.flops / top, row.moved_bytes / 1e9)
    # the baseline is checked but is no case of this suite, so that it has no rows
    assert len(told) == steps(made) - 2 * 2 * 2


def test_exponents_belong_to_one_shape():
    rows = run(suite(RIGHT), instrument())
    assert [r.exponent for r in rows] == [None, 0.0] * 4


def test_a_case_that_takes_no_such_dtype_is_left_out():
    half = replace(RIGHT, dtypes=(torch.bfloat16,))
    assert {r.dtype for r in run(suite(half), instrument())} == {"bfloat16"}


def test_work_that_pytorch_cannot_count_is_given_by_a_formula():
    case = replace(RIGHT, work=lambda size, backward: size.n * (3 if backward else 1))
    rows = run(suite(case, shapes=SHAPES[:1]), instrument())
    assert [r.flops for r in rows] == [8, 16, 24, 48]


def test_how_long_python_takes_is_told_where_the_device_works_on():
    rows = run(suite(RIGHT), instrument(launch=lambda call: 0.25))
    assert {r.launch_seconds for r in rows} == {0.25}
    assert {r.launch_seconds for r in run(suite(RIGHT), instrument())} == {None}


def test_what_would_take_too_long_is_not_tried_and_says_how_long():
    clock = Clock(3.0)
    patient = instrument(clock=clock, effort=Effort(2, 2, patience=13.0))
    rows = run(suite(RIGHT, lengths=(8, 16, 64)), patient)
    # expected: 3 s * 2^2 at 16, and 3 s * 4^2 at 64
    assert states(rows, "dense") == [(8, "measured"), (16, "measured"), (64, "too slow")] * 2
    late = [r for r in rows if r.state == "too slow"]
    assert {r.remark for r in late} == {"about 48 s a call expected, more than 13 s"}
    assert {(r.seconds, r.ratio, r.peak_bytes) for r in late} == {(None,) * 3}


def test_what_ran_out_of_memory_is_not_tried_at_greater_lengths():
    tried = []
    short = failing(torch.OutOfMemoryError("CUDA out of memory"), 16)

    def spy(q, k, v):
        tried.append(q.shape[-2])
        return short.function(q, k, v)

    spied = replace(short, function=spy)
    rows = run(suite(spied, RIGHT, lengths=(8, 16, 32)), instrument())
    assert states(rows, "failing") == [
        (8, "measured"),
        (16, "out of memory"),
        (32, "out of memory"),
    ]
    assert 32 not in tried
    assert [r.remark for r in rows if r.n == 32 and r.mechanism == "failing"] == ["as before"] * 2


def test_a_baseline_without_memory_is_a_result_of_the_whole_length():
    def short(q, k, v):
        if q.shape[-2] == 16:
            raise MemoryError
        return scaled_dot_product_attention(q, k, v)

    made = replace(suite(RIGHT), baseline=replace(BASELINE, function=short))
    rows = run(made, instrument())
    assert states(rows, "dense") == [(8, "measured"), (16, "out of memory")] * 2
    assert {r.remark for r in rows if r.n == 16} == {"of the baseline, full · torch"}


def test_what_there_is_is_kept_after_every_length():
    kept = []
    rows = run(suite(RIGHT), instrument(), keep=lambda now: kept.append(len(now)))
    assert kept == list(range(1, len(rows) + 1))


def test_each_call_takes_the_next_copy_of_its_inputs():
    seen = []
    case = replace(RIGHT, function=lambda q, k, v: seen.append(q.data_ptr()) or q)
    inputs = self_attention(Shape().of(8))
    call = Prepared(case, inputs, "forward", copies=lambda size: 3)
    for _ in range(6):
        call()
    assert len(set(seen)) == 3
    assert seen[:3] == seen[3:]
    assert seen[0] == inputs[0].data_ptr()


def test_copies_fill_the_cache_twice_and_are_never_many():
    assert [_copies(100, size) for size in (0, 1, 50, 100, 150, 1000)] == [8, 8, 5, 3, 2, 1]


def test_inputs_are_made_once_for_all_cases_of_a_group():
    made = []

    def inputs(size):
        made.append(size.n)
        return self_attention(size)

    cases = [replace(RIGHT, mechanism=f"{i}", inputs=inputs) for i in range(3)]
    run(suite(*cases, lengths=(8,), shapes=SHAPES[:1]), instrument())
    assert made.count(8) == 2  # once for each direction


def test_cases_are_measured_one_by_one_where_memory_is_scarce():
    clock = Clock()
    cases = [replace(RIGHT, mechanism=f"{i}") for i in range(GROUP)]
    scarce = instrument(clock=clock, free=lambda: 1e5)
    run(suite(*cases, lengths=(8,), shapes=SHAPES[:1]), scarce)
    assert clock.calls == 2 * 2 * GROUP * 2  # directions, rounds, cases, each with the baseline


# The suites for a CUDA device, as far as a CPU can tell


@pytest.mark.parametrize("name", suites.SUITES)
def test_suites_for_cuda_hold_what_is_measured_there(name):
    made = suites.SUITES[name]("cuda")
    assert made.baseline in made.cases
    names = [case.name for case in made.cases]
    assert len(names) == len(set(names))
    assert {(s.d, s.dtype) for s in made.shapes} == {
        (d, dtype) for d in (64, 128) for dtype in (torch.bfloat16, torch.float32)
    }
    assert {s.h for s in made.shapes} == {16}
    assert set(made.quick_lengths) < set(made.lengths) | {1024}


def test_every_kernel_and_every_way_of_pytorchs_stands_in_the_suite_of_kernels():
    names = [case.name for case in suites.kernels("cuda").cases]
    for backend in cuda.BACKENDS:
        assert f"full, causal · PyTorch, {backend}" in names
    assert sum(name.endswith("FlexAttention") for name in names) == 2
    assert sum(name.endswith("Triton") for name in names) == len(cuda.kernels())


@pytest.mark.parametrize("pairs", [cuda.all_pairs, cuda.past_pairs, cuda.window_pairs])
@pytest.mark.parametrize("n", [1, 100, 257, 700])
def test_pairs_are_counted_as_a_mask_does(pairs, n):
    i, j = torch.arange(n)[:, None], torch.arange(n)
    masks = {
        cuda.all_pairs: torch.ones(n, n, dtype=torch.bool),
        cuda.past_pairs: cuda.sees_past(n)(i, i, i, j),
        cuda.window_pairs: cuda.sees_window(n)(i, i, i, j),
    }
    assert pairs(n) == int(masks[pairs].sum())
    work = cuda.pairs_work(pairs)
    size = Shape(batch=2, h=3, d=5).of(n)
    assert work(size, False) == 2 * 3 * pairs(n) * 4 * 5
    assert work(size, True) == 2 * 3 * pairs(n) * 14 * 5


@pytest.mark.parametrize("case", [c for c in cuda.SDPA if "math" in c.name], ids=lambda c: c.name)
def test_pytorchs_attention_by_a_named_kernel_equals_the_definition(case):
    assert compare(case, Shape(d=16), backward=True).right


@pytest.mark.parametrize("case", cuda.kernels(), ids=lambda case: case.name)
def test_our_kernels_equal_their_definitions_through_the_interpreter(case):
    short = replace(case, check_length=40)
    assert compare(short, Shape(d=16), backward=True).right


@pytest.mark.parametrize("case", cuda.FLEX, ids=lambda case: case.name)
def test_flex_attention_equals_the_definition_uncompiled(case, monkeypatch):
    from torch.nn.attention.flex_attention import flex_attention

    monkeypatch.setattr(cuda, "compiled_flex", lambda: flex_attention)
    short = replace(case, check_length=70)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's, that it is not compiled
        assert compare(short, Shape(d=16), backward=False).right
