"""What the tests of a class share: the grader in this process, confined or trusting."""

import made_class
import pytest

from attncourse.grading.classroom import run, schedule
from attncourse.grading.classroom.exports import Files
from attncourse.grading.classroom.settings import Settings
from attncourse.grading.judge.allowance import Limits
from attncourse.grading.sandbox import choose

SAID = ("scheme", "exercises", "layout", "prefer")
FILES = ("canvas", "moodle")


@pytest.fixture(scope="session")
def order():
    """What a teacher asks for, with changes: of the order, of what counts, of files to fill."""

    def make(**changes):
        said = {k: changes.pop(k) for k in SAID if k in changes}
        files = {k: changes.pop(k) for k in FILES if k in changes}
        told = {"level": choose("auto"), "limits": Limits(seconds=2.0)}
        told |= {"said": Settings(**said), "files": Files(**files)}
        return run.Order(**told | changes)

    return make


@pytest.fixture(scope="session")
def graded(order):
    """Grade a class in this process, every submission confined in its own."""

    def make(paths, out, scheduler=schedule.here, listen=lambda *told: None, **changes):
        paths = paths if isinstance(paths, list) else [paths]
        return run.grade_class(paths, out, order(**changes), listen, scheduler)

    return make


@pytest.fixture(scope="session")
def trusted(graded):
    """Grade a class whose texts are our own: fast, since nothing is confined."""

    def make(*paths, **changes):
        with pytest.MonkeyPatch.context() as patch:
            made_class.trust(patch.setattr)
            return graded(*paths, **changes)

    return make
