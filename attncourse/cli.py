"""The command line: ``attncourse list | status | hint | check | grade | build | execute``."""

import os
from pathlib import Path
from typing import Any

import click

from attncourse import __version__


class BadInput(click.ClickException):
    """Input that cannot be used: one sentence, exit code 2."""

    exit_code = 2


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="attncourse")
def main() -> None:
    """Exercises on attention that name your mistake.

    \b
    Learning:  attncourse list            which exercises there are
               attncourse check FILE      check what you wrote in a notebook
               attncourse hint softmax    the next hint
               attncourse status          how far you are
    Teaching:  attncourse grade FOLDER    grade submissions, each in its own process
    Making:    attncourse build, attncourse execute
    """


@main.command("list")
def list_() -> None:
    """List the exercises, chapter by chapter, from easy to hard.

    \b
    For example:  attncourse list
    """
    from attncourse.course.exercise import of_chapter
    from attncourse.exercises import CHAPTERS

    table = _table("Exercises", "chapter", "exercise", "difficulty", "minutes", "about")
    for chapter in CHAPTERS:
        for exercise in of_chapter(chapter):
            stars = "★" * exercise.difficulty + "☆" * (5 - exercise.difficulty)
            table.add_row(chapter, exercise.name, stars, str(exercise.minutes), exercise.title)
        table.add_section()
    _print(table)
    click.echo("Work them in exercises/CHAPTER.ipynb; `attncourse hint EXERCISE` gives a nudge.")


@main.command()
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
    table = _table(f"Progress in {folder}", "chapter", "exercise", "state", "checks", "hints")
    for name, exercise in all_exercises().items():
        entry = known.get(name, {})
        state = entry.get("state", "not attempted")
        count = (
            f"{entry['passed']}/{entry['checks']}" if {"passed", "checks"} <= entry.keys() else ""
        )
        mark = f"{MARKS.get(state, '?')} {state}"
        table.add_row(exercise.chapter, name, mark, count, str(entry.get("hints", "") or ""))
    _print(table)
    done = sum(known.get(name, {}).get("state") == "passed" for name in all_exercises())
    click.echo(f"{done} of {len(all_exercises())} exercises passed.")


@main.command()
@click.argument("exercise")
def hint(exercise: str) -> None:
    """Show the next hint for EXERCISE; each call shows one more.

    \b
    For example:  attncourse hint softmax
    """
    from attncourse.course.notebook import next_hint

    click.echo(next_hint(_exercise(exercise)))


@main.command()
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
@click.argument("exercises", nargs=-1, metavar="[EXERCISE]...")
@click.option("--seconds", default=10.0, show_default=True, help="Time limit of each check.")
@click.pass_context
def check(context: click.Context, path: Path, exercises: tuple[str, ...], seconds: float) -> None:
    """Check the exercises in FILE, a notebook or a .py file.

    Your definitions run in a separate process: an endless loop costs one exercise, not the
    terminal. The result is kept for `attncourse status`. Exits with 0 if everything attempted
    passed, with 1 if something failed.

    \b
    For example:  attncourse check exercises/masks.ipynb
                  attncourse check exercises/masks.ipynb causal_mask
                  attncourse check answers.py --seconds 30
    """
    from attncourse.course import progress, report
    from attncourse.course.grading.remote import Limits, Worker, grade
    from attncourse.course.submission import UnreadableError, read

    names = [_exercise(name).name for name in exercises]
    try:
        submission = read(path)
    except UnreadableError as error:
        raise BadInput(str(error)) from None
    wanted = names or submission.exercises
    if not wanted:
        notes = " ".join(submission.notes)
        raise BadInput(f"{path} defines no function of any exercise. {notes}".strip())
    failed = False
    with Worker(submission, Limits(seconds=seconds)) as worker:
        for name in wanted:
            result = grade(submission, worker, _exercise(name))
            failed |= result.state == "failed"
            progress.record(result, path.parent)
            for line in report.lines(result):
                _print_line("  " * line.level, line.mark, line.text, report.COLOURS[line.state])
        for note in (*submission.notes, *worker.notes):
            click.echo(f"Note: {note}")
    context.exit(1 if failed else 0)


