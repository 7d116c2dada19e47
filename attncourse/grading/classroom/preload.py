"""Where judges come from: a process that has imported all they need, and has no threads.

It imports nothing itself, so that what takes seconds can begin before anything else does.
"""

from multiprocessing import forkserver, get_context
from multiprocessing.context import ForkServerContext

_NEEDED = "attncourse.grading.classroom.task"


def context() -> ForkServerContext:
    """The context to start judges in."""
    made = get_context("forkserver")
    made.set_forkserver_preload([_NEEDED])
    return made


def start() -> None:
    """Begin to import."""
    context()
    forkserver.ensure_running()
