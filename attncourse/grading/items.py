"""What pytest collects from a submission: a file, its exercises, a test for each check."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

NO_CREDIT = "not attempted"


class SubmissionFile(pytest.File):
    """One submission; holds the worker that runs its functions."""

    @classmethod
    def of(cls, parent: pytest.Collector, path: Path) -> "SubmissionFile":
        """The submission in a file, whose name a stranger chose: no terminal must obey it."""
        if str(path).isprintable():
            return cls.from_parent(parent, path=path)
        return cls.from_parent(parent, path=path, nodeid=shown(path, parent))

    def collect(self) -> Iterator[pytest.Collector | pytest.Item]:
        """One collector for each exercise found; one failing item where nothing can be graded."""
        from attncourse.course import exercise as contract
        from attncourse.grading.judge.allowance import Limits
        from attncourse.grading.judge.missing import nothing_found
        from attncourse.grading.judge.reading import read
        from attncourse.grading.judge.submission import UnreadableError
        from attncourse.grading.judge.worker import Worker

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
            reason = nothing_found(self.submission, self.worker.notes)
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
        from attncourse.grading.judge.memory.grading import own_memory

        if self._result is None:
            file: Any = self.parent
            grade = own_memory().grade
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
        if type(excinfo.value).__name__ == "GraderFault":
            return f"Not graded: {excinfo.value}"
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, None, str]:
        """Where the check stands: submission, exercise, check."""
        file = self.config.rootpath / shown(self.path, self)
        return file, None, f"{file.name}: {self.parent.name}: {self.name}"  # type: ignore[union-attr]

    def _tell(self, state: str, notes: list[str]) -> None:
        path = shown(self.path, self)
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
        path = shown(self.path, self)
        told = {"submission": path, "exercise": f"({self.name})", "state": "failed"}
        self.user_properties.extend((key, str(value)) for key, value in told.items())
        raise NoCredit(self.reason)

    def reportinfo(self) -> tuple[Path, None, str]:
        """Where it stands: the submission."""
        file = self.config.rootpath / shown(self.path, self)
        return file, None, f"{file.name}: {self.name}"

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Show the sentence alone."""
        return str(excinfo.value)


def shown(path: Path, node: pytest.Collector | pytest.Item) -> str:
    """A path below the root, as far as it is, with every character that does not print escaped."""
    root = node.config.rootpath
    text = str(path.relative_to(root) if path.is_relative_to(root) else path)
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


class NoCredit(Exception):
    """A check that earns nothing; the message is for the learner."""


def _printed(log: str) -> str:
    """The beginning of what the submission printed."""
    from attncourse.grading.judge.process import first_lines

    return "".join(f"\n{line}" for line in first_lines(log))
