"""Runs a suite: checks every case, then measures what is right, beside the baseline, in turn."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from attncourse.measure.bench.case import Case, Shape, Suite
from attncourse.measure.bench.group import Listen, measure_group
from attncourse.measure.bench.instrument import Instrument
from attncourse.measure.bench.report import Direction, Row
from attncourse.measure.bench.verdict import joined, sort_out
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
) -> list[Row]:
    """The rows of a suite, length by length; a case that is wrong is reported and never timed.

    For each shape and direction, each case is first compared with its definition at a small length.
    At each length, peak memory and FLOPs are counted, which warms up, and then the cases are timed
    in groups, each together with the baseline, in turn. Memory that runs out is a result, and so
    are a call that would take too long and any other error.
    """
    rows: list[Row] = []
    for shape in suite.shapes:
        for direction in DIRECTIONS:
            right, refused = sort_out(suite, shape, direction, instrument.device, listen)
            rows += refused
            for n in _lengths(suite, quick):
                cases = [(case, row) for case, row in right if n <= case.longest]
                rows += _at_length(suite, shape, cases, n, rows, direction, instrument, listen)
                keep(with_exponents(rows))
    return with_exponents(rows)


def _at_length(
    suite: Suite,
    shape: Shape,
    cases: list[tuple[Case, Row]],
    n: int,
    before: list[Row],
    direction: Direction,
    instrument: Instrument,
    listen: Listen,
) -> list[Row]:
    """The rows of all cases at one length, those that are not worth trying included."""
    rows, due = [], []
    for case, empty in cases:
        hopeless = _hopeless(case, replace(empty, n=n), before, instrument.effort.patience)
        if hopeless is None or case is suite.baseline:
            due.append((case, empty))
        else:
            listen(f"{case.name}, n = {n}, {direction}: {hopeless.state}")
            rows.append(hopeless)
    with memory_limit():
        size = _group_size(shape, n, instrument)
        for start in range(0, len(due), size):
            group = due[start : start + size]
            rows += measure_group(suite, shape, group, n, direction, instrument, listen)
    return rows


def _hopeless(case: Case, row: Row, before: list[Row], patience: float) -> Row | None:
    """The row of a case that ran out of memory before, or is expected to take too long."""
    earlier = [r for r in before if _key(r, 0) == _key(row, 0) and r.n < row.n]
    if any(r.state == "out of memory" for r in earlier):
        return replace(row, state="out of memory", remark=joined(row.remark, "as before"))
    timed = [r for r in earlier if r.seconds is not None]
    if not timed or timed[-1].seconds is None:
        return None
    expected = timed[-1].seconds.median * (row.n / timed[-1].n) ** case.growth
    if expected <= patience:
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
