"""What the tests of course and grading share: a toy exercise, and the course with it alone."""

from types import ModuleType

import pytest

import double
from attncourse.course import exercise as contract
from attncourse.grading.judge.zygote import Zygote


@pytest.fixture(scope="session")
def exercise():
    """The toy exercise: double.py, written like the real ones."""
    return contract.read(module_of(double))


def module_of(module):
    """A test's module as it would stand among the exercises on masks."""
    made = ModuleType(f"attncourse.exercises.masks.{module.__name__}", module.__doc__)
    vars(made).update({k: v for k, v in vars(module).items() if not k.startswith("__")})
    return made


def only(patch, exercise):
    """Make an exercise the only one of the course."""
    place = f"attncourse.exercises.{exercise.chapter.replace('-', '_')}.{exercise.name}"
    patch.setattr(contract, "names", lambda: {exercise.name: exercise.chapter})
    patch.setattr(contract, "_load", {place: exercise}.__getitem__)


@pytest.fixture(scope="session")
def variant():
    """The toy exercise with some of its names changed; None drops one."""

    def make(name="double", chapter="masks", **changes):
        module = ModuleType(f"attncourse.exercises.{chapter}.{name}", double.__doc__)
        vars(module).update(vars(module_of(double)) | vars(module) | changes)
        for key in [key for key, value in changes.items() if value is None]:
            del vars(module)[key]
        return module

    return make


@pytest.fixture
def toy_course(monkeypatch, exercise):
    """The course as if the toy were its only exercise."""
    only(monkeypatch, exercise)


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
