"""Mutated notebooks graded as a class: each must get a verdict in bounded time, and the run end.

The mutations are those of the tests (tests/grading/mutants.py); number n is the same
notebook everywhere.

python bench/fuzz_grading.py --count 5000
"""

import collections
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import click

from attncourse.course import exercise as contract
from attncourse.grading.classroom import run
from attncourse.grading.classroom.settings import Settings
from attncourse.grading.judge.allowance import Limits
from attncourse.grading.sandbox import choose

TESTS = Path(__file__).parents[1] / "tests" / "grading"
sys.path[:0] = [str(TESTS), str(TESTS / "classroom")]


@click.command()
@click.option("--count", default=5000, show_default=True)
@click.option("--first", default=0, show_default=True, help="The number of the first notebook.")
@click.option("--jobs", "-n", default=os.cpu_count(), type=int, show_default="cores")
@click.option("--seconds", default=1.0, show_default=True, help="Processor time of an exercise.")
def main(count: int, first: int, jobs: int, seconds: float) -> None:
    """Grade the notebooks; print how many got which verdict and how long the slowest took."""
    from mutants import mutant

    with tempfile.TemporaryDirectory(prefix="fuzz-grading-") as temporary:
        folder, out = Path(temporary, "class"), Path(temporary, "results")
        folder.mkdir()
        for number in range(first, first + count):
            (folder / f"m{number:06}.ipynb").write_bytes(mutant(number))
        before = time.monotonic()
        said = Settings(exercises=tuple(contract.in_order()))
        order = run.Order(choose("auto"), Limits(seconds=seconds), jobs, said)
        run.grade_class([folder], out, order, _listen(count))
        took = time.monotonic() - before
        results = json.loads((out / "results.json").read_text(encoding="utf-8"))
        verdicts = collections.Counter(_verdict(student) for student in results["students"])
        slowest = max(_seconds(out), default=0.0)
    for verdict, number in verdicts.most_common():
        click.echo(f"{number:6}  {verdict}")
    click.echo(f"{count} notebooks in {took:.0f} s; the slowest took {slowest:.1f} s")
    missing = count - sum(verdicts.values())
    sys.exit(f"{missing} have no verdict" if missing else 0)


def _listen(count: int) -> run.Listener:
    def listen(done: int, total: int, whose: str) -> None:
        if done % 100 == 0:
            click.echo(f"{time.strftime('%H:%M:%S')} {done} of {total}", err=True)

    return listen


def _verdict(student: dict[str, object]) -> str:
    """In a few words, what a student's only file got."""
    if student["refused"]:
        return "refused"
    (file,) = student["files"]  # type: ignore[misc]
    if file["fault"]:  # type: ignore[index]
        return f"fault of the grader: {file['fault']}"  # type: ignore[index]
    if file["unreadable"]:  # type: ignore[index]
        return "unreadable"
    states = {found["state"] for found in student["exercises"]}  # type: ignore[attr-defined]
    return " and ".join(sorted(states)) or "no exercise"


def _seconds(out: Path) -> list[float]:
    """How long each took, from the file of times beside the journal."""
    lines = (line for path in out.glob("times*") for line in path.read_text().splitlines())
    return [float(json.loads(line)["seconds"]) for line in lines]


if __name__ == "__main__":
    main()
