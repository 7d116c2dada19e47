"""For whoever wants to know how fast: ``bench``."""

import os
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from attncourse.cli.console import BadInput, show, width

NAMES = ("scaling", "decode", "kernels", "roofline")
EVERY = (*NAMES, "pitfalls", "all")
QUICK_MINUTES = 3  # that --quick takes at most on a card


def _file(context: click.Context, parameter: click.Parameter, path: Path | None) -> Path | None:
    """A path that a file can be written to."""
    if path is not None and path.is_dir():
        raise BadInput(f"{path} is a folder")
    if path is not None and not path.absolute().parent.is_dir():
        raise BadInput(f"there is no folder {path.parent}")
    return path


def _numbers(context: click.Context, parameter: click.Parameter, text: str) -> tuple[int, ...]:
    """Lengths: 512,4096."""
    try:
        lengths = tuple(int(word) for word in text.split(",") if word)
    except ValueError:
        lengths = (0,)
    if any(length < 1 for length in lengths):
        raise BadInput(f"lengths must be numbers above 0 with commas between: got {text}")
    return lengths


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda", "mps"]),
    default="auto",
    show_default=True,
    help="Where to run; auto is a CUDA device (NVIDIA's, or AMD's by ROCm) where there is one.",
)
@click.option(
    "--suite", type=click.Choice(EVERY), default="all", show_default=True, help="What to measure."
)
@click.option("--quick", is_flag=True, help="Short lengths, fewer rounds: at most 3 minutes.")
@click.option(
    "--minutes",
    type=click.FloatRange(0, min_open=True),
    help="Plan for so many: what matters most first, and say what was left out.",
)
@click.option(
    "--lengths", default="", callback=_numbers, help="Lengths in place of the suite's: 512,4096."
)
@click.option("--dtype", type=click.Choice(["float32", "bfloat16", "float16"]), help="Only this.")
@click.option("--d", "d", type=click.IntRange(1), help="Only heads of this width.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    callback=_file,
    help="Also write the results as JSON, as they come.",
)
@click.option(
    "--predict",
    metavar="CARD",
    default="",
    help="Measure nothing; the plan of a quick run on T4, L4, H100 ..., with its least time.",
)
@click.option(
    "--compare",
    nargs=2,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Measure nothing; set two files of results beside each other.",
)
@click.pass_context
def bench(context: click.Context, /, names: tuple[str, ...], **options: Any) -> None:
    """Time every mechanism against PyTorch's attention: forward, and forward and backward.

    Every implementation is first compared with its definition in float64; one that differs is
    reported and not timed. Then, at each length, all are timed in turn, in one run. The table
    shows time over the baseline's, peak memory, FLOPs, growth with the length, and how far from
    what the machine's arithmetic and bandwidth allow. Exits with 1 if an implementation is wrong or
    fails.

    With --minutes the first call of everything is measured, the next length predicted from it, and
    what would take too long, or more memory than is free, is left out and counted; so is what the
    card does not run (a T4, or AMD's by ROCm: kernels written for others). Apple's GPU (mps) is not
    measured: it has no events and no gauge of memory that the bench could read.

    With NAME..., only these: a function (sliding_window_attention), a mechanism as the tables call
    it ("window 256"), or a part of such names (window).

    Suites: scaling (every mechanism over the length), decode (one token, many cached), kernels
    (what has a kernel of its own), roofline (calls of every arithmetic intensity), pitfalls (a
    call timed with each classic mistake).

    \b
    For example:  attncourse bench --quick
                  attncourse bench --device cpu --suite scaling --out cpu.json
                  attncourse bench --device cuda --minutes 5 --out cuda-t4-all.json
                  attncourse bench --device cuda --suite kernels --dtype bfloat16 --d 128
                  attncourse bench linformer_attention "window 256" --lengths 4096,8192
                  attncourse bench --compare before.json after.json
    """
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # or its allocator comments on profiles
    if options["compare"]:
        _compare(*options["compare"])
        return
    if options["predict"]:
        _predict(names, options)
        return
    device = _device(options["device"])
    suites = _suites(names, device, options)
    if device == "cpu" and (neighbours := _neighbours()):
        click.echo(neighbours, err=True)
    mistakes = options["suite"] in ("pitfalls", "all") and not (names or options["lengths"])
    report = _measure(suites, mistakes, _command(names, device, options), device, options)
    from attncourse.measure.bench.table import LEGEND, heading, tables

    show(heading(report))
    for table in tables(report, width=width()):
        show(table)
    show(LEGEND)
    for line in _left_out(report, device):
        click.echo(line)
    if options["out"] is not None:
        click.echo(f"wrote {options['out']}")
    context.exit(1 if any(row.state in ("wrong", "failed") for row in report.rows) else 0)


def _device(wanted: str) -> str:
    """The device to use; the CPU, and a word about it, where CUDA was asked for and is not."""
    import torch

    if wanted == "mps":
        raise BadInput(
            "--device mps: the bench cannot time Apple's GPU or read its memory; take --device cpu"
        )
    if wanted != "cpu" and torch.cuda.is_available():
        return "cuda"
    if wanted == "cuda":
        click.echo("There is no CUDA device here: the CPU is measured instead.", err=True)
    return "cpu"


