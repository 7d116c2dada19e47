"""How timing goes wrong: the same calls timed as they should be, and with each classic mistake.

Nothing here says how large an error should be: that is the machine's, and the result.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import cycle

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from torch.utils._pytree import tree_map

from attncourse.measure.bench.case import Inputs, Shape, Size, self_attention
from attncourse.measure.bench.decode import one_token
from attncourse.measure.bench.instrument import instrument_for
from attncourse.measure.bench.report import Pitfall
from attncourse.measure.gpu import CudaClock, synchronise
from attncourse.measure.timing import Call, Clock, WallClock, spread

MISTAKES = {
    "none": "warmed up; other inputs, and a cache without them, each time; the median of many",
    "no synchronise": "the clock is read when the call returns, whether the device is done or not",
    "cold": "the first call: libraries are loaded, kernels chosen, memory taken from the system",
    "zeros": "inputs of zeros, not of random numbers",
    "in cache": "the same inputs each time, one call right after the other",
    "one run": "the sample farthest from the median: what a single run may show",
    "after a pause": "a few runs after a rest, in which clocks have fallen",
}
SHAPES = {"cpu": Shape(), "cuda": Shape(h=16, dtype=torch.bfloat16)}
COPIES = 8


@dataclass(frozen=True)
class Subject:
    """A call worth timing: its function, its inputs, and its length on each device."""

    name: str
    function: Callable[..., Tensor]
    inputs: Callable[[Size], Inputs]
    n: dict[str, int]


def grown_cache(size: Size) -> Inputs:
    """One query, and keys and values of n tokens."""
    keys, values, q, *_ = one_token(size)
    return q, keys, values


SUBJECTS = (
    Subject("attention", scaled_dot_product_attention, self_attention, {"cpu": 1024, "cuda": 4096}),
    Subject("decoding", scaled_dot_product_attention, grown_cache, {"cpu": 8192, "cuda": 8192}),
)


def pitfalls(
    device: str = "cpu",
    *,
    quick: bool = False,
    listen: Callable[[str], None] = lambda what: None,
) -> Iterator[Pitfall]:
    """Every subject with every mistake, beside the same subject timed as it should be.

    To be made before anything else in a process, whose first call is then the cold one.
    """
    rounds, rest = (5, 0.1) if quick else (50, 2.0)
    for subject in SUBJECTS:
        shape, n = SHAPES[device], subject.n[device]
        taken = _samples(subject, shape.of(n, device), rounds, rest, listen)
        middle = spread(taken["none"]).median
        for mistake, remark in MISTAKES.items():
            found = spread(taken[mistake])
            name = f"{subject.name}, n = {n}, {shape}"
            ratio = found.median / middle
            yield Pitfall(name, mistake, remark, found, ratio, tuple(taken[mistake]))


def _samples(
    subject: Subject, size: Size, rounds: int, rest: float, listen: Callable[[str], None]
) -> dict[str, list[float]]:
    """Seconds of the subject with each mistake, in the order in which they were taken."""
    inputs = subject.inputs(size)
    sets = [inputs, *(tree_map(torch.clone, inputs) for _ in range(COPIES - 1))]
    changing, same = _in_turn(subject, sets), _in_turn(subject, sets[:1])
    zeros = _in_turn(subject, [tree_map(torch.zeros_like, each) for each in sets])
    clock = instrument_for(size.device, []).clock

    def take(call: Call, clock: Clock = clock, rounds: int = rounds) -> list[float]:
        synchronise(size.device)
        return [clock.seconds(call) for _ in range(rounds)]

    listen(f"{subject.name}, with each mistake of timing")
    found = {"cold": take(changing, _until_done(size.device), 1)}
    take(changing)  # warms up
    found["none"] = take(changing)
    found["zeros"] = take(zeros)
    found["no synchronise"] = take(changing, WallClock())
    warm = CudaClock(size.device, empty_cache=False) if size.device != "cpu" else clock
    found["in cache"] = take(same, warm)
    middle = spread(found["none"]).median
    found["one run"] = [max(found["none"], key=lambda sample: abs(sample - middle))]
    time.sleep(rest)
    found["after a pause"] = take(changing, rounds=5)
    return found


def _in_turn(subject: Subject, sets: list[Inputs]) -> Call:
    """A call that takes the next set of inputs each time."""
    turns = cycle(sets)
    return lambda: subject.function(*next(turns))


def _until_done(device: str) -> Clock:
    """A watch on the wall that waits for the device."""

    class Waiting(WallClock):
        def seconds(self, call: Call) -> float:
            def waited() -> None:
                call()
                synchronise(device)

            return super().seconds(waited)

    return Waiting()
