"""A report as tables for a person: one for each suite and direction, a line for each length."""

from collections.abc import Iterable
from typing import Any

from rich.table import Table

from attncourse.measure.bench.report import Pitfall, Report, Row
from attncourse.measure.timing import Spread

LEGEND = (
    "× base: time over the baseline's in the same round, median and quartiles. exponent: log2 of "
    "the time over that at n / 2, and theory. floor: FLOPs at the matrix rate or bytes at the copy "
    "bandwidth, the larger. launch: how long Python takes to hand over the work. error: relative "
    "to the definition in float64."
)


WIDE = 150  # characters that all columns need
HEADERS = (
    "n",
    "ms",
    "× base",
    "launch ms",
    "peak MiB",
    "GFLOP",
    "exponent",
    "floor ms",
    "× floor",
    "error",
)
ESSENTIAL = ("n", "ms", "× base", "peak MiB", "exponent", "× floor")


def tables(report: Report, *, width: int = WIDE) -> list[Table]:
    """The tables of a report, in the order of its rows; the essential columns if width is small.

    What was left out has no line; `budget.left_out` counts it.
    """
    groups: dict[str, list[Row]] = {}
    rows = [row for row in report.rows if row.state != "left out"]
    for row in rows:
        groups.setdefault(f"{row.suite}, {row.direction}: {_shape(row)}", []).append(row)
    several = len({row.implementation for row in rows}) > 1
    make = _table if width >= WIDE else _narrow_table
    made = [make(title, rows, several) for title, rows in groups.items()]
    return made + ([_pitfalls(report.pitfalls)] if report.pitfalls else [])


def heading(report: Report) -> str:
    """One line on the machine and its ceilings."""
    where = report.provenance
    about = f"{where.device}, {where.threads} threads, torch {where.torch}"
    if not report.ceilings:
        return about
    rates = [f"{top.flops / 1e9:.0f} GFLOP/s in {name}" for name, top in report.ceilings.items()]
    copy = max(top.bandwidth for top in report.ceilings.values())
    return f"{about}: matrix products {', '.join(rates)}; a copy {copy / 1e9:.1f} GB/s"


def _table(title: str, rows: Iterable[Row], several: bool) -> Table:
    rows = _in_order(rows)
    launched = any(row.launch_seconds is not None for row in rows)
    shown = [i for i, header in enumerate(HEADERS) if launched or header != "launch ms"]
    table = Table(title=title, title_justify="left", box=None, header_style="bold")
    table.add_column("mechanism", overflow="fold")
    if several:
        table.add_column("by", overflow="fold")
    for i in shown:
        table.add_column(HEADERS[i], justify="right", no_wrap=True)
    table.add_column("remark", overflow="fold")
    before = None
    for row in rows:
        name = [row.mechanism, *([row.implementation] if several else [])]
        if before not in (None, row.mechanism):
            table.add_section()
        before = row.mechanism
        *cells, remark = _cells(row)
        table.add_row(*name, *(cells[i] for i in shown), remark)
    return table


def _narrow_table(title: str, rows: Iterable[Row], several: bool) -> Table:
    """The essential columns, without quartiles; what was not measured says why under its name."""
    table = Table(title=title, title_justify="left", box=None, header_style="bold")
    table.add_column("mechanism", overflow="fold")
    for header in ESSENTIAL:
        table.add_column(header, justify="right", no_wrap=True)
    for row in _in_order(rows):
        other = several and row.implementation != "attncourse"
        name = f"{row.mechanism} ({row.implementation})" if other else row.mechanism
        *cells, remark = _cells(row)
        told = dict(zip(HEADERS, cells, strict=True))
        if row.seconds is None:
            name += f": {remark}"
        table.add_row(name, *(told[header].partition(" (")[0] for header in ESSENTIAL))
    return table


def _pitfalls(pitfalls: Iterable[Pitfall]) -> Table:
    """What each mistake of timing makes of a call."""
    table = Table(title="how timing goes wrong", title_justify="left", box=None)
    for header in ("call", "mistake", "ms (quartiles)", "× right", "remark"):
        table.add_column(header, overflow="fold")
    for each in pitfalls:
        low, high = (_digits(1e3 * x) for x in (each.seconds.low, each.seconds.high))
        took = f"{_digits(1e3 * each.seconds.median)} ({low} to {high})"
        table.add_row(each.call, each.mistake, took, f"{each.ratio:.2f}", each.remark)
    return table


def _shape(row: Row) -> str:
    several = f"batch {row.batch}, " if row.batch > 1 else ""
    return f"{several}{row.h} heads, d = {row.d}, {row.dtype}"


def _in_order(rows: Iterable[Row]) -> list[Row]:
    """Rows of one mechanism together, then of one implementation, by n; else as they come."""
    rows = list(rows)
    mechanisms = {row.mechanism: i for i, row in reversed(list(enumerate(rows)))}
    forms = {(row.mechanism, row.implementation): i for i, row in reversed(list(enumerate(rows)))}
    return sorted(
        rows,
        key=lambda r: (mechanisms[r.mechanism], forms[r.mechanism, r.implementation], r.n),
    )


def _cells(row: Row) -> list[Any]:
    if row.seconds is None:
        says = row.state if not row.remark else f"{row.state}: {row.remark}"
        return [
            str(row.n),
            *[""] * (len(HEADERS) - 2),
            _number(row.error, ".0e"),
            f"[red]{says}[/red]",
        ]
    median, floor = row.seconds.median, row.floor_seconds
    return [
        str(row.n),
        _digits(1e3 * median),
        _spread(row.ratio),
        _digits(row.launch_seconds, 1e-3),
        _digits(row.peak_bytes, 2**20),
        _digits(row.flops, 1e9),
        f"{_number(row.exponent, '.2f')} ({row.growth:g})",
        _digits(floor, 1e-3),
        _number(median / floor if floor else None, ".1f"),
        _number(row.error, ".0e"),
        row.remark,
    ]


def _spread(ratio: Spread | None) -> str:
    return f"{ratio.median:.3f} ({ratio.low:.3f} to {ratio.high:.3f})" if ratio else ""


def _digits(value: float | None, unit: float = 1.0) -> str:
    """A number in a unit, with three digits at least and never an exponent."""
    if value is None:
        return ""
    scaled = value / unit
    return f"{scaled:.0f}" if scaled >= 100 else f"{scaled:.3g}" if scaled >= 1e-4 else "0"


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
