"""Two reports beside each other: what became faster, slower, right or wrong between them."""

from collections.abc import Iterator
from dataclasses import dataclass

from rich.table import Table

from attncourse.measure.bench.report import Report, Row


@dataclass(frozen=True)
class Pair:
    """A row of one report and the same row of another; one of them may be missing."""

    a: Row | None
    b: Row | None

    @property
    def row(self) -> Row:
        """The one there is."""
        row = self.a or self.b
        if row is None:
            raise ValueError("a pair must hold at least 1 row: got 0")
        return row

    def ratio(self) -> float | None:
        """B's time over A's, if both were measured."""
        if self.a and self.b and self.a.seconds and self.b.seconds:
            return self.b.seconds.median / self.a.seconds.median
        return None


def pairs(a: Report, b: Report) -> Iterator[Pair]:
    """Every row of either report once, in the order of A's, then what only B has."""
    first, second = ({_key(row): row for row in report.rows} for report in (a, b))
    for key in dict.fromkeys([*first, *second]):
        yield Pair(first.get(key), second.get(key))


def caution(a: Report, b: Report) -> str:
    """What keeps the two from being compared time by time, or nothing."""
    different = [
        f"{name}: {left} and {right}"
        for name in ("device", "threads", "torch")
        if (left := getattr(a.provenance, name)) != (right := getattr(b.provenance, name))
    ]
    if not different:
        return ""
    return (
        "The two runs differ in "
        + "; ".join(different)
        + ". Compare their times over the baseline, not their times."
    )


def versus(a: Report, b: Report) -> Table:
    """The table of all pairs: times, B over A, times over the baseline, peak memory."""
    table = Table(title="A and B", title_justify="left", box=None, header_style="bold")
    headers = ("suite", "mechanism", "direction", "n", "A ms", "B ms", "B / A")
    for header in (*headers, "A × base", "B × base", "peak B / A"):
        table.add_column(header, overflow="fold")
    for pair in pairs(a, b):
        row = pair.row
        name = row.mechanism
        if row.implementation != "attncourse":
            name += f" ({row.implementation})"
        ratio, peak = pair.ratio(), _peak(pair)
        table.add_row(
            f"{row.suite}, {row.dtype}, d = {row.d}",
            name,
            row.direction,
            str(row.n),
            _milliseconds(pair.a),
            _milliseconds(pair.b),
            "" if ratio is None else f"{ratio:.2f}",
            _over_base(pair.a),
            _over_base(pair.b),
            "" if peak is None else f"{peak:.2f}",
        )
    return table


def _key(row: Row) -> tuple[object, ...]:
    shape = row.batch, row.h, row.d, row.dtype
    # what was refused stands at its check's length: it has no other
    n = row.n if row.state != "wrong" else None
    return row.suite, row.mechanism, row.implementation, row.direction, shape, n


def _milliseconds(row: Row | None) -> str:
    if row is None:
        return "absent"
    return f"{1e3 * row.seconds.median:.4g}" if row.seconds else row.state


def _over_base(row: Row | None) -> str:
    return f"{row.ratio.median:.3f}" if row and row.ratio else ""


def _peak(pair: Pair) -> float | None:
    if pair.a and pair.b and pair.a.peak_bytes and pair.b.peak_bytes is not None:
        return pair.b.peak_bytes / pair.a.peak_bytes
    return None
