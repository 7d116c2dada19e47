"""Every mechanism of the library beside the packages that offer the same, in one run.

The instrument is that of `attncourse bench`. A peer is compared with the definition in float64
first; one that differs is marked and not timed. Peers are called on given queries, keys and values:
projections are replaced by what they would give, and nothing but attention is timed.

pip install -r bench/peers.txt       (in an environment of its own, with attncourse and a CPU torch)
python bench/peers.py --out peers.json
"""

import os
import warnings
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # before torch: its allocator's comments

import click
import huggingface
import lucidrains
import others
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from attncourse.measure.bench.case import Case, Suite
from attncourse.measure.bench.choice import chosen
from attncourse.measure.bench.report import Report, Row, to_json
from attncourse.measure.bench.runner import steps
from attncourse.measure.bench.session import measure
from attncourse.measure.bench.suites import scaling
from attncourse.measure.bench.table import LEGEND, heading, tables

PEERS: dict[str, Callable[[], list[Case]]] = {
    **others.PEERS,
    **lucidrains.PEERS,
    **huggingface.PEERS,
}
OURS = "attncourse"


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--quick", is_flag=True, help="Short lengths, fewer rounds.")
@click.option("--lengths", help="Lengths in place of the suite's: 4096,8192.")
@click.option("--flex", is_flag=True, help="Also FlexAttention: minutes of compilation.")
@click.option("--out", type=click.Path(path_type=Path), help="Also write the results as JSON.")
def main(
    names: tuple[str, ...], quick: bool, lengths: str | None, flex: bool, out: Path | None
) -> None:
    """Compare the library with its peers; with NAME..., only these, as for `attncourse bench`."""
    missing = [name for name in PEERS if not installed(name)]
    if len(missing) == len(PEERS) - 1:  # torch is there
        raise click.ClickException("no peer is installed: pip install -r bench/peers.txt")
    if missing:
        click.echo(f"Not installed, so left out: {', '.join(missing)} (see bench/peers.txt)")
    wanted = [name for name in PEERS if name not in missing and (flex or name != "torch")]
    try:
        [suite] = chosen([with_peers(scaling(), wanted)], names)
    except ValueError as error:
        raise click.ClickException(str(error)) from None
    if lengths:
        given = tuple(int(n) for n in lengths.split(","))
        suite = replace(suite, lengths=given, quick_lengths=given)
    words = ["python bench/peers.py", *names, *(["--quick"] if quick else [])]
    words += ["--flex"] if flex else []
    report = run(suite, " ".join([*words, *([f"--lengths {lengths}"] if lengths else [])]), quick)
    console = Console()
    console.print(heading(report))
    for table in (*tables(report, width=console.width), against(report)):
        console.print(table)
    console.print(LEGEND)
    if out is not None:
        out.write_text(to_json(report))
        click.echo(f"wrote {out}")


def installed(package: str) -> bool:
    """Is the package there?"""
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True


def with_peers(suite: Suite, packages: list[str]) -> Suite:
    """The suite with each peer behind the case of ours that it is compared with."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peers = [case for package in packages for case in PEERS[package]()]
    cases = [*suite.cases, *peers]
    order = {case.mechanism: i for i, case in reversed(list(enumerate(cases)))}
    return replace(suite, cases=tuple(sorted(cases, key=lambda case: order[case.mechanism])))


def run(suite: Suite, command: str, quick: bool) -> Report:
    """Measure, with a bar that says what is being measured."""
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    with (
        warnings.catch_warnings(),
        Progress(*columns, console=Console(stderr=True), transient=True) as bar,
    ):
        warnings.simplefilter("ignore")  # of the peers
        task = bar.add_task("", total=steps(suite, quick=quick))
        return measure(
            [suite],
            command,
            quick=quick,
            listen=lambda what: bar.update(task, description=what, advance=1),
        )


def against(report: Report) -> Table:
    """For each mechanism and length, the best of ours over the best peer that is right."""
    table = Table(title="ours against the best peer", title_justify="left", box=None)
    for header in ("mechanism", "direction", "n", "ours ms", "best peer", "ms", "ours / peer"):
        table.add_column(header)
    timed: dict[tuple[str, str, int], list[Row]] = {}
    for row in report.rows:
        if row.seconds is not None:
            timed.setdefault((row.mechanism, row.direction, row.n), []).append(row)
    for (mechanism, direction, n), rows in sorted(timed.items()):
        mine = [row for row in rows if row.implementation == OURS]
        peers = [row for row in rows if row.implementation != OURS]
        if mine and peers:
            ours, peer = (min(_ms(row) for row in some) for some in (mine, peers))
            best = next(row for row in peers if _ms(row) == peer)
            cells = (f"{ours:.3g}", best.implementation, f"{peer:.3g}", f"{ours / peer:.2f}")
            table.add_row(mechanism, direction, str(n), *cells)
    return table


def _ms(row: Row) -> float:
    return 1e3 * row.seconds.median if row.seconds else float("inf")


if __name__ == "__main__":
    main()
