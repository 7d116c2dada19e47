"""Time and memory on CUDA: what is asked of the device, and in which order.

Without a device a stand-in for torch.cuda records what it is asked; with one the real thing runs.
"""

import subprocess
from functools import partial
from types import SimpleNamespace

import pytest
import torch

from attncourse.measure import gpu

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


class Device:
    """A stand-in for torch.cuda and its card: a log of what was asked, and a clock of its own."""

    def __init__(self, monkeypatch):
        self.log = []
        self.now = 0.0
        self.held, self.peak = 1000, 1000
        monkeypatch.setattr(torch, "cuda", self)
        monkeypatch.setattr(torch, "empty", lambda *shape, **_: SimpleNamespace(zero_=self.write))
        monkeypatch.setattr(gpu.time, "perf_counter", lambda: self.now)

    def write(self):
        self.log.append("write")
        self.now += 1e-6
        self.device_time = getattr(self, "device_time", 0.0) + 1e-3

    def Event(self, *, enable_timing):
        assert enable_timing
        device = self

        class Event:
            def record(self):
                device.log.append("event")
                self.at = device.device_time

            def elapsed_time(self, other):
                assert device.log[-1] == "synchronize", "the time is read before it is there"
                return 1e3 * (other.at - self.at)

        return Event()

    def synchronize(self, device=None):
        self.log.append("synchronize")

    def get_device_properties(self, device):
        return SimpleNamespace(
            L2_cache_size=50, name="a card", total_memory=80 * 2**30, multi_processor_count=1
        )

    def reset_peak_memory_stats(self, device):
        self.log.append("reset")
        self.peak = self.held

    def memory_allocated(self, device):
        return self.held

    def max_memory_allocated(self, device):
        return self.peak


@pytest.fixture
def device(monkeypatch):
    made = Device(monkeypatch)
    made.device_time = 0.0
    return made


def kernel(device, *, host, card):
    def call():
        device.log.append("call")
        device.now += host
        device.device_time += card

    return call


def test_the_cache_is_emptied_before_and_the_device_waited_for_after(device):
    clock = gpu.CudaClock()
    device.log.clear()
    assert clock.seconds(kernel(device, host=1e-5, card=0.002)) == pytest.approx(0.002)
    assert device.log == ["write", "event", "call", "event", "synchronize"]


def test_the_device_is_kept_busy_for_as_long_as_python_needs(device):
    clock = gpu.CudaClock()
    slow = kernel(device, host=0.0035, card=0.001)
    clock.seconds(slow)  # now it is known: 3.5 ms, and a write takes 1 ms
    device.log.clear()
    clock.seconds(slow)
    assert device.log.count("write") == 4
    clock.seconds(kernel(device, host=30.0, card=0.001))  # such as a first call that compiles
    device.log.clear()
    clock.seconds(slow)
    assert device.log.count("write") == 1 + int(gpu.LONGEST_LEAD / 1e-3)


def test_a_lead_that_is_no_longer_needed_fades(device):
    clock = gpu.CudaClock()
    clock.seconds(kernel(device, host=0.004, card=0.001))
    quick = kernel(device, host=1e-6, card=0.001)
    for _ in range(40):
        clock.seconds(quick)
    device.log.clear()
    clock.seconds(quick)
    assert device.log.count("write") == 1


def test_nothing_is_written_where_the_cache_is_to_be_warm(device):
    clock = gpu.CudaClock(empty_cache=False)
    device.log.clear()
    clock.seconds(kernel(device, host=1e-5, card=0.002))
    assert device.log == ["event", "call", "event", "synchronize"]


def test_launching_is_timed_without_waiting_for_the_result(device):
    assert gpu.launch_seconds(kernel(device, host=0.25, card=9.0)) == pytest.approx(0.25)
    assert device.log == ["synchronize", "call"] * 3 + ["synchronize"]


def test_peak_memory_lies_above_what_was_held_before(device):
    def call():
        device.log.append("call")
        device.peak = device.held + 77

    assert gpu.cuda_peak_bytes(call) == 77
    assert device.log == ["synchronize", "reset", "call", "synchronize"]


def test_settings_are_read_by_name_and_nothing_is_changed(monkeypatch):
    commands = []

    def run(command, **options):
        commands.append(command)
        return SimpleNamespace(
            stdout="570.1, 345 MHz, 1980 MHz, 2619 MHz, 70.1 W, 700.0 W, 33, ..."
        )

    monkeypatch.setattr(subprocess, "run", run)
    found = gpu.settings_as_found()
    assert found["driver_version"] == "570.1"
    assert found["clocks.max.sm"] == "1980 MHz"
    assert found["power.limit"] == "700.0 W"
    [command] = commands
    assert command[0] == "nvidia-smi"
    assert all(word.startswith(("--query-gpu=", "--format=")) for word in command[1:])


@pytest.mark.parametrize("error", [FileNotFoundError(), subprocess.TimeoutExpired("x", 1)])
def test_without_nvidia_smi_there_are_no_settings(monkeypatch, error):
    def run(*arguments, **options):
        raise error

    monkeypatch.setattr(subprocess, "run", run)
    assert gpu.settings_as_found() == {}


def test_a_cpu_needs_no_waiting(device):
    gpu.synchronise("cpu")
    assert device.log == []
    gpu.synchronise("cuda")
    assert device.log == ["synchronize"]


@needs_cuda
def test_a_real_device_takes_longer_for_more_work():
    clock = gpu.CudaClock()
    matrices = (torch.randn(n, n, device="cuda") for n in (512, 4096))
    small, large = (min(clock.seconds(partial(torch.mm, x, x)) for _ in range(5)) for x in matrices)
    assert 10 * small < large


@needs_cuda
def test_a_real_devices_peak_is_what_the_call_allocates():
    make = partial(torch.empty, 2**20, dtype=torch.uint8, device="cuda")
    assert gpu.cuda_peak_bytes(make) == 2**20
