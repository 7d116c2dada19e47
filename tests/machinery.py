"""What the tests of course and grading share: a toy exercise, and the course with it alone."""

from types import ModuleType

import pytest

import double
from attncourse.course import exercise as contract
from attncourse.grading.judge.zygote import Zygote


@pytest.fixture(scope="session")
def exercise():
    """The toy exercise: double.py, written like the real ones."""
    return contract.read(double)


@pytest.fixture(scope="session")
def variant():
    """The toy exercise with some of its names changed; None drops one."""

    def make(name="double", **changes):
        module = ModuleType(f"attncourse.exercises.{name}", double.__doc__)
        names = {key: value for key, value in vars(double).items() if not key.startswith("__")}
        vars(module).update(names | changes)
        for key in [key for key, value in changes.items() if value is None]:
            del vars(module)[key]
        return module

    return make


@pytest.fixture
def toy_course(monkeypatch, exercise):
    """The course as if the toy were its only exercise."""
    monkeypatch.setattr(contract, "all_exercises", lambda: {exercise.name: exercise})


@pytest.fixture(scope="session")
def zygote():
    """What starts workers, at the best level to be had here."""
    with Zygote() as made:
        yield made


@pytest.fixture(scope="session")
def limited():
    """What starts workers where there are only limits on time, memory and processes."""
    with Zygote("limits") as made:
        yield made
