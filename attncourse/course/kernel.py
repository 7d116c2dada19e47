"""A learner's function in the kernel of a notebook, asked as a grader's worker would be asked."""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from attncourse.course.checking import LocalAnswer
from attncourse.course.clock import OutOfTime, limited
from attncourse.course.execution import Failure, Outcome
from attncourse.course.library import Library
from attncourse.course.patience import SECONDS, used_up
from attncourse.course.places import from_the_learners


@dataclass(frozen=True)
class KernelAnswer(LocalAnswer):
    """A learner's function in this process, which may use no answer of the course's own.

    It may compute for so many seconds in all. The first exception that it raises is kept for
    ``%debug``.
    """

    seconds: float = SECONDS
    library: Library = field(default_factory=Library)
    used: list[float] = field(default_factory=list)
    raised: list[BaseException] = field(default_factory=list)

    def run(self, probe: str | None, args: Sequence[Any], kwargs: dict[str, Any]) -> Outcome:
        """Call it here, on copies of the arguments, within the time that is left."""
        began = time.thread_time()
        try:
            with self.library.closed(), limited(self.seconds - sum(self.used)):
                outcome = super().run(probe, args, kwargs)
        except OutOfTime:
            told = used_up(SECONDS)
            outcome = Outcome(failure=Failure("TimeoutError", told, fatal=True))
        self.used.append(time.thread_time() - began)
        failure = outcome.failure
        if failure and failure.error and not failure.untouched and not self.raised:
            self.raised.append(failure.error)
            _keep_for_debugging(failure.error)
        return outcome


def _keep_for_debugging(error: BaseException) -> None:
    """Let ``%debug`` and ``pdb.pm()`` begin in the learner's own lines."""
    trace = from_the_learners(error.__traceback__)
    error.__traceback__ = trace
    last: Any = sys
    last.last_type, last.last_value, last.last_traceback = type(error), error, trace
    last.last_exc = error
    shell: Any = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if getattr(shell, "InteractiveTB", None) is not None:
        shell.InteractiveTB.tb = trace
