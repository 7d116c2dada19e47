"""For learners: ``list``, ``status``, ``hint`` and ``check``."""

from pathlib import Path
from typing import Any

import click

from attncourse.cli.console import BadInput, show, show_line, table


@click.command("list")
def list_() -> None:
    """List the exercises, chapter by chapter, from easy to hard.

    \b
    For example:  attncourse list
    """
    from attncourse.course.exercise import broken, chapters, of_chapter
    from attncourse.course.render import stars

    rows = table("Exercises", "chapter", "exercise", "difficulty", "minutes", "about")
    for chapter in chapters():
        for exercise in of_chapter(chapter):
            minutes = str(exercise.minutes)
            rows.add_row(chapter, exercise.name, stars(exercise), minutes, exercise.title)
        rows.add_section()
    show(rows)
    for sentence in broken().values():
        click.echo(sentence, err=True)
    click.echo("Work them in exercises/CHAPTER.ipynb; `attncourse hint EXERCISE` gives a nudge.")


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), default=".")
def status(folder: Path) -> None:
    """Show your progress, kept beside the notebooks in FOLDER (default: here, or exercises/).

    \b
    For example:  attncourse status
                  attncourse status exercises
    """
    from attncourse.course import progress
    from attncourse.course.exercise import all_exercises
    from attncourse.course.report import MARKS

    if not folder.is_dir():
        raise BadInput(f"there is no folder {folder}")
    if not progress.file(folder).exists() and progress.file(folder / "exercises").exists():
        folder = folder / "exercises"
    known = progress.load(folder)
    rows = table(f"Progress in {folder}", "chapter", "exercise", "state", "checks", "hints")
    for name, exercise in all_exercises().items():
        entry = known.get(name, {})
        state = entry.get("state", "not attempted")
        count = (
            f"{entry['passed']}/{entry['checks']}" if {"passed", "checks"} <= entry.keys() else ""
        )
        mark = f"{MARKS.get(state, '?')} {state}"
        rows.add_row(exercise.chapter, name, mark, count, str(entry.get("hints", "") or ""))
    show(rows)
    done = sum(known.get(name, {}).get("state") == "passed" for name in all_exercises())
    click.echo(f"{done} of {len(all_exercises())} exercises passed.")


@click.command()
@click.argument("exercise")
def hint(exercise: str) -> None:
    """Show the next hint for EXERCISE; each call shows one more.

    \b
    For example:  attncourse hint softmax
    """
    from attncourse.course.notebook import next_hint

    click.echo(next_hint(_exercise(exercise)))


@click.command()
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
@click.argument("exercises", nargs=-1, metavar="[EXERCISE]...")
@click.option("--seconds", default=5.0, show_default=True, help="Processor time of an exercise.")
@click.pass_context
def check(context: click.Context, path: Path, exercises: tuple[str, ...], seconds: float) -> None:
    """Check the exercises in FILE, a notebook or a .py file.

    All cells run in a separate process, as in Jupyter: an endless loop costs one exercise, not
    the terminal. What your functions print is shown. The result is kept for `attncourse status`
    where your own notebooks are: here, in exercises/, or where results were kept before. Exits
    with 0 if everything attempted passed, with 1 if something failed.

    \b
    For example:  attncourse check exercises/masks.ipynb
                  attncourse check exercises/masks.ipynb causal_mask
                  attncourse check answers.py --seconds 30
    """
    from attncourse.course import progress, report
    from attncourse.course.exercise import ExerciseError, get
    from attncourse.grading.judge.allowance import Limits
    from attncourse.grading.judge.judging import grade
    from attncourse.grading.judge.missing import nothing_found
    from attncourse.grading.judge.submission import read, settled
    from attncourse.grading.judge.worker import Worker

    names = [_exercise(name).name for name in exercises]
    submission = read(path)
    failed = False
    with Worker(submission, Limits(seconds=seconds)) as worker:
        if submission.unsure:
            worker.start()
            submission = settled(submission, worker.functions)
        wanted = names or submission.exercises
        if not wanted:
            raise BadInput(nothing_found(submission, worker.notes))
        for name in wanted:
            try:
                exercise = get(name)
            except ExerciseError as error:
                show_line("", report.MARKS["skipped"], str(error), report.COLOURS["skipped"])
                failed = True
                continue
            result = grade(submission, worker, exercise)
            failed |= result.state == "failed"
            if _own(path.parent):
                progress.record(result, path.parent)
            for line in report.lines(result):
                show_line("  " * line.level, line.mark, line.text, report.COLOURS[line.state])
        for note in (*submission.notes, *worker.notes):
            click.echo(f"Note: {note}")
    _show_printed(worker.log.text())
    context.exit(1 if failed else 0)


def _own(folder: Path) -> bool:
    """Is this where one's own notebooks are, and not a folder of somebody else's?"""
    from attncourse.course import progress

    return folder.resolve() in (Path.cwd(), Path.cwd() / "exercises") or (
        progress.file(folder).exists()
    )


def _show_printed(text: str) -> None:
    """Show the beginning of what the functions printed."""
    from attncourse.grading.judge.process import first_lines

    for line in first_lines(text):
        click.echo(line)


def _exercise(name: str) -> Any:
    from attncourse.course.exercise import ExerciseError, get

    try:
        return get(name)
    except ExerciseError as error:
        raise BadInput(str(error)) from None
