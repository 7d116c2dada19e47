"""What a quick run would do on a card that is not here: its plan, and the least time, by hand."""

from dataclasses import replace

import pytest
import torch
from bench_cases import BASELINE, RIGHT

from attncourse.measure.bench import suites
from attncourse.measure.bench.case import Shape, Suite
from attncourse.measure.bench.plan import planned, summary
from attncourse.measure.devices import devices

SHAPES = Shape(h=2, d=8, dtype=torch.bfloat16), Shape(h=2, d=8)
T4, H100, MI300X = (devices()[name] for name in ("T4", "H100", "MI300X"))


def suite(*cases):
    return Suite("test", BASELINE, (BASELINE, *cases), (64, 128), (64,), SHAPES)


def of(plan, name):
    return [each for each in plan if each.case.startswith(name)]


def test_a_plan_names_every_measurement_in_the_formats_of_the_card():
    plan = planned([suite(RIGHT)], T4)
    assert len(plan) == 2 * 2 * 2  # formats, cases, directions
    assert {each.shape.dtype for each in plan} == {torch.float16, torch.float32}
    assert {each.shape.dtype for each in planned([suite()], H100)} == {
        torch.bfloat16,
        torch.float32,
    }


def test_its_seconds_are_those_of_the_counts_by_hand():
    """2 heads, n = 64, d = 8: 4 matrices of 2 KiB in float16 move; the FLOPs take less."""
    forward, both = (each.prediction for each in of(planned([suite()], T4), "full")[:2])
    assert forward.work.flops == 4 * 2 * 64 * 64 * 8
    assert forward.work.moved_bytes == 4 * 2 * 64 * 8 * 2
    assert forward.seconds == pytest.approx(4 * 2 * 64 * 8 * 2 / 320e9)
    assert both.work.flops == 3.5 * forward.work.flops
    assert both.work.moved_bytes == 2 * forward.work.moved_bytes


def test_every_call_that_measuring_takes_is_in_the_plan():
    first = planned([suite()], T4)[0]
    assert first.seconds == pytest.approx(first.prediction.seconds * (10 + 6))


def test_a_formula_of_work_is_taken_where_there_is_one():
    case = replace(RIGHT, work=lambda size, backward: 10**9)
    plan = of(planned([suite(case)], H100), "dense")
    assert plan[0].prediction.work.flops == 10**9


def test_what_looks_at_numbers_is_not_predicted_and_counted():
    def looks(q, k, v):
        return v * q.sum().item()

    plan = planned([suite(replace(RIGHT, mechanism="looks", function=looks))], T4)
    assert {each.prediction for each in of(plan, "looks")} == {None}
    assert summary(plan)[0][:3] == ("test, float16", 4, 2)


def test_a_form_without_a_backward_pass_has_none_in_the_plan():
    plan = planned([suite(replace(RIGHT, differentiable=False))], T4)
    assert [each.direction for each in of(plan, "dense")] == ["forward"] * 2


def test_what_the_card_does_not_run_is_not_in_the_plan():
    new = replace(RIGHT, mechanism="new", capability=80, nvidia=True)
    assert of(planned([suite(new)], T4), "new") == []
    assert of(planned([suite(new)], MI300X), "new") == []
    assert of(planned([suite(new)], H100), "new")


def test_tritons_rate_on_a_t4_is_that_of_float32():
    kernel = replace(RIGHT, implementation="attncourse, Triton", work=lambda size, _: 10**12)
    on_t4, on_h100 = (of(planned([suite(kernel)], c), "dense")[0].prediction for c in (T4, H100))
    assert on_t4.seconds == pytest.approx(1e12 / 8.1e12)
    assert on_h100.seconds == pytest.approx(1e12 / 989e12)


def test_the_quick_run_of_decoding_fits_into_its_minutes_many_times_over():
    plan = planned([suites.decode("cuda")], T4)
    assert all(each.prediction is not None for each in plan)
    assert 0 < sum(each.seconds for each in plan) < 10
