"""Measures a few cases at one length, together with the baseline: cost counted, time in turn."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from attncourse.measure.bench.case import Case, Shape, Suite
from attncourse.measure.bench.instrument import Instrument
from attncourse.measure.bench.prepared import Prepared
from attncourse.measure.bench.report import Direction, Row
from attncourse.measure.bench.verdict import failed
from attncourse.measure.cost import flops
from attncourse.measure.gpu import release_memory
from attncourse.measure.timing import Call, interleaved, spread

Listen = Callable[[str], None]
"""Told what is being done."""


def measure_group(
    suite: Suite,
    shape: Shape,
    group: list[tuple[Case, Row]],
    n: int,
    direction: Direction,
    instrument: Instrument,
    listen: Listen,
) -> list[Row]:
    """The rows of a group of cases at one length, timed together with the baseline."""
    rows: dict[str, Row] = {}
    bench = _Bench(shape, n, instrument)
    base = suite.baseline
    calls: dict[str, Call] = {base.name: bench.prepared(base, direction)}
    try:
        calls[base.name]()
    except Exception as error:
        release_memory()
        says = f"of the baseline, {base.name}"
        return [failed(replace(row, n=n, remark=says), error) for _, row in group]
    for case, empty in group:
        listen(f"{case.name}, n = {n}, {direction}")
        try:
            call, row = bench.count(case, replace(empty, n=n))
        except Exception as error:
            rows[case.name] = failed(replace(empty, n=n), error)
            release_memory()
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


class _Bench:
    """Makes calls of one size and counts their cost; cases with the same inputs share them."""

    def __init__(self, shape: Shape, n: int, instrument: Instrument) -> None:
        self._size = shape.of(n, instrument.device)
        self._instrument = instrument
        self._inputs: dict[Any, Any] = {}

    def prepared(self, case: Case, direction: Direction) -> Prepared:
        """The case on inputs of this size, as many copies as the instrument wants."""
        if case.inputs not in self._inputs:
            self._inputs[case.inputs] = case.inputs(self._size)
        inputs = self._inputs[case.inputs]
        return Prepared(case, inputs, direction, copies=self._instrument.copies)

    def count(self, case: Case, row: Row) -> tuple[Call, Row]:
        """Peak memory, FLOPs and the floor of a case, and the call that remains to be timed."""
        call = self.prepared(case, row.direction)
        backward = row.direction != "forward"
        if case.work is not None:
            counted: int | None = case.work(self._size, backward)
            call()
        elif case.countable:
            counted = flops(call)
        else:
            counted = None
            call()
        peak, launch = self._instrument.peak(call), self._instrument.launch
        row = replace(row, peak_bytes=peak, launch_seconds=launch(call) if launch else None)
        if counted is None:
            return call, row
        moved = (call.input_bytes + call.output_bytes) * (2 if backward else 1)
        floor = self._instrument.ceilings[row.dtype].floor(counted, moved)
        return call, replace(row, flops=counted, moved_bytes=moved, floor_seconds=floor)


class _CallFailed(Exception):
    """A call raised an error while it was timed; holds which one."""

    def __init__(self, name: str, error: Exception) -> None:
        super().__init__(name)
        self.name = name
        self.error = error


def _time(
    calls: dict[str, Call], rows: dict[str, Row], instrument: Instrument, baseline: str
) -> dict[str, list[float]]:
    """Seconds of every call; one that raises an error meanwhile is dropped, with its row so."""
    while True:
        guarded = {name: _guarded(name, call) for name, call in calls.items()}
        try:
            return interleaved(guarded, clock=instrument.clock, effort=instrument.effort)
        except _CallFailed as error:
            if error.name == baseline:
                raise error.error from None
            del calls[error.name]
            rows[error.name] = failed(rows[error.name], error.error)
            release_memory()


def _guarded(name: str, call: Call) -> Call:
    def guarded() -> Any:
        try:
            return call()
        except Exception as error:
            raise _CallFailed(name, error) from None

    return guarded
