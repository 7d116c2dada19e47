"""Runs a suite: checks every case, then measures what is right, beside the baseline, in turn."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from attncourse.measure.bench.case import (
    Case,
    Size,
    Suite,
    relative_error,
)
from attncourse.measure.bench.prepared import Prepared
from attncourse.measure.bench.provenance import provenance
from attncourse.measure.bench.report import FORMAT, Direction, Report, Row
from attncourse.measure.cost import flops
from attncourse.measure.memory import is_out_of_memory, memory_limit, peak_bytes
from attncourse.measure.roofline import Ceilings, measured_ceilings
from attncourse.measure.timing import Call, Clock, Effort, WallClock, interleaved, spread

DIRECTIONS: tuple[Direction, ...] = ("forward", "forward+backward")
GROUP = 6  # as many cases share a round with one run of the baseline


@dataclass(frozen=True)
class Instrument:
    """What measures: a clock, a gauge of peak memory, the machine's ceilings, the effort."""

    ceilings: Ceilings
    clock: Clock = field(default_factory=WallClock)
    peak: Callable[..., int] = peak_bytes
    effort: Effort = field(default_factory=Effort)
    device: str = "cpu"


Listen = Callable[[str], None]
"""Told what is being done; once for each step of `steps`."""


def steps(suite: Suite, *, quick: bool = False) -> int:
    """How often `run` tells its listener something, at most."""
    cases = {case.name: case for case in (suite.baseline, *suite.cases)}.values()
    at = sum(1 for n in _lengths(suite, quick) for case in cases if n <= case.longest)
    return len(DIRECTIONS) * (len(cases) + at)


def run(
    suite: Suite, instrument: Instrument, *, quick: bool = False, listen: Listen = lambda _: None
) -> list[Row]:
    """The rows of a suite, length by length; a case that is wrong is reported and never timed.

    Each case is first compared with its definition at a small length. At each length, peak memory
    and FLOPs are counted, which warms up, and then the cases are timed in groups, each together
    with the baseline, in turn. Memory that runs out is a result, and so is any other error.
    """
    rows: list[Row] = []
    for direction in DIRECTIONS:
        right, refused = _sort_out(suite, direction, instrument.device, listen)
        rows += refused
        for n in _lengths(suite, quick):
            cases = [(case, row) for case, row in right if n <= case.longest]
            with memory_limit():
                for group in _groups(cases):
                    rows += _measure(suite, group, n, direction, instrument, listen)
    return with_exponents(rows)


def measure(
    suites: list[Suite], command: str, *, quick: bool = False, listen: Listen = lambda _: None
) -> Report:
    """Run suites on this machine's CPU: its ceilings first, then every suite, and a report."""
    clock = WallClock()
    ceilings = measured_ceilings(clock=clock, quick=quick)
    effort = Effort(least=3, most=5, seconds=0.1) if quick else Effort()
    instrument = Instrument(ceilings, clock=clock, effort=effort)
    rows = [row for suite in suites for row in run(suite, instrument, quick=quick, listen=listen)]
    packages = {case.package for suite in suites for case in suite.cases if case.package}
    return Report(FORMAT, provenance(command, sorted(packages)), ceilings, tuple(rows))


