"""How many submissions a minute are graded: `attncourse grade --out`, and nbgrader beside it.

A class is made (see made.py) and graded by the command that a teacher gives, in a process of its
own, from nothing to the last report. nbgrader's autograde is given some of the same notebooks,
with the same checks in its test cells, as many at once. It is installed apart, since it needs
another Jupyter:

python -m venv nbgrader-env && nbgrader-env/bin/pip install nbgrader
python bench/grading.py --nbgrader nbgrader-env
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import autograde
import click
import made

from attncourse.grading.sandbox import choose
from attncourse.grading.sandbox.kernel import adopt_orphans


@click.command()
@click.option("--students", default=200, show_default=True)
@click.option("--exercises", default=10, show_default=True)
@click.option("--jobs", "-n", default=os.cpu_count(), show_default="cores", type=int)
@click.option("--isolation", default="auto", show_default=True)
@click.option("--nbgrader", type=click.Path(path_type=Path, exists=True), help="Its environment.")
@click.option("--sample", default=8, show_default=True, help="Submissions that nbgrader is given.")
@click.option("--distinct", is_flag=True, help="No two answers are the same to the last bit.")
@click.option("--keep", type=click.Path(path_type=Path), help="Keep the class and results here.")
def main(
    students: int,
    exercises: int,
    jobs: int,
    isolation: str,
    nbgrader: Path | None,
    sample: int,
    distinct: bool,
    keep: Path | None,
) -> None:
    """Grade a made class; print the rates and, with --nbgrader, their ratio."""
    adopt_orphans()
    folder = keep or Path(tempfile.mkdtemp(prefix="bench-grading-"))
    try:
        paths = made.write(folder / "class", students, exercises, distinct=distinct)
        level = choose(isolation)
        click.echo(f"{students} submissions, {exercises} exercises, {jobs} processes, {level}")
        names = [exercise.name for exercise in made.chosen(exercises)]
        ours, our_cpu = (s / students for s in _ours(folder, jobs, level, names))
        click.echo(_told("attncourse grade --out", ours, our_cpu))
        if nbgrader is not None:
            sample = min(sample, students)
            took = autograde.seconds(nbgrader, folder / "nbgrader", paths[:sample], jobs)
            theirs, cpu = (seconds / sample for seconds in took)
            click.echo(_told("nbgrader autograde", theirs, cpu))
            click.echo(f"ratio: {theirs / ours:.1f}, of processor time {cpu / our_cpu:.1f}")
    finally:
        if keep is None:
            shutil.rmtree(folder, ignore_errors=True)


def _ours(folder: Path, jobs: int, level: str, names: list[str]) -> tuple[float, float]:
    """Seconds to grade the class, of which these exercises are the assignment.

    Those that pass, and those of processor time.
    """
    out = folder / "results"
    shutil.rmtree(out, ignore_errors=True)
    program = "import sys; from attncourse.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", program, "grade", str(folder / "class"), "--out", str(out)]
    before, used = time.monotonic(), autograde.processor_time()
    subprocess.run(
        [*command, "--jobs", str(jobs), "--isolation", level, "--exercises", ",".join(names)],
        check=True,
        stdout=subprocess.DEVNULL,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    seconds = time.monotonic() - before
    cpu = autograde.processor_time() - used
    click.echo(f"{cpu:.1f} s of processor time, {seconds:.1f} s in all")
    _see(json.loads((out / "results.json").read_text(encoding="utf-8")))
    return seconds, cpu


def _see(results: object) -> None:
    """Print how many checks of which state there are: a rate means nothing without verdicts."""
    counts: dict[str, int] = {}

    def walk(value: object) -> None:
        if isinstance(value, dict):
            if isinstance(value.get("checks"), list) and isinstance(value.get("state"), str):
                counts[value["state"]] = counts.get(value["state"], 0) + 1
            for inner in value.values():
                walk(inner)
        elif isinstance(value, list):
            for inner in value:
                walk(inner)

    walk(results)
    click.echo("exercises: " + ", ".join(f"{n} {state}" for state, n in sorted(counts.items())))


def _told(name: str, seconds: float, cpu: float) -> str:
    rate = f"{60 / seconds:.1f} submissions a minute ({seconds:.3f} s each"
    return f"{name}: {rate}, {cpu:.3f} s of processor time)"


if __name__ == "__main__":
    main()
