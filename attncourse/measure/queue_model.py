"""A model of a device that works on by itself: a queue with two clocks, and no hardware.

What a graphics card does with time can be stepped through here on any machine, and comes out the
same each time. Times are whole microseconds that were chosen, not measured.
"""

from collections.abc import Callable
from typing import Any

from attncourse.core.probes import probe

HANDING_OVER = 8.0  # microseconds


class ModelDevice:
    """A device with a queue: `launch` returns at once, `synchronise` waits until all is done.

    handing_over is how long the host takes to put a kernel into the queue, first how much longer
    the first time, when the kernel of that name has to be compiled. Of waiting kernels the queue
    holds `depth`; who launches one more waits for a place. All times are in microseconds.

    >>> device = ModelDevice(handing_over=8.0)
    >>> device.launch(1000.0)
    >>> device.clock()  # handed over, not done
    8.0
    >>> device.synchronise()
    >>> device.clock()
    1008.0
    """

    def __init__(
        self,
        *,
        handing_over: float = HANDING_OVER,
        first: float = 0.0,
        depth: int = 1024,
    ) -> None:
        self.handing_over, self.first, self.depth = handing_over, first, depth
        self.kernels: list[tuple[float, float]] = []  # when each began and ended
        self._compiled: set[str] = set()
        self._now = 0.0

    def clock(self) -> float:
        """The host's clock: microseconds since the device was made."""
        return self._now

    def launch(self, microseconds: float, kernel: str = "kernel") -> None:
        """Hand over a kernel that will take so long; it begins when those before it are done."""
        self._now += self.handing_over + (0.0 if kernel in self._compiled else self.first)
        self._compiled.add(kernel)
        waiting = [began for began, _ in self.kernels if began > self._now]
        if len(waiting) >= self.depth:
            self._now = waiting[-self.depth]
        began = max(self._now, self.done_at)
        self.kernels.append((began, began + microseconds))

    def synchronise(self) -> None:
        """Wait, on the host, until the device has done all that it was given."""
        self._now = max(self._now, self.done_at)

    def record(self) -> "Mark":
        """A mark behind what is in the queue: the device notes the time when it comes to it."""
        return Mark(max(self._now, self.done_at))

    @property
    def done_at(self) -> float:
        """When the device will have done all that it was given so far."""
        return self.kernels[-1][1] if self.kernels else 0.0


class Mark:
    """A time that the device noted, as a CUDA event is."""

    def __init__(self, at: float) -> None:
        self._at = at

    def elapsed_time(self, other: "Mark") -> float:
        """Microseconds from this mark to the other."""
        return other._at - self._at


@probe
def timed_on_a_model(
    timer: Callable[..., Any],
    microseconds: float,
    *,
    rounds: int = 3,
    handing_over: float = HANDING_OVER,
    first: float = 0.0,
    before: float = 0.0,
) -> Any:
    """What ``timer(device, call, rounds)`` returns for a call that hands over one kernel; a list
    comes as a tuple.

    The device is a `ModelDevice`; `before` microseconds of somebody else's work are in its queue
    when the timer begins.
    """
    device = ModelDevice(handing_over=handing_over, first=first)
    if before:
        device.launch(before, "somebody else's")
    found = timer(device, lambda: device.launch(microseconds, "yours"), rounds)
    return tuple(found) if isinstance(found, list) else found