@main.command()
@click.argument(
    "paths", metavar="PATH...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option("--seconds", default=10.0, show_default=True, help="Time limit of each check.")
@click.option("--memory", default=4.0, show_default=True, help="GiB a submission may use.")
@click.option("--junitxml", type=click.Path(path_type=Path), help="Also write JUnit XML.")
@click.option("--jobs", "-n", default=1, show_default=True, help="Processes (pytest-xdist).")
@click.pass_context
def grade(
    context: click.Context,
    paths: tuple[Path, ...],
    seconds: float,
    memory: float,
    junitxml: Path | None,
    jobs: int,
) -> None:
    """Grade the submissions in PATH...: notebooks, .py files, or folders of them.

    Each submission runs in a process of its own with limits on time and memory; one that hangs,
    exits or cannot be read costs only itself. The same as `pytest --grade PATH...`, which takes
    all of pytest's options (-k, -x, --lf, ...); configuration files and conftest.py in the
    folders are not read. Exits with 0 if everything passed, with 1 otherwise.

    \b
    For example:  attncourse grade submissions/
                  attncourse grade submissions/ --junitxml results.xml -n 4
    """
    for path in paths:
        if not path.exists():
            raise BadInput(f"there is no file or folder {path}")
        if path.is_dir() and not any(path.rglob("*.ipynb")) and not any(path.rglob("*.py")):
            raise BadInput(f"there is no notebook or .py file in {path}")
    try:
        import pytest
    except ImportError:
        raise BadInput("grading needs pytest: pip install 'attncourse[grade]'") from None
    options = ["--grade", f"--grade-seconds={seconds}", f"--grade-memory={memory}", "-q"]
    options += ["-c", os.devnull, f"--rootdir={Path.cwd()}", "-p", "no:cacheprovider"]
    options += [f"--junitxml={junitxml}"] if junitxml else []
    options += ["-n", str(jobs), "--dist", "loadfile"] if jobs > 1 else []
    context.exit(min(int(pytest.main([*options, *map(str, paths)])), 2))


@main.command()
@click.option("--check", "only_check", is_flag=True, help="Change nothing; exit 1 on drift.")
@click.option("--root", type=click.Path(path_type=Path), default=".", help="The checkout.")
@click.pass_context
def build(context: click.Context, only_check: bool, root: Path) -> None:
    """Generate exercises/ and solutions/ from the exercise modules (for maintainers).

    With --check, say instead which files are not as generated and what is wrong with the
    chapters' notebooks.

    \b
    For example:  attncourse build
                  attncourse build --check
    """
    from attncourse.course import chapters, render
    from attncourse.course.bootstrap import repository_url

    _checkout(root)
    if not only_check:
        for path, kept in render.write(root).items():
            click.echo(f"wrote {path}" + (f" (what stood there is now {kept})" if kept else ""))
        return
    stale = [f"{path} is not as generated: run `attncourse build`" for path in render.drift(root)]
    stale += [f"{path} is not the course's: move it elsewhere" for path in render.strays(root)]
    url = repository_url(root)
    found = [p for path in _chapter_files(root) for p in chapters.problems(path, url)]
    for problem in [*stale, *found]:
        click.echo(problem)
    context.exit(1 if stale or found else 0)


@main.command()
@click.argument(
    "paths", metavar="NOTEBOOK...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option("--root", type=click.Path(path_type=Path), default=".", help="The checkout.")
def execute(paths: tuple[Path, ...], root: Path) -> None:
    """Run chapters and keep their text outputs, without images or traces of this machine.

    \b
    For example:  attncourse execute book/masks.ipynb
    """
    from attncourse.course import chapters
    from attncourse.course.bootstrap import repository_url
    from attncourse.course.submission import UnreadableError, read

    _checkout(root)
    for path in paths:
        try:
            read(path)
        except UnreadableError as error:
            raise BadInput(str(error)) from None
        click.echo(f"executing {path} ...")
        chapters.execute(path, repository_url(root))


def _exercise(name: str) -> Any:
    from attncourse.course.exercise import UnknownExercise, get

    try:
        return get(name)
    except UnknownExercise as error:
        raise BadInput(str(error)) from None


def _checkout(root: Path) -> None:
    if not (root / "_config.yml").is_file():
        raise BadInput(f"{root.resolve()} is not a checkout of the course: it has no _config.yml")


def _chapter_files(root: Path) -> list[Path]:
    return sorted((root / "book").glob("*.ipynb"))


def _table(title: str, *columns: str) -> Any:
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=None, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _print(renderable: Any) -> None:
    from rich.console import Console

    Console().print(renderable)


def _print_line(indent: str, mark: str, text: str, colour: str) -> None:
    from rich.console import Console
    from rich.padding import Padding
    from rich.text import Text

    content = Text.assemble((f"{mark} " if mark else "", colour), text)
    Console().print(Padding(content, (0, 0, 0, len(indent)), expand=False))
