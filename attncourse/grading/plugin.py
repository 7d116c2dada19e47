"""The pytest plugin: ``pytest --grade PATH...`` grades notebooks and .py files as submissions.

Each exercise found in a submission gives one test per check, so that -k, -x, -n, --junitxml and
node ids work as everywhere. The learner's code runs in a worker process only.

Whoever has the course installed has this loaded by every pytest, of any version, in any project:
no annotation is evaluated here, and all else is imported where --grade is given.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

OLDEST = (8, 0)  # as in pyproject.toml


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --grade and its limits."""
    group = parser.getgroup("attncourse", "grading submissions to the course's exercises")
    group.addoption(
        "--grade",
        action="store_true",
        help="grade the notebooks and .py files in the given paths as submissions",
    )
    group.addoption(
        "--grade-seconds",
        type=float,
        default=5.0,
        metavar="S",
        help="seconds of processor time that each exercise may take (default 5)",
    )
    group.addoption(
        "--grade-memory",
        type=float,
        default=2.0,
        metavar="GIB",
        help="GiB of address space that a submission may use (default 2)",
    )
    group.addoption(
        "--grade-isolation",
        default="auto",
        metavar="LEVEL",
        help="auto (the strongest there is, the default), require (fail where submissions cannot "
        "be confined), or bubblewrap, kernel or limits",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config, args: list[str]) -> None:
    """Never import a conftest.py that a submission brings along, nor obey its configuration."""
    if "--grade" not in args:
        return
    if tuple(map(int, pytest.__version__.split(".")[:2])) < OLDEST:
        needed = ".".join(map(str, OLDEST))
        raise pytest.UsageError(f"--grade needs pytest {needed} or newer: got {pytest.__version__}")
    early_config.known_args_namespace.noconftest = True
    words = early_config.known_args_namespace.file_or_dir
    given = (Path(word.partition("::")[0]).resolve() for word in words)
    folders = [path if path.is_dir() else path.parent for path in given if path.exists()]
    found = early_config.inipath
    if found and any(found.resolve().is_relative_to(folder) for folder in folders):
        raise pytest.UsageError(
            f"{found.name} lies among the submissions and is not obeyed: "
            f"say `attncourse grade`, or add -c {os.devnull} --rootdir=."
        )


def pytest_configure(config: pytest.Config) -> None:
    """Register the grader, only where it is asked for."""
    if config.getoption("--grade"):
        if not config.invocation_params.args or not config.args_source.name == "ARGS":
            raise pytest.UsageError("--grade needs at least one notebook, .py file or folder")
        from attncourse.core.errors import CourseError
        from attncourse.course import exercise as contract
        from attncourse.grading.table import Grader

        try:
            contract.names()
            grader = Grader(config.getoption("--grade-isolation"))
        except (CourseError, ValueError) as error:
            raise pytest.UsageError(str(error)) from None
        config.pluginmanager.register(grader, "attncourse-grader")
