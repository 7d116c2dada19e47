"""The two floors, by hand and by count, and ceilings that a clock gives."""

import math

import pytest
import torch

from attncourse.measure.cost import flops
from attncourse.measure.roofline import (
    Ceilings,
    measured_ceilings,
    roofline_seconds,
    sdpa_floor_bytes,
)
from attncourse.mechanisms.dense.softmax import attention
from attncourse.testing import attention_inputs


def test_the_slower_of_arithmetic_and_transfer_bounds_the_time():
    assert roofline_seconds(100.0, 10.0, 50.0, 10.0) == 2.0  # 2 s of arithmetic, 1 s of transfer
    assert roofline_seconds(100.0, 40.0, 50.0, 10.0) == 4.0
    assert roofline_seconds(0, 0, 1, 1) == 0.0
    assert roofline_seconds(0, 30, 1, 10) == 3.0


def test_they_meet_where_the_intensity_is_that_of_the_machine():
    peak_flops, peak_bandwidth = 9e12, 3e11
    moved = 1e9
    work = moved * peak_flops / peak_bandwidth
    seconds = roofline_seconds(work, moved, peak_flops, peak_bandwidth)
    assert seconds == pytest.approx(work / peak_flops) == pytest.approx(moved / peak_bandwidth)


@pytest.mark.parametrize("position", range(4))
@pytest.mark.parametrize("value", [-1.0, math.inf, math.nan])
def test_work_below_zero_and_what_is_not_finite_is_refused(position, value):
    arguments = [1.0, 1.0, 1.0, 1.0]
    arguments[position] = value
    name = ("flops", "bytes_moved", "peak_flops", "peak_bandwidth")[position]
    rule = "at least 0" if position < 2 else "above 0"
    with pytest.raises(ValueError, match="must be") as caught:
        roofline_seconds(*arguments)
    wanted = rule if value == -1.0 else "finite"
    assert str(caught.value) == f"{name} must be {wanted}: got {name}={value}"


@pytest.mark.parametrize("position", [2, 3])
def test_a_peak_of_zero_is_refused(position):
    arguments = [1.0, 1.0, 1.0, 1.0]
    arguments[position] = 0
    with pytest.raises(ValueError, match=r"must be above 0: got peak_\w+=0"):
        roofline_seconds(*arguments)


@pytest.mark.parametrize("value", ["1", None, torch.tensor(1.0)])
def test_what_is_no_number_is_refused(value):
    with pytest.raises(TypeError, match="flops must be a number: got"):
        roofline_seconds(value, 1.0, 1.0, 1.0)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_the_floor_of_attention_is_what_its_tensors_weigh(dtype):
    q, k, v = (x.to(dtype) for x in attention_inputs())
    tensors = (q, k, v, attention(q, k, v))
    (n, d), (m, e) = q.shape, v.shape
    assert sdpa_floor_bytes(n, m, d, e, q.element_size()) == sum(x.nbytes for x in tensors)


def test_the_floor_is_linear_in_the_lengths_and_the_scores_do_not_count():
    assert sdpa_floor_bytes(10, 20, 3, 5, 2) == 2 * (30 + 60 + 100 + 50)
    assert sdpa_floor_bytes(2048, 2048, 64, 64, 4) == 2 * sdpa_floor_bytes(1024, 1024, 64, 64, 4)


@pytest.mark.parametrize("name", ["n", "m", "d", "e", "bytes_per_element"])
def test_sizes_below_one_are_refused(name):
    sizes = {"n": 1, "m": 1, "d": 1, "e": 1, "bytes_per_element": 1} | {name: 0}
    with pytest.raises(ValueError, match="at least 1") as caught:
        sdpa_floor_bytes(**sizes)
    assert str(caught.value) == f"{name} must be at least 1: got {name}=0"
    with pytest.raises(TypeError, match=f"{name} must be an integer: got a float"):
        sdpa_floor_bytes(**(sizes | {name: 1.5}))


class Scripted:
    """A clock that makes the calls and gives times of its own, one after the other."""

    def __init__(self, *seconds):
        self.times = iter(seconds)
        self.results = []

    def seconds(self, call):
        self.results.append(call())
        return next(self.times)


def test_ceilings_are_those_of_the_fastest_of_several_runs():
    clock = Scripted(*[4.0, 2.0, 8.0, 8.0, 8.0], *[1.0, 0.5, 3.0, 3.0, 3.0])
    ceilings = measured_ceilings(clock=clock, quick=True)
    assert ceilings == Ceilings(flops=2 * 1024**3 / 2.0, bandwidth=2 * 64 * 2**20 / 0.5)
    product = clock.results[0]
    assert product.shape == (1024, 1024)
    assert flops(torch.matmul, product, product) == 2 * 1024**3
    assert clock.results[-1].nbytes == 64 * 2**20


def test_a_floor_under_ceilings():
    assert Ceilings(flops=50.0, bandwidth=10.0).floor(100.0, 40.0) == 4.0
