"""``grade --out``: a class on the command line, with a bar, and what is to be told at the end."""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from attncourse.cli import questions
from attncourse.cli.console import STOPPED, BadInput


def grade_class(paths: tuple[Path, ...], options: dict[str, Any]) -> int:
    """Grade a class, with a bar; 0, or 1 if something must be graded again."""
    from attncourse.grading.classroom import preload

    if options["scheduler"] is None:
        preload.start()
    from attncourse.grading.classroom.handed import UnclearError
    from attncourse.grading.sandbox import WARNING, choose

    level = choose(options["isolation"])
    if level == "limits":
        click.echo(f"Warning: {WARNING}", err=True)
    try:
        while True:
            order = _order(level, options)
            try:
                with _cluster(options["scheduler"], order) as scheduler:
                    report = _with_bar(paths, options["out"], order, scheduler)
                return _tell(report, options["out"])
            except UnclearError as unclear:
                options |= questions.answered(unclear, options)
    except KeyboardInterrupt:
        click.echo("Stopped. What is graded is kept: the same command goes on.", err=True)
        return STOPPED


def _order(level: str, options: dict[str, Any]) -> Any:
    """What was asked for by the options."""
    from attncourse.grading.classroom import assignment, run, secret, weights
    from attncourse.grading.classroom.exports import Files
    from attncourse.grading.classroom.settings import Settings
    from attncourse.grading.judge.allowance import Limits

    words = [word for text in options["exercises"] for word in text.split(",") if word]
    said = Settings(
        weights.read(options["weights"]) if options["weights"] else None,
        assignment.named(words),
        options["layout"] or "",
        options["prefer"],
    )
    return run.Order(
        level=level,
        limits=Limits(options["seconds"], int(options["memory"] * 2**30)),
        jobs=options["jobs"] or _cores(),
        said=said,
        change=options["change"],
        files=Files(options["canvas"], options["moodle"]),
        regrade=options["regrade"],
        secret=secret.read(options["secret"]) if options["secret"] else None,
    )


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextlib.contextmanager
def _cluster(address: str | None, order: Any) -> Iterator[Any]:
    """The scheduler of a cluster while a class is graded; None where none is asked for."""
    if address is None:
        yield None
        return
    try:
        from attncourse.grading.classroom.cluster import Cluster
    except ImportError:
        raise BadInput("--scheduler needs Dask: pip install 'attncourse[cluster]'") from None
    with Cluster(address, order.level, order.limits) as scheduler:
        yield scheduler


def _with_bar(paths: tuple[Path, ...], out: Path, order: Any, scheduler: Any) -> Any:
    """Grade, with a bar that says how far it is, how fast, and how long it will take."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    from attncourse.grading.classroom import run

    columns = (
        TextColumn("grading"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("{task.description}", markup=False),
    )
    console = Console(stderr=True)
    if not console.is_terminal:
        return run.grade_class(paths, out, order, scheduler=scheduler)
    bar, began = Progress(*columns, console=console, transient=True), time.monotonic()
    task = bar.add_task("", total=None, rate="")

    def listen(done: int, total: int, whose: str) -> None:
        minutes = max(time.monotonic() - began, 1e-3) / 60
        rate = f"{done / minutes:.0f} a minute" if done else ""
        bar.start()
        bar.update(task, completed=done, total=total, description=whose, rate=rate)

    try:
        return run.grade_class(paths, out, order, listen, scheduler)
    finally:
        bar.stop()


def _tell(report: Any, out: Path) -> int:
    """What was done, what is to be looked at, where it is written."""
    from attncourse.grading.classroom import insight

    book, rows = report.book, report.book.rows
    known = f", {report.known} known already" if report.known else ""
    students, graded = _many(len(rows), "student"), _many(report.graded, "submission")
    click.echo(f"{students}, {graded} graded{known}.")
    middle = insight.median(insight.percents(book))
    if middle is not None:
        click.echo(f"Median {middle:.0f}% of {book.scheme.points:g} points.")
    for mistake in insight.mistakes(book)[:3]:
        name = mistake.name.replace("_", " ")
        click.echo(f"  {len(mistake.students)} x {name} ({mistake.exercise}): {mistake.advice}")
    for what, count in _counts(book).items():
        if count:
            click.echo(f"{what}: {count} (see class.html).")
    for note in report.notes:
        click.echo(f"Note: {note}")
    click.echo(f"Isolation: {book.manifest['isolation']}. Digest: {book.digest[:16]}.")
    click.echo(f"Wrote {', '.join(report.written)} in {out}.")
    again = [str(row.student) for row in rows if row.state == "needs-regrade"]
    if again:
        click.echo(f"To grade again, by the same command: {', '.join(again)}.", err=True)
    return 1 if again else 0


def _many(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _counts(book: Any) -> dict[str, int]:
    """What a teacher should look at, and how often there is some."""
    from attncourse.grading.classroom.remarks import remarks

    told = {remark.heading: len(remark.items) for remark in remarks(book)}
    return told | {
        "Files handed in by several students": len(book.duplicates),
        "Pairs of answers that are alike": len(book.similar),
        "Files that belong to no one": len(book.left_out),
    }
