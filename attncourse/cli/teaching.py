"""For teachers: ``grade`` and ``doctor``."""

import os
from pathlib import Path
from typing import Any

import click

from attncourse.cli.console import BadInput

_OF_A_CLASS = (
    *("weights", "exercises", "layout", "prefer", "canvas", "moodle"),
    *("secret", "change", "regrade", "scheduler"),
)
_SEVERAL = "processes at once (default: one, or with --out as many as there are cores)"


@click.command()
@click.argument(
    "paths", metavar="SUBMISSIONS...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option("--out", type=click.Path(path_type=Path), help="Grade a class; write results here.")
@click.option("--weights", type=click.Path(path_type=Path), help="TOML: points and weights.")
@click.option(
    "--exercises",
    metavar="NAMES",
    multiple=True,
    help="Exercises or chapters that are the assignment, with commas between them.",
)
@click.option(
    "--layout",
    type=click.Choice(["auto", "folders", "sections"]),
    help="What a folder is: a student's, or a section's with a class in it (default: found out).",
)
@click.option(
    "--prefer",
    metavar="NAME",
    multiple=True,
    help="A folder or file that counts where a student has several copies.",
)
@click.option("--canvas", type=click.Path(path_type=Path), help="Canvas's export, to be filled.")
@click.option("--moodle", type=click.Path(path_type=Path), help="Moodle's worksheet, to be filled.")
@click.option(
    "--secret",
    type=click.Path(path_type=Path),
    help="Draw the checks' inputs as another run did, whose file `secret` this is.",
)
@click.option("--change", is_flag=True, help="Change what these results remember.")
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
    same command goes on; changed files are graded again. What counts (--exercises, --weights,
    --layout, --prefer, --secret) is remembered too; where it is not clear you are asked. Exits
    with 0 unless something must be graded again.

    Without --out it is `pytest --grade SUBMISSIONS...`, which takes all of pytest's options, and
    exits with 0 if everything passed, with 1 otherwise.

    \b
    For example:  attncourse grade submissions/
                  attncourse grade submissions.zip --out results/
                  attncourse grade submissions/ --out results/ --exercises masks,softmax
                  attncourse grade submissions/ --out results/ --weights weights.toml --jobs 4
                  attncourse grade submissions/ --out results/ --regrade "Ada Lovelace"
                  attncourse grade submissions/ --out results/ --scheduler tcp://10.0.0.1:8786
    """
    for path in paths:
        if not path.exists():
            raise BadInput(f"there is no file or folder {path}")
    if options["out"] is None:
        for name in _OF_A_CLASS:
            if options[name]:
                raise BadInput(f"--{name} needs --out: it is for grading a class")
        context.exit(_by_pytest(paths, options))
    if options["junitxml"]:
        raise BadInput("--junitxml goes without --out, which writes junit.xml by itself")
    from attncourse.cli.classroom import grade_class

    context.exit(grade_class(paths, options))


@click.command()
def doctor() -> None:
    """Say how strongly submissions are confined on this machine, and what that prevents.

    \b
    For example:  attncourse doctor
    """
    from attncourse.grading.sandbox import doctor as lines

    for line in lines():
        click.echo(line)


def _by_pytest(paths: tuple[Path, ...], options: dict[str, Any]) -> int:
    """Pytest's table in the terminal; its exit code."""
    from attncourse.grading.judge.content import answers

    for path in paths:
        if path.is_dir() and not any(answers(file.name) for file in path.rglob("*")):
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
