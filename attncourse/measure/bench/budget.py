"""A run that has so many minutes: what comes first, what the next call will cost, what is left out.

Nothing is left out in silence: each measurement that was not made is a row of the report, with the
reason, and `left_out` counts them.
"""

import math
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from attncourse.measure.bench.case import Case, Shape
from attncourse.measure.bench.report import Row
from attncourse.measure.timing import Effort

BESIDE_ROUNDS = 6  # calls of a case besides the timed ones: counted, its peak, its launch
OF_FREE = 0.9  # of the free memory that may be asked for


@dataclass(frozen=True)
class Budget:
    """Seconds for a run, from `start` on, by the clock `now`; without an end as it is made."""

    seconds: float = math.inf
    now: Callable[[], float] = time.monotonic
    start: float = field(default=math.nan)

    def __post_init__(self) -> None:
        if math.isnan(self.start):
            object.__setattr__(self, "start", self.now())

    def left(self) -> float:
        """Seconds that are left, never below 0."""
        return max(0.0, self.start + self.seconds - self.now())

    def share(self, parts: int) -> "Budget":
        """A budget of its own with 1 / parts of what is left; what it does not use is not lost."""
        return Budget(self.left() / parts, self.now)

    @property
    def bounded(self) -> bool:
        """Does it end at all?"""
        return self.seconds != math.inf


def by_worth(cases: Iterable[Case], baseline: Case) -> list[Case]:
    """The cases in the order in which they are wanted if there is no time for all.

    The baseline, without which there is no ratio; this library's forms; its kernels; PyTorch's;
    other people's.
    """
    order = {"attncourse": 1, "attncourse, Triton": 2}

    def worth(case: Case) -> int:
        if case.name == baseline.name:
            return 0
        other = 3 if case.implementation.startswith("PyTorch") else 4
        return order.get(case.implementation, other)

    return sorted(cases, key=worth)


def expected_seconds(case: Case, n: int, before: Iterable[Row]) -> float | None:
    """Seconds of one call at length n, from the last measured row of the case; None without one.

    The time grows as the counted work does where the case has a formula for it, else as theory
    says (n^growth).
    """
    timed = [row for row in before if row.seconds is not None and row.n < n]
    if not timed:
        return None
    last = max(timed, key=lambda row: row.n)
    assert last.seconds is not None
    return last.seconds.median * growth_of_work(case, last, n)


def growth_of_work(case: Case, row: Row, n: int) -> float:
    """How many times the work of a measured row the case has at length n."""
    if case.work is not None:
        shape, backward = Shape(batch=row.batch, h=row.h, d=row.d), row.direction != "forward"
        return case.work(shape.of(n), backward) / case.work(shape.of(row.n), backward)
    return (n / row.n) ** case.growth


def expected_bytes(n: int, inputs: int, before: Iterable[Row]) -> float:
    """Bytes that a call at length n wants: its inputs, and the peak above them as it grew so far.

    From two measured peaks on, the peak grows on as it did between them; one alone is taken to
    grow with n. Without any only the inputs are known.
    """
    peaks = sorted((row.n, row.peak_bytes) for row in before if row.peak_bytes and row.n < n)
    if not peaks:
        return inputs
    last, peak = peaks[-1]
    exponent = 1.0
    if len(peaks) > 1:
        shorter, less = peaks[-2]
        exponent = math.log(peak / less) / math.log(last / shorter)
    return inputs + peak * (n / last) ** max(exponent, 0.0)


def cost(seconds: float, effort: Effort) -> float:
    """Seconds that it takes to measure a call that takes so long."""
    rounds = min(max(effort.seconds / seconds, effort.least), max(effort.most, effort.least))
    return seconds * (rounds + BESIDE_ROUNDS)


def no_time(seconds: float | None, effort: Effort, left: float) -> str:
    """Why a call is not measured for lack of time, or nothing where there is enough.

    A call that nobody has timed yet is tried while there is any time.
    """
    if left <= 0:
        return "time: none is left"
    if seconds is None or seconds == 0:
        return ""
    wanted = cost(seconds, effort)
    return "" if wanted <= left else f"time: about {wanted:.1f} s wanted, {left:.1f} s are left"


def no_memory(wanted: float, free: float) -> str:
    """Why a call is not tried for lack of memory, or nothing where it fits."""
    if wanted <= OF_FREE * free:
        return ""
    return f"memory: about {wanted / 2**30:.1f} GiB wanted, {free / 2**30:.1f} GiB are free"


def left_out(rows: Iterable[Row]) -> dict[str, int]:
    """How many measurements were not made, by the kind of reason, the most frequent first."""
    remarks = (row.remark for row in rows if row.state == "left out")
    return dict(Counter(remark.partition(":")[0] for remark in remarks).most_common())
