"""For teachers: ``grade`` and ``doctor``."""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from attncourse.cli.console import BadInput

_SEVERAL = "processes at once (default: one, or with --out as many as there are cores)"


@click.command()
@click.argument(
    "paths", metavar="SUBMISSIONS...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option("--out", type=click.Path(path_type=Path), help="Grade a class; write results here.")
@click.option("--weights", type=click.Path(path_type=Path), help="TOML: points and weights.")
@click.option("--canvas", type=click.Path(path_type=Path), help="Canvas's export, to be filled.")
@click.option("--regrade", multiple=True, help="A student or an exercise to grade again.")
@click.option("--seconds", default=5.0, show_default=True, help="Processor time of an exercise.")
@click.option("--memory", default=2.0, show_default=True, help="GiB a submission may use.")
@click.option("--jobs", "-n", type=click.IntRange(1, 256), help=_SEVERAL.capitalize() + ".")
@click.option(
    "--isolation",
    type=click.Choice(["auto", "require", "bubblewrap", "kernel", "limits"]),
    default="auto",
    show_default=True,
    help="How submissions are confined; require fails where they cannot be.",
)
@click.option("--scheduler", metavar="ADDRESS", help="A Dask cluster's, to grade on; needs --out.")
@click.option("--junitxml", type=click.Path(path_type=Path), help="Also write JUnit XML.")
@click.pass_context
def grade(context: click.Context, /, paths: tuple[Path, ...], **options: Any) -> None:
    """Grade SUBMISSIONS...: notebooks, .py files, folders of them; with --out a whole class.

    Every submission runs in a process of its own, confined, with limits on time and memory; one
    that hangs, exits or cannot be read costs only itself.

    With --out the class may lie as Canvas, Moodle, nbgrader or GitHub Classroom lay it down, or
    as a folder for each student, or as a zip of any of these. Written are gradebook.csv,
    class.html, a page for each student, results.json, junit.xml, similarity.csv, and imports
    for Canvas (with --canvas) and Moodle. What was graded is kept: stopped at any moment, the
    same command goes on; changed files are graded again. Exits with 0 unless something must be
    graded again.

    Without --out it is `pytest --grade SUBMISSIONS...`, which takes all of pytest's options, and
    exits with 0 if everything passed, with 1 otherwise.

    \b
    For example:  attncourse grade submissions/
                  attncourse grade submissions.zip --out results/
                  attncourse grade submissions/ --out results/ --weights weights.toml --jobs 4
                  attncourse grade submissions/ --out results/ --regrade "Ada Lovelace"
                  attncourse grade submissions/ --out results/ --scheduler tcp://10.0.0.1:8786
    """
    for path in paths:
        if not path.exists():
            raise BadInput(f"there is no file or folder {path}")
    if options["out"] is None:
        for name in ("weights", "canvas", "regrade", "scheduler"):
            if options[name]:
                raise BadInput(f"--{name} needs --out: it is for grading a class")
        context.exit(_by_pytest(paths, options))
    if options["junitxml"]:
        raise BadInput("--junitxml goes without --out, which writes junit.xml by itself")
    context.exit(_class(paths, options))


@click.command()
def doctor() -> None:
    """Say how strongly submissions are confined on this machine, and what that prevents.

    \b
    For example:  attncourse doctor
    """
    from attncourse.course.grading.sandbox import doctor as lines

    for line in lines():
        click.echo(line)


def _by_pytest(paths: tuple[Path, ...], options: dict[str, Any]) -> int:
    """Pytest's table in the terminal; its exit code."""
    for path in paths:
        if path.is_dir() and not any(path.rglob("*.ipynb")) and not any(path.rglob("*.py")):
            raise BadInput(f"there is no notebook or .py file in {path}")
        if path.suffix == ".zip":
            raise BadInput(f"{path} is a zip, which is opened only with --out")
        if any(path.rglob("*.zip")):
            click.echo(f"Note: a zip in {path} is opened only with --out.", err=True)
    try:
        import pytest
    except ImportError:
        raise BadInput("grading needs pytest: pip install 'attncourse[grade]'") from None
    words = ["--grade", f"--grade-seconds={options['seconds']}", "-q"]
    words += [f"--grade-memory={options['memory']}", f"--grade-isolation={options['isolation']}"]
    words += [f"--config-file={os.devnull}", f"--rootdir={Path.cwd()}", "-p", "no:cacheprovider"]
    words += [f"--junitxml={options['junitxml']}"] if options["junitxml"] else []
    words += (
        ["-n", str(options["jobs"]), "--dist", "loadfile"] if (options["jobs"] or 1) > 1 else []
    )
    return min(int(pytest.main([*words, *map(str, paths)])), 2)


def _class(paths: tuple[Path, ...], options: dict[str, Any]) -> int:
    """Grade a class, with a bar; 0, or 1 if something must be graded again."""
    from attncourse.course.grading.classroom import run, schedule
    from attncourse.course.grading.classroom.archive import ArchiveError
    from attncourse.course.grading.classroom.exports.canvas import ExportError
    from attncourse.course.grading.classroom.journal import JournalError
    from attncourse.course.grading.classroom.weights import WeightsError, read
    from attncourse.course.grading.remote import Limits
    from attncourse.course.grading.sandbox import WARNING, IsolationError, choose

    try:
        order = run.Order(
            level=choose(options["isolation"]),
            limits=Limits(options["seconds"], int(options["memory"] * 2**30)),
            jobs=options["jobs"] or _cores(),
            scheme=read(options["weights"]),
            canvas=options["canvas"],
            regrade=options["regrade"],
        )
        if order.level == "limits":
            click.echo(f"Warning: {WARNING}", err=True)
        with _cluster(options["scheduler"], order) as scheduler:
            report = _with_bar(paths, options["out"], order, scheduler)
    except (
        run.ClassError,
        ArchiveError,
        schedule.ClusterError,
        ExportError,
        IsolationError,
        JournalError,
        WeightsError,
    ) as error:
        raise BadInput(str(error)) from None
    except KeyboardInterrupt:
        click.echo("Stopped. What is graded is kept: the same command goes on.", err=True)
        return 130
    return _tell(report, options["out"])


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextlib.contextmanager
def _cluster(address: str | None, order: Any) -> Iterator[Any]:
    """The scheduler of a cluster while a class is graded; None where none is asked for."""
    if address is None:
        yield None
        return
    try:
        from attncourse.course.grading.classroom.cluster import Cluster
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

    from attncourse.course.grading.classroom.run import grade_class

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
        return grade_class(paths, out, order, scheduler=scheduler)
    bar, began = Progress(*columns, console=console, transient=True), time.monotonic()
    task = bar.add_task("", total=None, rate="")

    def listen(done: int, total: int, whose: str) -> None:
        minutes = max(time.monotonic() - began, 1e-3) / 60
        rate = f"{done / minutes:.0f} a minute" if done else ""
        bar.start()
        bar.update(task, completed=done, total=total, description=whose, rate=rate)

    try:
        return grade_class(paths, out, order, listen, scheduler)
    finally:
        bar.stop()


def _tell(report: Any, out: Path) -> int:
    """What was done, what is to be looked at, where it is written."""
    from attncourse.course.grading.classroom import insight

    book, rows = report.book, report.book.rows
    known = f", {report.known} known already" if report.known else ""
    click.echo(f"{len(rows)} students, {report.graded} submissions graded{known}.")
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


def _counts(book: Any) -> dict[str, int]:
    """What a teacher should look at, and how often there is some."""
    unread = [row for row in book.rows if row.state in ("unreadable", "no exercise found")]
    return {
        "Late": sum(row.late is True for row in book.rows),
        "Without anything that can be graded": len(unread),
        "Files handed in by several students": len(book.duplicates),
        "Pairs of answers that are alike": len(book.similar),
        "Files that belong to no one": len(book.left_out),
    }
