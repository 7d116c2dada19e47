"""A model of a device that works on by itself: what its two clocks say, step by step."""

import doctest

import pytest

from attncourse.measure import planted, queue_model, timing
from attncourse.measure.queue_model import ModelDevice, timed_on_a_model
from attncourse.measure.timing import waited_samples


def test_launches_return_at_once_and_the_device_works_one_after_the_other():
    device = ModelDevice(handing_over=10.0)
    for _ in range(3):
        device.launch(1000.0)
    assert device.clock() == 30.0
    assert device.kernels == [(10.0, 1010.0), (1010.0, 2010.0), (2010.0, 3010.0)]
    device.synchronise()
    device.synchronise()
    assert device.clock() == 3010.0


def test_an_idle_device_begins_when_the_kernel_arrives():
    device = ModelDevice(handing_over=10.0)
    device.launch(5.0)
    device.launch(5.0)
    assert device.kernels == [(10.0, 15.0), (20.0, 25.0)]
    assert device.clock() == 20.0


def test_the_first_launch_of_each_kernel_compiles():
    device = ModelDevice(handing_over=10.0, first=500.0)
    for kernel, now in (("a", 510.0), ("a", 520.0), ("b", 1030.0)):
        device.launch(1.0, kernel)
        assert device.clock() == now


def test_who_finds_the_queue_full_waits_for_a_place():
    device = ModelDevice(handing_over=1.0, depth=2)
    seen = []
    for _ in range(5):
        start = device.clock()
        device.launch(100.0)
        seen.append(device.clock() - start)
    # one runs and two wait; from the fourth on a place is free when a kernel begins
    assert seen == [1.0, 1.0, 1.0, 98.0, 100.0]


def test_marks_are_noted_when_the_device_comes_to_them():
    device = ModelDevice(handing_over=10.0)
    begin = device.record()
    device.launch(100.0)
    end = device.record()
    device.launch(7.0)
    assert begin.elapsed_time(end) == 110.0
    assert end.elapsed_time(device.record()) == 7.0


def test_every_round_has_the_handing_over_and_the_work_of_one_call():
    for options in ({}, {"first": 9000.0}, {"before": 50_000.0}, {"rounds": 7}):
        found = timed_on_a_model(waited_samples, 300.0, **options)
        assert found == (308.0,) * options.get("rounds", 3)


def test_no_rounds_are_refused():
    with pytest.raises(ValueError, match=r"^rounds must be at least 1: got rounds=0$"):
        waited_samples(ModelDevice(), lambda: None, 0)


def test_the_examples_hold():
    names = {"ModelDevice": ModelDevice, "torch": pytest.importorskip("torch")}
    for module, tried in ((queue_model, 5), (planted, 3)):
        assert doctest.testmod(module, extraglobs=names) == (0, tried)
    finder = doctest.DocTestFinder().find(waited_samples, globs=names | vars(timing))
    for test in finder:
        assert doctest.DocTestRunner().run(test).failed == 0
