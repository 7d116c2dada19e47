"""The pytest plugin: ``pytest --grade PATH...`` grades notebooks and .py files as submissions.

Each exercise found in a submission gives one test per check, so that -k, -x, -n, --junitxml and
node ids work as everywhere. The learner's code runs in a worker process only.
"""

import os
from collections.abc import Generator
from pathlib import Path

import pytest

from attncourse.grading import items


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
        from attncourse.grading.sandbox import IsolationError

        try:
            grader = Grader(config.getoption("--grade-isolation"))
        except (IsolationError, ValueError) as error:
            raise pytest.UsageError(str(error)) from None
        config.pluginmanager.register(grader, "attncourse-grader")


class Grader:
    """Collects submissions instead of tests, and prints the table of results."""

    def __init__(self, isolation: str) -> None:
        from attncourse.grading.judge.zygote import own_zygote

        self.zygote = own_zygote(isolation)
        self.rows: dict[str, dict[str, list[str]]] = {}
        self.notes: dict[str, str] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_collect_file(
        self, file_path: Path, parent: pytest.Collector
    ) -> Generator[None, list[pytest.Collector], list[pytest.Collector]]:
        """Collect every notebook and .py file as a submission, and nothing else."""
        from attncourse.grading.judge.content import answers

        yield
        if answers(file_path.name) and not file_path.name.startswith("."):
            return [items.SubmissionFile.of(parent, file_path)]
        return []

    @pytest.hookimpl(tryfirst=True)
    def pytest_collect_directory(self, path: Path, parent: pytest.Collector) -> pytest.Collector:
        """Never import an __init__.py: every folder is a plain one."""
        return pytest.Dir.from_parent(parent, path=path)

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """Count what was not attempted apart from what is wrong."""
        if report.when == "call" and ("state", items.NO_CREDIT) in report.user_properties:
            return items.NO_CREDIT, "N", "NOT ATTEMPTED"
        return None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember each check's state, by submission and exercise."""
        told = dict(report.user_properties)
        if report.when == "call" and "submission" in told:
            exercises = self.rows.setdefault(str(told["submission"]), {})
            exercises.setdefault(str(told["exercise"]), []).append(str(told["state"]))
            self.notes[str(told["submission"])] = str(told.get("notes", ""))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print one row for each submission and exercise, and what could not be read."""
        from attncourse.grading.sandbox import WARNING

        terminalreporter.section("submissions")
        terminalreporter.line(f"isolation: {self.zygote.level}")
        if self.zygote.level == "limits":
            terminalreporter.line(WARNING, yellow=True)
        width = max((len(name) for name in self.rows), default=0)
        for submission, exercises in sorted(self.rows.items()):
            for exercise, states in exercises.items():
                terminalreporter.line(f"{submission:{width}}  {exercise:18} {_verdict(states)}")
            for note in self.notes[submission].splitlines():
                terminalreporter.line(f"{submission:{width}}  Note: {note}")


def _verdict(states: list[str]) -> str:
    passed = states.count("passed")
    rest = [
        f"{states.count(state)} {state}"
        for state in ("failed", items.NO_CREDIT, "skipped")
        if state in states
    ]
    return ", ".join([f"{passed} of {len(states)} passed", *rest])
