"""Files of measurements with a planted mistake, made up by a stated model; and how to find it.

No hardware was involved: what stands in such a file is drawn, so that somebody may learn to read
real ones. A file is plain data::

    {"ceilings": {"flops": 2e14, "bandwidth": 2e12}, "cache_bytes": 4e7,
     "rows": [{"n": 512, "flops": 5e8, "bytes": 1e6, "samples": [...]}, ...]}

Sizes n grow from row to row; samples are seconds, in the order in which they were taken.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from attncourse.measure.roofline import roofline_seconds
from attncourse.measure.timing import median_seconds

MISTAKES = ("no synchronise", "in cache", "cold start", "busy neighbour", "one run", "none")
ROWS, ROUNDS = 5, 20
COLD, WARM, HICCUP = 4.0, 1.5, 10.0


def planted(mistake: str, generator: torch.Generator) -> dict[str, Any]:
    """A file in which this mistake was made, and no other.

    A machine is drawn (its ceilings and its cache), then a call that is bound by arithmetic or by
    bandwidth, five sizes, and for each size 20 times. An honest time is 1.1 to 1.6 floors, the same
    for all sizes, with noise of a few per cent; within a row it drifts upwards by at most a fifth,
    the first sample is up to half as long again, and one other is a hiccup of ten times. Then the
    mistake:

    - no synchronise: every sample is the time to hand the call over, a few microseconds;
    - in cache: of a call bound by bandwidth, sizes that fit the cache take 0.2 to 0.5 floors;
    - cold start: the first sample of each row takes 8 to 40 times as long;
    - busy neighbour: from about the middle of each row on samples take 3 to 5 times as long;
    - one run: there is one sample a row.

    Raises ValueError for another mistake.

    >>> file = planted("one run", torch.Generator().manual_seed(0))
    >>> [len(row["samples"]) for row in file["rows"]]
    [1, 1, 1, 1, 1]
    """
    if mistake not in MISTAKES:
        raise ValueError(f"mistake must be one of {', '.join(MISTAKES)}: got {mistake!r}")
    draw = _Draws(generator)
    peak, bandwidth = 1e12 * draw.between(50, 500), 1e12 * draw.between(0.5, 3)
    cache = 1e6 * draw.between(10, 50)
    by_bandwidth = mistake == "in cache" or draw.between(0, 1) < 0.5
    slack, handing_over = draw.between(1.1, 1.6), 1e-6 * draw.between(4, 12)
    rows = []
    for i in range(ROWS):
        n = 2 ** (10 + i)
        moved = cache * 4.0 ** (i - 1.5) * draw.between(0.8, 1.2)
        intensity = peak / bandwidth * (0.02 if by_bandwidth else 5.0)
        moved, work = round(moved), round(moved * intensity)
        floor = roofline_seconds(work, moved, peak, bandwidth)
        times = slack * floor * draw.noise(ROUNDS) * draw.drift(ROUNDS)
        times[0] *= draw.between(1, 1.5)
        times[int(draw.between(2, ROUNDS))] *= HICCUP
        if mistake == "no synchronise":
            times = handing_over * draw.noise(ROUNDS)
        if mistake == "in cache" and moved < cache:
            times = floor * draw.between(0.2, 0.5) * draw.noise(ROUNDS)
        if mistake == "cold start":
            times[0] *= draw.between(8, 40)
        if mistake == "busy neighbour":
            times[int(draw.between(8, 12)) :] *= draw.between(3, 5)
        if mistake == "one run":
            times = times[:1]
        rows.append({"n": n, "flops": work, "bytes": moved, "samples": times.tolist()})
    ceilings = {"flops": peak, "bandwidth": bandwidth}
    return {"ceilings": ceilings, "cache_bytes": cache, "rows": rows}


def find_mistake(file: Mapping[str, Any]) -> str:
    """The mistake that was made in a file of the form of `planted`.

    One sample a row is one run. A median below the floor is impossible: where it is so for the
    largest size, nobody waited; where for small ones alone, their bytes came from a cache. A first
    sample far above the median of the others was cold. Where the median of the last third lies far
    above that of the first, somebody else came. Else nothing is wrong that could be seen.

    >>> find_mistake(planted("cold start", torch.Generator().manual_seed(0)))
    'cold start'
    """
    peaks, rows = file["ceilings"], file["rows"]
    samples = [row["samples"] for row in rows]
    if max(map(len, samples)) == 1:
        return "one run"
    below = [
        median_seconds(row["samples"])
        < roofline_seconds(row["flops"], row["bytes"], peaks["flops"], peaks["bandwidth"])
        for row in rows
    ]
    if any(below):
        return "no synchronise" if below[-1] else "in cache"
    if all(times[0] > COLD * median_seconds(times[1:]) for times in samples):
        return "cold start"
    if all(_rises(times) for times in samples):
        return "busy neighbour"
    return "none"


def _rises(times: Sequence[float]) -> bool:
    """Does the last third take longer than the first?"""
    third = len(times) // 3
    return median_seconds(times[-third:]) > WARM * median_seconds(times[:third])


class _Draws:
    """Numbers from one source."""

    def __init__(self, generator: torch.Generator) -> None:
        self._generator = generator

    def between(self, low: float, high: float) -> float:
        share = torch.rand((), generator=self._generator, dtype=torch.float64).item()
        return low + (high - low) * share

    def drift(self, count: int) -> torch.Tensor:
        """Factors that rise from 1 by at most a fifth."""
        return torch.linspace(1, self.between(1.0, 1.2), count, dtype=torch.float64)

    def noise(self, count: int) -> torch.Tensor:
        """Factors of 1 and a few per cent more."""
        normal = torch.randn(count, generator=self._generator, dtype=torch.float64)
        return 1 + 0.02 * normal.abs()
