"""For teachers: ``grade``."""

import os
from pathlib import Path

import click

from attncourse.cli.console import BadInput


@click.command()
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
