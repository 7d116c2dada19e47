"""Time, measured so that it can be compared: several calls in one run, in turn, many times.

A clock says how long one call takes. The one here reads the processor's time of day; a device
that works on while Python runs ahead needs another, with the same method.
"""

import gc
import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

Call = Callable[[], Any]


@runtime_checkable
class Clock(Protocol):
    """Something that can tell how long a call takes."""

    def seconds(self, call: Call) -> float:
        """Make the call, once, and give the seconds until its result was there."""


class WallClock:
    """Seconds that pass on the wall: right where a call returns when its work is done (a CPU)."""

    def seconds(self, call: Call) -> float:
        """The time from before the call until it returned; its result is freed afterwards."""
        start = perf_counter()
        result = call()
        stop = perf_counter()
        del result
        return stop - start


@dataclass(frozen=True)
class Effort:
    """How often to measure: until `seconds` have been measured, within bounds on the rounds.

    A call that is expected to take longer than `patience`, in seconds, is not made.
    """

    least: int = 5
    most: int = 30
    seconds: float = 1.0
    patience: float = 20.0


@dataclass(frozen=True)
class Spread:
    """The middle of many samples: their median, and the quartiles around it."""

    median: float
    low: float
    high: float


def waited_samples(device: Any, call: Callable[[], Any], rounds: int) -> list[float]:
    """The times of a call, on the host's clock, on a device that works on by itself.

    The call is made once before, for what only a first call does. Each time the device is waited
    for twice: before the clock is read for the first time, so that no earlier work counts, and
    before it is read again, so that the call's own work does. The times are in the clock's unit,
    and hold what the host takes to hand the work over. device has `clock()` and `synchronise()`.

    Raises ValueError for less than one round.

    >>> device = ModelDevice(handing_over=8.0, first=5000.0)
    >>> waited_samples(device, lambda: device.launch(1000.0), 3)
    [1008.0, 1008.0, 1008.0]
    """
    if rounds < 1:
        raise ValueError(f"rounds must be at least 1: got rounds={rounds}")
    wait, now = device.synchronise, device.clock
    call()
    samples: list[float] = []
    while len(samples) < rounds:
        wait()
        start = now()
        call()
        wait()
        samples.append(now() - start)
    return samples


def median_seconds(samples: Tensor | Sequence[float]) -> float:
    """The median of measured times: half of the samples lie on either side.

    With an even number of samples it is the mean of the two in the middle, which is not what
    ``torch.median`` gives. One sample that a busy machine made ten times as long moves a mean, and
    the median hardly at all. Time O(s log s) for s samples.

    samples is a tensor with one axis, or a sequence, of seconds. Raises ValueError where there is
    none, or one that is negative or NaN, and TypeError for anything else.

    >>> median_seconds([1.0, 2.0, 3.0, 50.0])
    2.5
    """
    return statistics.median(_times(samples))


def spread(samples: Tensor | Sequence[float]) -> Spread:
    """Median and quartiles of samples; the quartiles lie between samples, as numpy's do.

    Raises as `median_seconds` does.
    """
    times = _times(samples)
    if len(times) == 1:
        return Spread(times[0], times[0], times[0])
    low, median, high = statistics.quantiles(times, n=4, method="inclusive")
    return Spread(median, low, high)


def interleaved(
    calls: Mapping[str, Call], *, clock: Clock, effort: Effort | None = None
) -> dict[str, list[float]]:
    """Seconds of every call, measured in rounds: each call once a round, in turn.

    What slows the machine for a while slows all calls of a round, so that ratios within a round
    mean something where times alone do not. Every second round goes backwards, so that no call
    always follows the same one. Nothing is warmed up here: call each once before. Memory is not
    collected meanwhile.

    Raises ValueError where there is no call or no round; an error of a call comes through.
    """
    effort = effort or Effort()
    if not calls:
        raise ValueError("there must be at least 1 call to time: got 0")
    if effort.least < 1:
        raise ValueError(f"least must be at least 1 round: got least={effort.least}")
    samples: dict[str, list[float]] = {name: [] for name in calls}
    spent, order = 0.0, list(calls)
    with without_collection():
        for number in range(max(effort.least, effort.most)):
            if number >= effort.least and spent >= effort.seconds:
                break
            for name in order:
                samples[name].append(clock.seconds(calls[name]))
                spent += samples[name][-1]
            order.reverse()
    return samples


@contextmanager
def without_collection() -> Iterator[None]:
    """Within the block, Python does not stop to look for garbage."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _times(samples: Any) -> list[float]:
    """The samples as numbers, checked."""
    if isinstance(samples, Tensor):
        if samples.ndim != 1:
            raise ValueError(f"samples must have exactly 1 axis: got {tuple(samples.shape)}")
        samples = samples.tolist()
    if not isinstance(samples, Sequence) or isinstance(samples, str):
        raise TypeError(
            f"samples must be a tensor or a sequence of seconds: got {type(samples).__name__}"
        )
    if not samples:
        raise ValueError("samples must hold at least 1 time: got 0")
    for sample in samples:
        if isinstance(sample, bool) or not isinstance(sample, (int, float)):
            raise TypeError(f"samples must hold numbers: got {type(sample).__name__}")
        if math.isnan(sample) or sample < 0:
            raise ValueError(f"samples must be seconds, 0 or more: got {sample}")
    return [float(sample) for sample in samples]
