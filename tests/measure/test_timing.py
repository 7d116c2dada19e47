"""Medians that are medians, rounds that go in turn, and a clock that can be replaced."""

import gc
import statistics
from time import sleep

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from attncourse.measure import timing
from attncourse.measure.timing import Effort, Spread, WallClock, interleaved, median_seconds, spread

times = st.lists(st.floats(0, 1e6), min_size=1, max_size=30)


class Clock:
    """A clock for which every call takes the seconds that the call returns."""

    def seconds(self, call):
        return call()


def test_the_median_of_an_odd_number_is_the_middle_one():
    assert median_seconds(torch.tensor([3.0, 1.0, 2.0])) == 2.0
    assert median_seconds([3.0, 1.0, 2.0]) == 2.0
    assert median_seconds([5]) == 5.0


def test_the_median_of_an_even_number_is_the_mean_of_the_two_in_the_middle():
    samples = torch.tensor([4.0, 1.0, 3.0, 2.0])
    assert median_seconds(samples) == 2.5
    assert float(samples.median()) == 2.0  # what it is easily mistaken for


def test_one_slow_run_moves_the_mean_and_not_the_median():
    samples = [1.0, 1.1, 1.2, 1.3, 1000.0]
    assert median_seconds(samples) == 1.2
    assert statistics.mean(samples) > 200


@given(samples=times)
@settings(derandomize=True, max_examples=60, deadline=None)
def test_median_and_quartiles_are_those_of_numpy(samples):
    found = spread(samples)
    assert found.median == median_seconds(samples)
    expected = np.quantile(samples, [0.5, 0.25, 0.75])
    assert (found.median, found.low, found.high) == pytest.approx(tuple(expected))
    assert found.low <= found.median <= found.high


@given(samples=times)
@settings(derandomize=True, max_examples=20, deadline=None)
def test_a_tensor_and_a_list_give_the_same_in_any_order(samples):
    assert median_seconds(torch.tensor(samples, dtype=torch.float64)) == median_seconds(samples)
    assert median_seconds(sorted(samples)) == median_seconds(tuple(samples))


def test_a_single_sample_is_its_own_quartiles():
    assert spread([2.0]) == Spread(2.0, 2.0, 2.0)


@pytest.mark.parametrize("function", [median_seconds, spread])
@pytest.mark.parametrize(
    ("samples", "error", "message"),
    [
        ([], ValueError, "samples must hold at least 1 time: got 0"),
        (torch.empty(0), ValueError, "samples must hold at least 1 time: got 0"),
        ([1.0, -0.5], ValueError, "samples must be seconds, 0 or more: got -0.5"),
        ([float("nan")], ValueError, "samples must be seconds, 0 or more: got nan"),
        (torch.ones(2, 3), ValueError, "samples must have exactly 1 axis: got (2, 3)"),
        (torch.tensor(1.0), ValueError, "samples must have exactly 1 axis: got ()"),
        ([True], TypeError, "samples must hold numbers: got bool"),
    ],
)
def test_samples_that_are_no_times_are_refused(function, samples, error, message):
    with pytest.raises(error) as caught:
        function(samples)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (["1"], "samples must hold numbers: got str"),
        ("123", "samples must be a tensor or a sequence of seconds: got str"),
        (1.0, "samples must be a tensor or a sequence of seconds: got float"),
        (None, "samples must be a tensor or a sequence of seconds: got NoneType"),
    ],
)
def test_what_is_no_sequence_of_numbers_is_refused(samples, message):
    with pytest.raises(TypeError) as caught:  # behind the annotation, which is checked here first
        timing._times(samples)
    assert str(caught.value) == message


def test_the_wall_clock_measures_what_passes_while_a_call_runs():
    made = []

    def call():
        made.append(1)
        sleep(0.02)

    assert 0.02 <= WallClock().seconds(call) < 1
    assert made == [1]


def test_calls_are_measured_in_turn_and_every_second_round_backwards():
    order = []
    calls = {name: (lambda name=name: order.append(name) or 1.0) for name in "abc"}
    samples = interleaved(calls, clock=Clock(), effort=Effort(least=4, most=4))
    assert "".join(order) == "abccbaabccba"
    assert samples == {name: [1.0] * 4 for name in "abc"}


@pytest.mark.parametrize(
    ("least", "most", "seconds", "rounds"),
    [(5, 30, 1.0, 5), (2, 30, 10.0, 10), (2, 7, 10.0, 7), (3, 1, 0.0, 3), (1, 30, 0.0, 1)],
)
def test_rounds_go_on_until_enough_was_measured_within_bounds(least, most, seconds, rounds):
    calls = {"a": lambda: 0.25, "b": lambda: 0.75}
    samples = interleaved(calls, clock=Clock(), effort=Effort(least, most, seconds))
    assert [len(found) for found in samples.values()] == [rounds, rounds]


def test_garbage_is_not_collected_while_the_clock_runs():
    seen = []
    calls = {"a": lambda: seen.append(gc.isenabled()) or 1.0}
    assert gc.isenabled()
    interleaved(calls, clock=Clock())
    assert not any(seen)
    assert gc.isenabled()


def test_an_error_of_a_call_comes_through_and_collection_is_back():
    def broken():
        raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom"):
        interleaved({"a": broken}, clock=WallClock())
    assert gc.isenabled()


def test_there_must_be_something_to_time():
    with pytest.raises(ValueError, match="call to time") as caught:
        interleaved({}, clock=Clock())
    assert str(caught.value) == "there must be at least 1 call to time: got 0"
    with pytest.raises(ValueError, match="round") as caught:
        interleaved({"a": lambda: 1.0}, clock=Clock(), effort=Effort(least=0))
    assert str(caught.value) == "least must be at least 1 round: got least=0"
