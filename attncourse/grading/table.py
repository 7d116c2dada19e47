"""What pytest does with ``--grade``: it collects submissions, counts, and prints the table."""

from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from attncourse.grading import items


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

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
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
