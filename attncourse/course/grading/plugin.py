"""The pytest plugin: ``pytest --grade PATH...`` grades notebooks and .py files as submissions.

Each exercise found in a submission gives one test per check, so that -k, -x, -n, --junitxml and
node ids work as everywhere. The learner's code runs in a worker process only.
"""

import atexit
import functools
import os
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from attncourse.course.grading.zygote import Zygote

NO_CREDIT = "not attempted"


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
        from attncourse.course.grading.sandbox import IsolationError

        try:
            grader = Grader(config.getoption("--grade-isolation"))
        except (IsolationError, ValueError) as error:
            raise pytest.UsageError(str(error)) from None
        config.pluginmanager.register(grader, "attncourse-grader")


@functools.cache
def _zygote(isolation: str) -> "Zygote":
    """What starts the workers of this process."""
    from attncourse.course.grading.zygote import Zygote

    zygote = Zygote(isolation)
    atexit.register(zygote.stop)
    return zygote


class Grader:
    """Collects submissions instead of tests, and prints the table of results."""

    def __init__(self, isolation: str) -> None:
        self.zygote = _zygote(isolation)
        self.rows: dict[str, dict[str, list[str]]] = {}
        self.notes: dict[str, str] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_collect_file(
        self, file_path: Path, parent: pytest.Collector
    ) -> Generator[None, list[pytest.Collector], list[pytest.Collector]]:
        """Collect every notebook and .py file as a submission, and nothing else."""
        yield
        if file_path.suffix in (".ipynb", ".py") and not file_path.name.startswith("."):
            return [SubmissionFile.from_parent(parent, path=file_path)]
        return []

    @pytest.hookimpl(tryfirst=True)
    def pytest_collect_directory(self, path: Path, parent: pytest.Collector) -> pytest.Collector:
        """Never import an __init__.py: every folder is a plain one."""
        return pytest.Dir.from_parent(parent, path=path)

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """Count what was not attempted apart from what is wrong."""
        if report.when == "call" and ("state", NO_CREDIT) in report.user_properties:
            return NO_CREDIT, "N", "NOT ATTEMPTED"
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
        from attncourse.course.grading.sandbox import WARNING

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


class SubmissionFile(pytest.File):
    """One submission; holds the worker that runs its functions."""

    def collect(self) -> Iterator[pytest.Collector | pytest.Item]:
        """One collector for each exercise found; one failing item where nothing can be graded."""
        from attncourse.course import exercise as contract
        from attncourse.course.grading.remote import Limits, Worker, read
        from attncourse.course.submission import UnreadableError

        grader: Any = self.config.pluginmanager.get_plugin("attncourse-grader")
        try:
            self.submission = read(self.path, grader.zygote)
        except UnreadableError as error:
            yield Ungradable.from_parent(self, name="unreadable", reason=str(error))
            return
        limits = Limits(
            self.config.getoption("--grade-seconds"),
            int(self.config.getoption("--grade-memory") * 2**30),
        )
        self.make: Callable[[], Any] = lambda: Worker(self.submission, limits, grader.zygote)
        self.worker = self.make()
        for name in self.submission.exercises:
            yield ExerciseCollector.from_parent(self, name=name, exercise=contract.get(name))
        if not self.submission.exercises:
            reason = " ".join(
                [f"{self.path.name} defines no function of any exercise.", *self.submission.notes]
            )
            yield Ungradable.from_parent(self, name="no exercise", reason=reason)

    def renew(self) -> None:
        """Start afresh, as if nothing had been asked."""
        self.worker.stop()
        self.worker = self.make()

    def teardown(self) -> None:
        """End the worker."""
        if hasattr(self, "worker"):
            self.worker.stop()


class ExerciseCollector(pytest.Collector):
    """One exercise of one submission; its checks are run once, together."""

    def __init__(self, *, exercise: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.exercise = exercise
        self._result: Any = None

    def collect(self) -> Iterator[pytest.Item]:
        """One item for each check."""
        for name in self.exercise.checks:
            yield CheckItem.from_parent(self, name=name)

    def result(self) -> Any:
        """The result of all checks, in the worker."""
        from attncourse.course.grading.remote import grade

        if self._result is None:
            file: Any = self.parent
            self._result = grade(file.submission, file.worker, self.exercise)
            if file.worker.stalled:  # by the time that passed: the machine may be to blame
                file.renew()
                self._result = grade(file.submission, file.worker, self.exercise)
        return self._result


class CheckItem(pytest.Item):
    """One check of one exercise of one submission."""

    def runtest(self) -> None:
        """Raise what the check found; a skipped check is skipped."""
        from attncourse.course import report

        collector: Any = self.parent
        file = collector.parent
        found = next(check for check in collector.result().checks if check.name == self.name)
        told = [*file.submission.notes, *file.worker.notes]
        self._tell(found.state, told)
        if found.state == "skipped":
            pytest.skip(found.message)
        notes = [f"Note: {note}" for note in told]
        if found.state == NO_CREDIT:
            raise NoCredit("\n".join([f"Not attempted: {found.message}", *notes]))
        if found.state == "failed":
            raise NoCredit("\n".join([f"✘ {found.description}", *report.advice(found), *notes]))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Show a learner advice, not a traceback."""
        if isinstance(excinfo.value, NoCredit):
            worker = getattr(self.parent.parent, "worker", None)  # type: ignore[union-attr]
            return str(excinfo.value) + (_printed(worker.log.text()) if worker else "")
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, None, str]:
        """Where the check stands: submission, exercise, check."""
        return self.path, None, f"{self.path.name}: {self.parent.name}: {self.name}"  # type: ignore[union-attr]

    def _tell(self, state: str, notes: list[str]) -> None:
        root = self.config.rootpath
        path = self.path.relative_to(root) if self.path.is_relative_to(root) else self.path
        exercise = self.parent.name  # type: ignore[union-attr]
        told = {"submission": path, "exercise": exercise, "check": self.name, "state": state}
        told |= {"notes": "\n".join(notes)} if notes else {}
        self.user_properties.extend((key, str(value)) for key, value in told.items())


class Ungradable(pytest.Item):
    """A submission in which nothing can be graded; it fails with one sentence."""

    def __init__(self, *, reason: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.reason = reason

    def runtest(self) -> None:
        """Say why."""
        root = self.config.rootpath
        path = self.path.relative_to(root) if self.path.is_relative_to(root) else self.path
        told = {"submission": path, "exercise": f"({self.name})", "state": "failed"}
        self.user_properties.extend((key, str(value)) for key, value in told.items())
        raise NoCredit(self.reason)

    def reportinfo(self) -> tuple[Path, None, str]:
        """Where it stands: the submission."""
        return self.path, None, f"{self.path.name}: {self.name}"

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Show the sentence alone."""
        return str(excinfo.value)


class NoCredit(Exception):
    """A check that earns nothing; the message is for the learner."""


def _printed(log: str) -> str:
    """The first lines of what the submission printed, each cut to a readable width."""
    shown = [line[:120] for line in log.strip().splitlines()]
    more = [f"... and {len(shown) - 8} lines more"] if len(shown) > 8 else []
    return "\n--- it printed ---\n" + "\n".join([*shown[:8], *more]) if shown else ""


def _verdict(states: list[str]) -> str:
    passed = states.count("passed")
    rest = [
        f"{states.count(state)} {state}"
        for state in ("failed", NO_CREDIT, "skipped")
        if state in states
    ]
    return ", ".join([f"{passed} of {len(states)} passed", *rest])
