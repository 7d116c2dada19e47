"""Mutants of every right answer against the checks: those that pass must compute the same.

The mutants are those of the tests (tests/exercises/mutation.py), which do a share of this by turns.

python bench/mutants.py --only softmax
"""

import sys
import time
from pathlib import Path

import click
import torch

from attncourse.course.exercise import all_exercises

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "exercises"))


@click.command()
@click.option("--only", help="One exercise.")
@click.option("--equal", is_flag=True, help="List those that pass and compute the same, too.")
def main(only: str | None, equal: bool) -> None:
    """Print how many mutants of each exercise were made, failed, are equal, and pass though not."""
    from survivors import Tally, answers, tally

    torch.set_num_threads(1)
    for exercise in all_exercises().values():
        if only in (None, exercise.name):
            began = time.process_time()
            found = sum((tally(exercise, name) for name in answers(exercise)), Tally())
            click.echo(
                f"{exercise.name:20} {found.made:4} made {found.killed:5} failed "
                f"{len(found.equal):4} equal {len(found.alive):3} alive "
                f"{time.process_time() - began:5.1f} s"
            )
            for line in found.alive + (found.equal if equal else []):
                click.echo(f"    {line}")


if __name__ == "__main__":
    main()
