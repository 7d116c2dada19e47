"""For learners: ``list``, ``status``, ``hint``, ``check`` and ``watch``."""

from pathlib import Path
from typing import Any

import click

from attncourse.cli.console import BadInput, show_line, show_table, table


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
    show_table(rows)
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
    from attncourse.course import leitner, progress
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
    show_table(rows)
    done = sum(known.get(name, {}).get("state") == "passed" for name in all_exercises())
    click.echo(f"{done} of {len(all_exercises())} exercises passed.")
    cards, today = progress.cards(folder), leitner.today()
    if cards:
        due = sum(card.due <= today for card in cards.values())
        click.echo(f"{len(cards)} interview questions asked, {due} due: `attncourse quiz`.")


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
    from attncourse.course import report
    from attncourse.course.exercise import ExerciseError
    from attncourse.grading.judge.one_file import OneFile

    names = tuple(_exercise(name).name for name in exercises)
    failed = False
    with OneFile(path, names, seconds) as file:
        if file.nothing:
            raise BadInput(file.nothing)
        for result in file.results():
            if isinstance(result, ExerciseError):
                show_line("", report.MARKS["skipped"], str(result), report.COLOURS["skipped"])
                failed = True
                continue
            failed |= result.state == "failed"
            _tell(result, path)
        for note in file.notes:
            click.echo(f"Note: {note}")
    _show_printed(file.printed)
    context.exit(1 if failed else 0)


@click.command()
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
@click.argument("exercises", nargs=-1, metavar="[EXERCISE]...")
@click.option("--seconds", default=5.0, show_default=True, help="Processor time of an exercise.")
def watch(path: Path, exercises: tuple[str, ...], seconds: float) -> None:
    """Check FILE, a notebook or a .py file, each time you save it.

    Shown are the exercises whose code changed, as `attncourse check` shows them, how many pass,
    and which is next. A file that cannot be read is waited for. Ctrl-C ends it.

    \b
    For example:  attncourse watch exercises/masks.ipynb
                  attncourse watch answers.py softmax
    """
    from attncourse.grading.watching import Watch, saves

    names = tuple(_exercise(name).name for name in exercises)
    click.echo(f"Watching {path}: save it and it is checked; Ctrl-C ends this.")
    with Watch(path, names, seconds) as watching:
        try:
            for there in saves(path):
                if there:
                    _tell_news(watching)
                else:
                    click.echo(f"{path} is not there: waiting for it.")
        except KeyboardInterrupt:
            progress = f" {watching.progress}" if watching.results else ""
            click.echo(f"\nNo longer watching {path}.{progress}")


def _tell_news(watching: Any) -> None:
    """Show what a save brought."""
    from attncourse.course import report

    news = watching.look()
    if news is None:
        return
    click.echo("")
    if news.problem:
        click.echo(news.problem)
        return
    for sentence in news.broken:
        show_line("", report.MARKS["skipped"], sentence, report.COLOURS["skipped"])
    for result in news.results:
        _tell(result, watching.path)
    for note in news.notes:
        click.echo(f"Note: {note}")
    _show_printed(news.printed)
    click.echo(watching.progress)
    click.echo(watching.next_step)


def _tell(result: Any, path: Path) -> None:
    """Show a result, and keep it where one's own notebooks are."""
    from attncourse.course import progress, report

    if _own(path.parent):
        progress.record(result, path.parent)
    for line in report.lines(result):
        show_line("  " * line.level, line.mark, line.text, report.COLOURS[line.state])


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
