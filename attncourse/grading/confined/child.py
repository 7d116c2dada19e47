"""A child of the zygote, from the fork to its end: it leaves all behind, is confined, serves."""

import os
import tempfile

from attncourse.grading.confined import native
from attncourse.grading.confined.traces import Traces
from attncourse.grading.confined.worker import Worker
from attncourse.grading.sandbox import entrance, kernel
from attncourse.grading.wire.channel import Channel
from attncourse.grading.wire.frames import LARGEST_ANSWER, LARGEST_REQUEST
from attncourse.grading.wire.protocol import Start


def live(
    order: Start,
    pipes: list[int],
    folder: str,
    confinement: tuple[str, int | None],
    traces: Traces,
    refusing: bool,
) -> None:
    """The child's whole life; confinement is a level, and Landlock's rules where it has some.

    refusing: functions are forbidden here, and no code may be called by its address.
    """
    try:
        level, rules = confinement
        reading, writing = _settle(pipes, folder, rules)
        channel = Channel(reading, writing, LARGEST_REQUEST, LARGEST_ANSWER)
        entrance.enter(level, rules, order.memory, order.seconds, order.most)
        if refusing:
            native.shut()
        Worker(channel, traces).serve()
        os._exit(0)
    except BaseException:  # the submission broke it, or told it to end
        os._exit(1)


def _settle(pipes: list[int], folder: str, rules: int | None) -> tuple[int, int]:
    """Leave the parent: a session, a folder, three pipes, and no other descriptor."""
    os.setsid()
    kernel.end_with_parent()
    reading, writing, prints = pipes
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(prints, 1)
    os.dup2(prints, 2)
    kept = (0, 1, 2, reading, writing)
    entrance.close_all_but((*kept, *(() if rules is None else (rules,))))
    os.chdir(folder)
    os.environ.update(HOME=folder, TMPDIR=folder, TORCHINDUCTOR_CACHE_DIR=folder)
    tempfile.tempdir = folder  # not looked for: a confined child can write nowhere
    return reading, writing
