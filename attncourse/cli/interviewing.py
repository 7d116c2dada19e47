"""For learners: ``interview``, a mock interview and the feedback on it."""

from pathlib import Path

import click

from attncourse.cli.console import BadInput


@click.command()
@click.option("--minutes", type=click.IntRange(min=1), default=45, show_default=True)
@click.option("--seed", type=click.IntRange(min=0), help="The same interview again.")
@click.option("--problem", metavar="EXERCISE", help="This problem, and not one that is drawn.")
@click.option("--seconds", default=5.0, show_default=True, help="Processor time of the problem.")
@click.option(
    "--grade",
    "done",
    metavar="NOTEBOOK",
    type=click.Path(path_type=Path),
    help="End an interview: check the problem and write the feedback.",
)
def interview(
    minutes: int, seed: int | None, problem: str | None, seconds: float, done: Path | None
) -> None:
    """Hold a mock interview: one programming problem and three questions, against the clock.

    A notebook is written here, and the time begins. It ends when you last save. With --grade the
    problem is checked in a separate process, as `attncourse check` does, and a page of feedback is
    written beside the notebook: what the grader says, each question with a model answer and its
    points, and the minutes you took.

    \b
    For example:  attncourse interview
                  attncourse interview --minutes 30 --seed 7
                  attncourse interview --grade interview-7.ipynb
    """
    if done is not None:
        _grade(done, seconds)
    else:
        _begin(minutes, seed, problem)


def _begin(minutes: int, seed: int | None, problem: str | None) -> None:
    import random

    from attncourse.course import interview as held

    seed = random.SystemRandom().randrange(1000) if seed is None else seed
    drawn = held.drawn(seed, minutes, problem)
    path = Path(f"interview-{seed}.ipynb")
    held.write(drawn, path)
    click.echo(
        f"wrote {path}: {drawn.problem.title} ({drawn.problem.name}) and "
        f"{len(drawn.questions)} questions"
    )
    click.echo(f"You have {minutes} minutes from now. Save when you are done, then")
    click.echo(f"  attncourse interview --grade {path}")


def _grade(path: Path, seconds: float) -> None:
    from attncourse.course import interview as held
    from attncourse.course import report
    from attncourse.course.exercise import ExerciseError
    from attncourse.grading.judge.one_file import OneFile

    found = held.read(path)
    with OneFile(path, (found.interview.problem.name,), seconds) as file:
        (result,) = file.results()
    if isinstance(result, ExerciseError):
        raise BadInput(str(result))
    page = path.with_name(f"{path.stem}-feedback.md")
    page.write_text(held.feedback(found, result), encoding="utf-8")
    click.echo(f"{found.used} of {found.interview.minutes} minutes")
    click.echo(report.headline(result))
    click.echo(f"wrote {page}: the grader's words, model answers, and points to give yourself")
