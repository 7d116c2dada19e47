"""For whoever wants to know how fast: ``bench``."""

import os
from pathlib import Path
from typing import Any

import click

from attncourse.cli.console import BadInput, show, width


@click.command()
@click.argument("names", nargs=-1, metavar="[MECHANISM]...")
@click.option(
    "--device", type=click.Choice(["cpu"]), default="cpu", show_default=True, help="Where to run."
)
@click.option("--suite", "wanted", default="all", show_default=True, help="scaling, decode or all.")
@click.option("--quick", is_flag=True, help="Short lengths, fewer rounds: about a minute.")
@click.option("--out", type=click.Path(path_type=Path), help="Also write the results as JSON.")
@click.pass_context
def bench(
    context: click.Context,
    names: tuple[str, ...],
    device: str,
    wanted: str,
    quick: bool,
    out: Path | None,
) -> None:
    """Time every mechanism against PyTorch's attention: forward, and forward and backward.

    Every implementation is first compared with its definition in float64; one that differs is
    reported and not timed. Then, at each length, all are timed in turn, in one run. The table
    shows time over the baseline's, peak memory, FLOPs, growth with the length, and how far from
    what the machine's arithmetic and bandwidth allow. With MECHANISM..., only those whose name
    contains one of these words. Exits with 1 if an implementation is wrong or fails.

    \b
    For example:  attncourse bench --quick
                  attncourse bench --device cpu --out cpu.json
                  attncourse bench window Linformer
    """
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # or its allocator comments on profiles
    from attncourse.measure.bench.report import to_json
    from attncourse.measure.bench.suites import SUITES
    from attncourse.measure.bench.table import LEGEND, heading, tables

    if wanted != "all" and wanted not in SUITES:
        raise BadInput(f"there is no suite {wanted}: there are {', '.join(SUITES)} and all")
    if out is not None and out.is_dir():
        raise BadInput(f"{out} is a folder")
    if out is not None and not out.absolute().parent.is_dir():
        raise BadInput(f"there is no folder {out.parent}")
    suites = [make().only(names) for name, make in SUITES.items() if wanted in ("all", name)]
    if not any(suite.cases for suite in suites):
        raise BadInput(f"no mechanism's name contains {' or '.join(names)}")
    words = ["attncourse bench", *names, f"--device {device} --suite {wanted}"]
    report = _measure(suites, " ".join([*words, *(["--quick"] if quick else [])]), quick)
    show(heading(report))
    for table in tables(report, width=width()):
        show(table)
    show(LEGEND)
    if out is not None:
        out.write_text(to_json(report))
        click.echo(f"wrote {out}")
    context.exit(1 if any(row.state in ("wrong", "failed") for row in report.rows) else 0)


def _measure(suites: list[Any], command: str, quick: bool) -> Any:
    """Run the suites, with a bar that says what is being measured."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from attncourse.measure.bench.runner import measure, steps

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=sum(steps(suite, quick=quick) for suite in suites))

        def listen(what: str) -> None:
            bar.update(task, description=what, advance=1)

        return measure(suites, command, quick=quick, listen=listen)
