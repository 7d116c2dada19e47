"""A learner's own file, checked: its exercises one after the other, in one worker."""

from collections.abc import Iterator
from pathlib import Path

from attncourse.course.checking import Result
from attncourse.course.exercise import ExerciseError, get
from attncourse.grading.judge.allowance import Limits
from attncourse.grading.judge.judging import grade
from attncourse.grading.judge.missing import nothing_found
from attncourse.grading.judge.submission import read, settled
from attncourse.grading.judge.worker import Worker
from attncourse.grading.judge.zygote import Zygote

SECONDS = 5.0  # of processor time that an exercise has


class OneFile:
    """The checks of one file; a context, since its worker has to end.

    exercises are those asked for, or else all that the file answers. Without a zygote the worker
    makes its own. Raises UnreadableError where the file is no notebook and no .py, or cannot be
    parsed.
    """

    def __init__(
        self,
        path: Path,
        exercises: tuple[str, ...] = (),
        seconds: float = SECONDS,
        zygote: Zygote | None = None,
    ) -> None:
        self.submission = read(path)
        self._worker = Worker(self.submission, Limits(seconds=seconds), zygote)
        self._asked = exercises

    def __enter__(self) -> "OneFile":
        self._worker.__enter__()
        if self.submission.unsure:
            self._worker.start()
            self.submission = settled(self.submission, self._worker.functions)
        self.exercises = self._asked or self.submission.exercises
        return self

    def __exit__(self, *exception: object) -> None:
        self._worker.__exit__(*exception)

    def results(self) -> Iterator[Result | ExerciseError]:
        """What is found of each exercise, as soon as it is; an error for one that is broken."""
        for name in self.exercises:
            try:
                exercise = get(name)
            except ExerciseError as error:
                yield error
                continue
            yield grade(self.submission, self._worker, exercise)

    @property
    def nothing(self) -> str:
        """Why there is nothing to check; empty where there is."""
        return "" if self.exercises else nothing_found(self.submission, self._worker.notes)

    @property
    def notes(self) -> tuple[str, ...]:
        """What could not be read, and what failed while the cells ran."""
        return (*self.submission.notes, *self._worker.notes)

    @property
    def printed(self) -> str:
        """The beginning of what the functions printed."""
        return self._worker.log.text()
