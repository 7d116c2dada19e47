"""The work of grading: what is left goes to a scheduler, and every result into the journal."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from attncourse.core.errors import CourseError
from attncourse.grading.classroom import schedule
from attncourse.grading.classroom.jobs import Job, Pending
from attncourse.grading.classroom.journal import Journal
from attncourse.grading.classroom.records import told
from attncourse.grading.classroom.task import Graded, Task, lost
from attncourse.grading.judge.allowance import Limits

Listener = Callable[[int, int, str], None]  # submissions done, of how many, whose was the last


@dataclass
class Work:
    """What all submissions are graded with; nothing that goes wrong with one stops the others.

    gone are those that cannot be read any more, with the reason.
    """

    limits: Limits
    level: str
    secret: bytes = field(repr=False)
    log: Journal
    gone: list[tuple[Task, str]] = field(default_factory=list)

    def grade(
        self,
        left: Pending,
        jobs: int,
        listen: Listener,
        scheduler: schedule.Scheduler | None = None,
    ) -> float:
        """Grade what is left; every result is on the disk before it is counted. Gives seconds."""
        students = {job.key: str(job.handed.student) for job, _ in left}
        seconds = 0.0
        listen(0, len(left), "")
        chosen = scheduler or schedule.processes(min(jobs, max(1, len(left))))
        alone = schedule.one_by_one(scheduler) if scheduler else schedule.processes(1)
        for done, graded in enumerate(self._graded(left, chosen, alone), 1):
            try:
                self.log.add(graded.records)
            except (ValueError, TypeError) as fault:  # no plain data: the grader's own fault
                self.log.add(
                    lost(self._task(_of(left, graded.job), b"", None), told(fault)).records
                )
            self.log.took(graded.job, graded.seconds)
            seconds += graded.seconds
            listen(done, len(left), students[graded.job])
        return seconds

    def _graded(
        self, left: Pending, chosen: schedule.Scheduler, alone: schedule.Scheduler
    ) -> Iterator[Graded]:
        """What came of each; at the end, what cannot be read any more."""
        yield from schedule.run(self._tasks(left), chosen, alone)
        yield from (lost(task, reason) for task, reason in self.gone)

    def _tasks(self, left: Pending) -> Iterator[Task]:
        """The tasks, each with its bytes, made when it is due."""
        for job, only in left:
            try:
                content = job.content()
            except CourseError as error:
                self.gone.append((self._task(job, b"", only), str(error)))
                continue
            yield self._task(job, content, only)

    def _task(self, job: Job, content: bytes, only: tuple[str, ...] | None) -> Task:
        handed = job.handed
        whose = job.key, handed.student.name, handed.student.number, handed.name
        return Task(*whose, content, self.limits, self.level, only, self.secret)


def _of(left: Pending, key: str) -> Job:
    return next(job for job, _ in left if job.key == key)