def with_exponents(rows: list[Row]) -> list[Row]:
    """The rows, each with log2 of its time over the time at half its length, where known."""
    times = {_key(row, row.n): row.seconds.median for row in rows if row.seconds}
    return [_with_exponent(row, times.get(_key(row, row.n // 2))) for row in rows]


def _with_exponent(row: Row, before: float | None) -> Row:
    if row.seconds is None or not before or not row.seconds.median or row.n % 2:
        return row
    return replace(row, exponent=math.log2(row.seconds.median / before))


def _key(row: Row, n: int) -> tuple[str, str, str, str, int]:
    return row.suite, row.mechanism, row.implementation, row.direction, n


def _lengths(suite: Suite, quick: bool) -> tuple[int, ...]:
    return suite.quick_lengths if quick else suite.lengths


def _groups(cases: list[Any]) -> Iterator[list[Any]]:
    for start in range(0, len(cases), GROUP):
        yield cases[start : start + GROUP]


def _sort_out(
    suite: Suite, direction: Direction, device: str, listen: Listen
) -> tuple[list[tuple[Case, Row]], list[Row]]:
    """The cases that equal their definition, with an empty row each; rows of those that do not."""
    right, refused = [], []
    others = (case for case in suite.cases if case is not suite.baseline)
    for case in (suite.baseline, *others):
        if direction != "forward" and not case.differentiable:
            listen(f"{case.name} has no backward pass")
            continue
        listen(f"checking {case.name}, {direction}")
        row = _check(suite, case, direction, device)
        if row.state == "measured":
            right.append((case, row))
        else:
            refused.append(row)
        if case is suite.baseline and row.state != "measured":
            raise RuntimeError(f"the baseline {case.name} is {row.state}: {row.remark}")
    return right, refused


def _check(suite: Suite, case: Case, direction: Direction, device: str) -> Row:
    """A row without measurements: what the comparison with the definition says."""
    row = Row(
        suite=suite.name,
        mechanism=case.mechanism,
        implementation=case.implementation,
        direction=direction,
        n=case.check_length,
        state="measured",
        remark=case.remark,
        growth=case.growth,
    )
    try:
        error = relative_error(case, backward=direction != "forward", device=device)
    except Exception as failure:  # whatever it is, it is this case's result
        return _failed(row, failure)
    if math.isfinite(error) and error <= case.tolerance:
        return replace(row, error=error)
    remark = f"differs from its definition by {error:.2g}, more than {case.tolerance:.2g}"
    finite = error if math.isfinite(error) else None
    return replace(row, state="wrong", remark=_joined(row.remark, remark), error=finite)


def _failed(row: Row, error: BaseException) -> Row:
    """The row of a case that raised an error."""
    if is_out_of_memory(error):
        return replace(row, state="out of memory")
    lines = str(error).strip().splitlines() or [""]
    said = f"{type(error).__name__}: {lines[0][:200]}".rstrip(": ")
    return replace(row, state="failed", remark=_joined(row.remark, said))


def _joined(*remarks: str) -> str:
    return "; ".join(remark for remark in remarks if remark)


class _CallFailed(Exception):
    """A call raised an error while it was timed; holds which one."""

    def __init__(self, name: str, error: Exception) -> None:
        super().__init__(name)
        self.name = name
        self.error = error


def _measure(
    suite: Suite,
    group: list[tuple[Case, Row]],
    n: int,
    direction: Direction,
    instrument: Instrument,
    listen: Listen,
) -> list[Row]:
    """The rows of a group of cases at one length, timed together with the baseline."""
    rows: dict[str, Row] = {}
    base = suite.baseline
    inputs = base.inputs(Size(n, device=instrument.device))
    calls: dict[str, Call] = {base.name: Prepared(base, inputs, direction)}
    calls[base.name]()
    for case, empty in group:
        listen(f"{case.name}, n = {n}, {direction}")
        try:
            call, row = _count(case, replace(empty, n=n), instrument)
        except Exception as error:
            rows[case.name] = _failed(replace(empty, n=n), error)
        else:
            calls[case.name], rows[case.name] = call, row
    samples = _time(calls, rows, instrument, base.name)
    for name, seconds in samples.items():
        if name in rows:
            ratios = [a / b for a, b in zip(seconds, samples[base.name], strict=True)]
            rows[name] = replace(
                rows[name], seconds=spread(seconds), ratio=spread(ratios), samples=len(seconds)
            )
    return list(rows.values())


def _count(case: Case, row: Row, instrument: Instrument) -> tuple[Call, Row]:
    """Peak memory, FLOPs and the floor of a case, and the call that remains to be timed."""
    inputs = case.inputs(Size(row.n, device=instrument.device))
    call = Prepared(case, inputs, row.direction)
    counted = flops(call) if case.countable else None
    if counted is None:
        call()
    peak = instrument.peak(call)
    if counted is None:
        return call, replace(row, peak_bytes=peak)
    moved = (call.input_bytes + call.output_bytes) * (1 if row.direction == "forward" else 2)
    floor = instrument.ceilings.floor(counted, moved)
    return call, replace(row, peak_bytes=peak, flops=counted, floor_seconds=floor)


def _time(
    calls: dict[str, Call], rows: dict[str, Row], instrument: Instrument, baseline: str
) -> dict[str, list[float]]:
    """Seconds of every call; one that raises an error meanwhile is dropped, with its row so."""
    while True:
        guarded = {name: _guarded(name, call) for name, call in calls.items()}
        try:
            return interleaved(guarded, clock=instrument.clock, effort=instrument.effort)
        except _CallFailed as failed:
            if failed.name == baseline:
                raise failed.error from None
            del calls[failed.name]
            rows[failed.name] = _failed(rows[failed.name], failed.error)


def _guarded(name: str, call: Call) -> Call:
    def guarded() -> Any:
        try:
            return call()
        except Exception as error:
            raise _CallFailed(name, error) from None

    return guarded
