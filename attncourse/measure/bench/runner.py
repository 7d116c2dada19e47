"""Runs a suite: checks every case, then measures what is right, beside the baseline, in turn."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from attncourse.measure.bench.budget import (
    Budget,
    by_worth,
    cost,
    expected_bytes,
    expected_seconds,
    no_memory,
    no_time,
)
from attncourse.measure.bench.case import Case, Shape, Suite
from attncourse.measure.bench.group import Listen, measure_group
from attncourse.measure.bench.instrument import Instrument
from attncourse.measure.bench.report import Direction, Row
from attncourse.measure.bench.verdict import joined, left_out_row, sort_out
from attncourse.measure.memory import memory_limit

DIRECTIONS: tuple[Direction, ...] = ("forward", "forward+backward")
GROUP = 6  # as many cases share a round with one run of the baseline

Keep = Callable[[list[Row]], None]
"""Given all rows so far, whenever a length is done."""


def steps(suite: Suite, *, quick: bool = False) -> int:
    """How often `run` tells its listener something, at most."""
    lengths = _lengths(suite, quick)
    cases = [case for shape in suite.shapes for case in suite.every_case(shape)]
    at = sum(1 for n in lengths for case in cases if n <= case.longest)
    return len(DIRECTIONS) * (len(cases) + at)


def run(
    suite: Suite,
    instrument: Instrument,
    *,
    quick: bool = False,
    listen: Listen = lambda what: None,
    keep: Keep = lambda rows: None,
    budget: Budget | None = None,
) -> list[Row]:
    """The rows of a suite, length by length; a case that is wrong is reported and never timed.

    For each shape and direction, each case is first compared with its definition at a small length.
    At each length, peak memory and FLOPs are counted, which warms up, and then the cases are timed
    in groups, each together with the baseline, in turn. Memory that runs out is a result, and so
    are a call that would take too long and any other error.

    With a budget the cases come in the order of their worth, each shape and direction takes half of
    the time that is left, the last of them all, and what finds no time is a row that says so.
    """
    rows: list[Row] = []
    whole = budget or Budget()
    if whole.bounded:
        suite = replace(suite, cases=tuple(by_worth(suite.cases, suite.baseline)))
    parts = [(shape, direction) for shape in suite.shapes for direction in DIRECTIONS]
    lengths = _lengths(suite, quick)
    for place, (shape, direction) in enumerate(parts, 1):
        share = whole.share(1 if place == len(parts) else 2)
        part = _Part(suite, shape, direction, instrument, listen, share)
        right, refused, left = sort_out(
            suite, shape, direction, instrument.device, listen, part.refuses
        )
        rows += refused
        rows += [replace(row, n=n) for case, row in left for n in lengths if n <= case.longest]
        for n in lengths:
            cases = [(case, row) for case, row in right if n <= case.longest]
            rows += _at_length(part, cases, n, rows)
            keep(with_exponents(rows))
    return with_exponents(rows)


@dataclass(frozen=True)
class _Part:
    """One shape of a suite in one direction, and the time that it has."""

    suite: Suite
    shape: Shape
    direction: Direction
    instrument: Instrument
    listen: Listen
    budget: Budget

    def refuses(self, case: Case) -> str:
        """Why a case is not tried at all, or nothing."""
        card, effort = self.instrument.card, self.instrument.effort
        return (card.lacks(case) if card else "") or no_time(None, effort, self.budget.left())

    def leaves_out(self, case: Case, n: int, earlier: list[Row], left: float) -> str:
        """Why a case is not measured at a length, or nothing."""
        free, wanted = self.instrument.free(), expected_bytes(n, self._input_bytes(n), earlier)
        seconds = expected_seconds(case, n, earlier)
        return no_time(seconds, self.instrument.effort, left) or no_memory(wanted, free)

    def cost(self, case: Case, n: int, earlier: list[Row]) -> float:
        """Seconds that it will take to measure a case at a length, as far as one can tell."""
        seconds = expected_seconds(case, n, earlier)
        return cost(seconds, self.instrument.effort) if seconds else 0.0

    def _input_bytes(self, n: int) -> int:
        shape = self.shape
        each = 4 * shape.batch * shape.h * n * shape.d * shape.dtype.itemsize
        both = 1 if self.direction == "forward" else 2
        return each * self.instrument.copies(each) * both


def _at_length(part: _Part, cases: list[tuple[Case, Row]], n: int, before: list[Row]) -> list[Row]:
    """The rows of all cases at one length, those that are not worth trying included."""
    rows: list[Row] = []
    due: list[tuple[Case, Row]] = []
    left = part.budget.left()
    for case, empty in cases:
        earlier = _earlier(before, replace(empty, n=n))
        without = _not_tried(part, case, replace(empty, n=n), earlier, left)
        if without is None:
            due.append((case, empty))
            left -= part.cost(case, n, earlier)
        else:
            part.listen(f"{case.name}, n = {n}, {part.direction}: {without.state}")
            rows.append(without)
    if any(row.state == "left out" and _is(row, part.suite.baseline) for row in rows):
        return rows + [_left_with_baseline(replace(empty, n=n)) for _, empty in due]
    with memory_limit():
        size = _group_size(part.shape, n, part.instrument)
        for start in range(0, len(due), size):
            rows += _measured(part, due[start : start + size], n, first=start == 0)
    return rows


def _not_tried(part: _Part, case: Case, row: Row, earlier: list[Row], left: float) -> Row | None:
    """The row of a case that is not tried at its length; None where it is."""
    hopeless = _hopeless(case, row, earlier, part.instrument.effort.patience)
    if hopeless is not None and case is not part.suite.baseline:
        return hopeless
    reason = part.leaves_out(case, row.n, earlier, left)
    return left_out_row(row, reason) if reason else None


def _measured(part: _Part, group: list[tuple[Case, Row]], n: int, *, first: bool) -> list[Row]:
    """The rows of a group, which is left out if the time went by meanwhile."""
    late = "" if first else no_time(None, part.instrument.effort, part.budget.left())
    if late:
        return [left_out_row(replace(empty, n=n), late) for _, empty in group]
    return measure_group(
        part.suite, part.shape, group, n, part.direction, part.instrument, part.listen
    )


def _is(row: Row, case: Case) -> bool:
    return (row.mechanism, row.implementation) == (case.mechanism, case.implementation)


def _left_with_baseline(row: Row) -> Row:
    """The row of a case without whose baseline there is no ratio."""
    return left_out_row(row, "baseline: left out at this length")


def _earlier(before: list[Row], row: Row) -> list[Row]:
    """The rows of the same measurement at shorter lengths."""
    return [r for r in before if _key(r, 0) == _key(row, 0) and r.n < row.n]


def _hopeless(case: Case, row: Row, earlier: list[Row], patience: float) -> Row | None:
    """The row of a case that ran out of memory before, or is expected to take too long."""
    if any(r.state == "out of memory" for r in earlier):
        return replace(row, state="out of memory", remark=joined(row.remark, "as before"))
    expected = expected_seconds(case, row.n, earlier)
    if expected is None or expected <= patience:
        return None
    remark = f"about {expected:.0f} s a call expected, more than {patience:g} s"
    return replace(row, state="too slow", remark=joined(row.remark, remark))


def _group_size(shape: Shape, n: int, instrument: Instrument) -> int:
    """Several cases at once, unless their inputs would take much of the memory."""
    if instrument.free() == math.inf:
        return GROUP
    each = 4 * shape.batch * shape.h * n * shape.d * shape.dtype.itemsize
    return GROUP if (GROUP + 1) * 3 * each * instrument.copies(each) < instrument.free() / 4 else 1


def with_exponents(rows: list[Row]) -> list[Row]:
    """The rows, each with log2 of its time over the time at half its length, where known."""
    times = {_key(row, row.n): row.seconds.median for row in rows if row.seconds}
    return [_with_exponent(row, times.get(_key(row, row.n // 2))) for row in rows]


def _with_exponent(row: Row, before: float | None) -> Row:
    if row.seconds is None or not before or not row.seconds.median or row.n % 2:
        return row
    return replace(row, exponent=math.log2(row.seconds.median / before))


def _key(row: Row, n: int) -> tuple[Any, ...]:
    shape = row.batch, row.h, row.d, row.dtype
    return row.suite, row.mechanism, row.implementation, row.direction, shape, n


def _lengths(suite: Suite, quick: bool) -> tuple[int, ...]:
    return suite.quick_lengths if quick else suite.lengths
