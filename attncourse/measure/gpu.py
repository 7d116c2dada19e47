"""Time and memory on a CUDA device, which works on while Python runs ahead of it."""

import subprocess
import time
from typing import Any

import torch

from attncourse.measure.timing import Call

LONGEST_LEAD = 5e-3  # seconds that the device may be kept busy before the call


class CudaClock:
    """Seconds that the device spends on a call, between two events in its stream.

    Before each call a buffer of twice the second-level cache is written, so that the call finds
    its inputs in memory and not in the cache of the call before. The buffer is written as often as
    Python needs to hand over the longest of the last calls: the device is still busy when the
    call's kernels arrive, and none of the time between the events is spent waiting for Python,
    whose own time `launch_seconds` tells. The device is synchronised before the time is read.

    Without empty_cache nothing is written: a mistake worth showing.
    """

    def __init__(self, device: str = "cuda", *, empty_cache: bool = True) -> None:
        self._device = device
        self._empty_cache = empty_cache
        self._buffer = torch.empty(2 * cache_bytes(device), dtype=torch.uint8, device=device)
        self._lead = 0.0
        self._between_events(self._buffer.zero_)  # the first one is cold
        self._write_seconds = self._between_events(self._buffer.zero_)
        self._lead = 0.0

    def seconds(self, call: Call) -> float:
        """The device's time for one call; its result is freed afterwards."""
        if self._empty_cache:
            for _ in range(1 + int(min(self._lead, LONGEST_LEAD) / self._write_seconds)):
                self._buffer.zero_()
        return self._between_events(call)

    def _between_events(self, call: Call) -> float:
        event: Any = torch.cuda.Event
        start, stop = (event(enable_timing=True) for _ in range(2))
        start.record()
        began = time.perf_counter()
        result = call()
        self._lead = max(0.9 * self._lead, time.perf_counter() - began)
        stop.record()
        torch.cuda.synchronize(self._device)
        del result
        return max(start.elapsed_time(stop) / 1e3, 1e-9)


def cache_bytes(device: str = "cuda") -> int:
    """Bytes of the device's second-level cache."""
    return int(torch.cuda.get_device_properties(device).L2_cache_size)


def synchronise(device: str = "cuda") -> None:
    """Wait until the device has done what it was given; a CPU has when a call returns."""
    if device != "cpu":
        torch.cuda.synchronize(device)


def launch_seconds(call: Call, device: str = "cuda", rounds: int = 3) -> float:
    """Seconds until Python is free again after a call, the least of some; the device may work on.

    Where this is longer than the device's own time, the device waits for Python.
    """
    found = []
    for _ in range(rounds):
        torch.cuda.synchronize(device)
        began = time.perf_counter()
        result = call()
        found.append(time.perf_counter() - began)
        del result
    torch.cuda.synchronize(device)
    return min(found)


def cuda_peak_bytes(call: Call, device: str = "cuda") -> int:
    """The most bytes that PyTorch's allocator held at once during a call, above those before it."""
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    result = call()
    torch.cuda.synchronize(device)
    peak = torch.cuda.max_memory_allocated(device) - before
    del result
    return peak


def release_memory() -> None:
    """Give back what the allocator keeps for later, where there is a CUDA device."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


_AS_FOUND = (
    "driver_version",
    "clocks.sm",
    "clocks.max.sm",
    "clocks.mem",
    "power.draw",
    "power.limit",
    "temperature.gpu",
    "persistence_mode",
    "mig.mode.current",
)


def settings_as_found() -> dict[str, str]:
    """The card's driver, clocks, power and temperature as they are; nothing is changed.

    By nvidia-smi; empty where it is not there or does not answer.
    """
    command = ["nvidia-smi", f"--query-gpu={','.join(_AS_FOUND)}", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return {}
    values = done.stdout.splitlines()[0].split(",") if done.stdout.strip() else []
    return dict(zip(_AS_FOUND, (value.strip() for value in values), strict=False))


def description(device: str = "cuda") -> dict[str, Any]:
    """Name, memory in bytes, and the CUDA version that PyTorch was built for."""
    found = torch.cuda.get_device_properties(device)
    return {"name": found.name, "memory": found.total_memory, "cuda": torch.version.cuda or ""}