def _neighbours() -> str:
    """A warning where other processes leave too few cores for PyTorch's threads, or nothing.

    An operation on all threads waits for the last of them, and who waits spins for a while, on the
    core that the other may need: `bench/busy.py` has what comes of it.
    """
    try:
        import psutil
        import torch
    except ImportError:
        return ""
    cores, threads = os.cpu_count() or 1, torch.get_num_threads()
    used = psutil.cpu_percent(interval=0.3) / 100 * cores
    if used + threads < cores + 0.5:
        return ""
    return (
        f"Other processes use {used:.1f} of the {cores} cores, and PyTorch has {threads} threads. "
        "What runs on all of them waits for the last, so a form can look a hundred times slower "
        "than it is: measure when nothing else runs, or say GOMP_SPINCOUNT=1000 "
        "(threads that wait go to sleep sooner, under Linux) or OMP_NUM_THREADS=1."
    )


def _predict(names: tuple[str, ...], options: dict[str, Any]) -> None:
    """Print what a quick run would measure on a card, and the least time of it, predicted."""
    from attncourse.measure.bench.plan import planned, summary
    from attncourse.measure.devices import named

    try:
        card = named(options["predict"])
    except ValueError as error:
        raise BadInput(str(error)) from None
    rows = summary(planned(_suites(names, "cuda", options), card))
    for name, count, predicted, seconds in rows:
        told = "" if predicted == count else f" of {predicted} of them"
        click.echo(f"{name}: {count} measurements, predicted at least {seconds:.1f} s{told}")
    total, seconds = sum(row[1] for row in rows), sum(row[3] for row in rows)
    click.echo(
        f"{card.name}: {total} measurements, predicted at least {seconds:.1f} s from counted work "
        f"and published ceilings; compiling and comparing come on top, and --quick ends after "
        f"{QUICK_MINUTES} minutes"
    )


KINDS = {
    "time": "found no time",
    "memory": "would not have fitted into the memory that is free",
    "card": "are not for this card",
    "baseline": "had no baseline to be compared with",
}


def _left_out(report: Any, device: str) -> list[str]:
    """A line for each kind of measurement that was not made, with its count."""
    from attncourse.measure.bench.budget import left_out
    from attncourse.measure.bench.cuda import without_triton

    lines = [f"Left out: {n} {KINDS[kind]}." for kind, n in left_out(report.rows).items()]
    missing = without_triton() if device == "cuda" else 0
    return lines + ([f"Left out: {missing} kernels that need Triton."] if missing else [])


def _suites(names: tuple[str, ...], device: str, options: dict[str, Any]) -> list[Any]:
    """The suites, cut to what was asked for."""
    from attncourse.measure.bench.choice import chosen, of_shapes
    from attncourse.measure.bench.suites import SUITES

    wanted = options["suite"]
    made = [SUITES[name](device) for name in SUITES if wanted in ("all", name)]
    try:
        made = of_shapes(chosen(made, names), dtype=options["dtype"], d=options["d"])
    except ValueError as error:
        raise BadInput(str(error)) from None
    if options["lengths"]:
        given = {"lengths": options["lengths"], "quick_lengths": options["lengths"]}
        made = [replace(suite, **given) for suite in made]
    return made


def _command(names: tuple[str, ...], device: str, options: dict[str, Any]) -> str:
    """The command that measures the same again."""
    words = [
        "attncourse bench",
        *map(shlex.quote, names),
        f"--device {device} --suite {options['suite']}",
    ]
    words += ["--quick"] if options["quick"] else []
    words += [f"--lengths {','.join(map(str, options['lengths']))}"] if options["lengths"] else []
    words += [f"--minutes {options['minutes']:g}"] if options["minutes"] else []
    words += [f"--{name} {options[name]}" for name in ("dtype", "d") if options[name]]
    return " ".join(words)


def _measure(
    suites: list[Any], mistakes: bool, command: str, device: str, options: dict[str, Any]
) -> Any:
    """Run the suites, with a bar that says what is being measured, and write down what there is."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from attncourse.measure.bench.budget import Budget
    from attncourse.measure.bench.pitfalls import SUBJECTS
    from attncourse.measure.bench.report import to_json
    from attncourse.measure.bench.runner import steps
    from attncourse.measure.bench.session import measure

    quick, out = options["quick"], options["out"]
    minutes = options["minutes"] or (QUICK_MINUTES if quick and device != "cpu" else None)
    budget = Budget(60 * minutes) if minutes else None
    total = sum(steps(suite, quick=quick) for suite in suites) + mistakes * len(SUBJECTS)

    def keep(report: Any) -> None:
        if out is not None:
            out.write_text(to_json(report), encoding="utf-8")

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total)
        report = measure(
            suites,
            command,
            device=device,
            quick=quick,
            mistakes=mistakes,
            listen=lambda what: bar.update(task, description=what, advance=1),
            keep=keep,
            budget=budget,
        )
    keep(report)
    return report


def _compare(a: Path, b: Path) -> None:
    """Print two files of results beside each other."""
    from attncourse.measure.bench.report import from_json
    from attncourse.measure.bench.versus import caution, versus

    reports = []
    for path in (a, b):
        try:
            reports.append(from_json(path.read_text(encoding="utf-8")))
        except (ValueError, OSError) as error:
            raise BadInput(f"{path}: {error}") from None
    for name, report in zip("AB", reports, strict=True):
        about = report.provenance
        click.echo(f"{name}: {about.date}, {about.commit[:10]}, {about.device}: {about.command}")
    if warning := caution(*reports):
        click.echo(warning)
    show(versus(*reports))
