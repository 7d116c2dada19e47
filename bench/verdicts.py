"""Verdicts under many secrets: every known answer is graded on other inputs each time.

A verdict must not depend on the inputs that a secret happens to give. With --names the mistake
that is named must not either.

python bench/verdicts.py --count 200
"""

import collections
import time

import click
import torch

from attncourse.course.checking import LocalAnswer, attempt, run
from attncourse.course.exercise import Exercise, Function, all_exercises
from attncourse.testing import secret_inputs


@click.command()
@click.option("--count", default=200, show_default=True, help="Secrets.")
@click.option("--only", help="One exercise.")
@click.option("--names", is_flag=True, help="What is named too: every check of an answer is run.")
def main(count: int, only: str | None, names: bool) -> None:
    """Print every answer whose verdict is not what it should be, and under how many secrets."""
    torch.set_num_threads(1)
    began, verdicts = time.process_time(), 0
    for exercise in all_exercises().values():
        if only in (None, exercise.name):
            answers = known_answers(exercise, names)
            verdicts += count * len(answers)
            for name, (function, expected) in answers.items():
                report(f"{exercise.name}.{name}", found(exercise, function, count, names), expected)
            click.echo(f"{exercise.name}: {len(answers)} answers under {count} secrets")
    click.echo(f"{verdicts} verdicts in {time.process_time() - began:.0f} s of processor time")


def known_answers(exercise: Exercise, names: bool) -> dict[str, tuple[Function, str]]:
    """Every answer that the exercise knows, and what must be found of it."""
    right = {"solution": exercise.solution}
    right |= {f"right_{name}": function for name, function in exercise.right.items()}
    wrong = {
        f"wrong_{name}": (function, f"failed {name}" if names else "failed")
        for name, function in exercise.wrong.items()
    }
    return {name: (function, "passed") for name, function in right.items()} | wrong


def found(
    exercise: Exercise, function: Function, count: int, names: bool
) -> collections.Counter[str]:
    """How often which verdict was found."""
    verdicts: collections.Counter[str] = collections.Counter()
    for number in range(count):
        with secret_inputs(b"secret %d" % number):
            verdicts[verdict(exercise, function, names)] += 1
    return verdicts


def verdict(exercise: Exercise, function: Function, names: bool) -> str:
    """Passed or failed, with every name that was given; without names the first failure decides."""
    answer = LocalAnswer(function)
    if not names:
        states = (attempt(exercise, name, answer)[0].state for name in exercise.checks)
        return next((state for state in states if state != "passed"), "passed")
    checks = run(exercise, answer).checks
    if all(check.state == "passed" for check in checks):
        return "passed"
    return " ".join(["failed", *sorted({c.misconception.name for c in checks if c.misconception})])


def report(name: str, verdicts: collections.Counter[str], expected: str) -> None:
    """One line where a verdict is not as expected."""
    if set(verdicts) != {expected}:
        click.echo(f"  {name}: {', '.join(f'{text} {n}x' for text, n in verdicts.items())}")


if __name__ == "__main__":
    main()
