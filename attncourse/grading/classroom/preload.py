"""Where judges come from: a process that has imported all they need, and has no threads.

It imports nothing itself, so that what takes seconds can begin before anything else does.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from multiprocessing import forkserver, get_context
from multiprocessing.context import ForkServerContext

_NEEDED = "attncourse.grading.classroom.task"
_LONGEST = 60  # bytes of TMPDIR: the system takes about a hundred for a socket's whole name
_SHORT = "/tmp"


def context() -> ForkServerContext:
    """The context to start judges in."""
    made = get_context("forkserver")
    made.set_forkserver_preload([_NEEDED])
    with _short_names():
        forkserver.ensure_running()
    return made


def start() -> None:
    """Begin to import."""
    context()


@contextlib.contextmanager
def _short_names() -> Iterator[None]:
    """Have multiprocessing make its sockets where their names are not too long for the system."""
    long = len(os.fsencode(tempfile.gettempdir())) > _LONGEST
    if not (long and os.access(_SHORT, os.W_OK)):
        yield
        return
    before, tempfile.tempdir = tempfile.tempdir, _SHORT
    try:
        yield
    finally:
        tempfile.tempdir = before
