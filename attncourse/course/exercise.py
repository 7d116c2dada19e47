"""The exercise contract: what a module in ``attncourse/exercises`` must say, and how to find it."""

import difflib
import functools
import inspect
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any

from attncourse import exercises

Function = Callable[..., Any]


class UnknownExercise(ValueError):
    """No exercise has that name; the message offers the nearest."""


@dataclass(frozen=True)
class Exercise:
    """One exercise, read from its module.

    checks, wrong and right map names without their prefix (``check_``, ``wrong_``, ``right_``)
    to functions, in the order of the module. stub is the function a learner starts from, or
    None where that is the solution's signature over ``raise NotImplementedError``.
    """

    name: str
    title: str
    statement: str
    chapter: str
    difficulty: int
    minutes: int
    hints: tuple[str, ...]
    forbidden: tuple[str, ...]
    solution: Function
    stub: Function | None
    checks: Mapping[str, Function]
    wrong: Mapping[str, Function]
    right: Mapping[str, Function]

    @property
    def rank(self) -> tuple[int, int, int, str]:
        """Where the exercise stands: by chapter, then from easy to hard."""
        order = list(exercises.CHAPTERS).index(self.chapter)
        return order, self.difficulty, self.minutes, self.name


@functools.cache
def all_exercises() -> dict[str, Exercise]:
    """Every exercise by name: chapter by chapter, from easy to hard."""
    names = [module.name for module in pkgutil.iter_modules(exercises.__path__)]
    loaded = [read(import_module(f"{exercises.__name__}.{name}")) for name in names]
    return {exercise.name: exercise for exercise in sorted(loaded, key=lambda e: e.rank)}


def get(name: str) -> Exercise:
    """The exercise of that name. Raises UnknownExercise, which names the nearest one."""
    known = all_exercises()
    if name not in known:
        nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        offer = f"did you mean {nearest[0]!r}?" if nearest else "`attncourse list` names them all."
        raise UnknownExercise(f"there is no exercise {name!r}; {offer}")
    return known[name]


def of_chapter(chapter: str) -> list[Exercise]:
    """The exercises of one chapter, from easy to hard."""
    return [exercise for exercise in all_exercises().values() if exercise.chapter == chapter]


def read(module: ModuleType) -> Exercise:
    """Read one module by the contract. Raises ValueError naming the module and what it lacks."""
    name = module.__name__.rpartition(".")[2]
    title, _, statement = inspect.cleandoc(module.__doc__ or "").partition("\n")
    required = ("chapter", "difficulty", "minutes", "hints", "solution")
    missing = [field for field in required if not hasattr(module, field)]
    if missing or not title.startswith("# "):
        lacks = ", ".join(missing) or 'a docstring that begins with "# Title"'
        raise ValueError(f"exercise module {name} lacks {lacks}")
    if module.chapter not in exercises.CHAPTERS:
        raise ValueError(f"exercise module {name} names an unknown chapter: {module.chapter!r}")
    return Exercise(
        name=name,
        title=title.removeprefix("# "),
        statement=statement.strip(),
        chapter=module.chapter,
        difficulty=module.difficulty,
        minutes=module.minutes,
        hints=tuple(module.hints),
        forbidden=tuple(getattr(module, "forbidden", ())),
        solution=module.solution,
        stub=getattr(module, "stub", None),
        checks=_functions(module, "check_"),
        wrong=_functions(module, "wrong_"),
        right=_functions(module, "right_"),
    )


def first_line(function: Function) -> str:
    """The first line of a function's docstring: what a check checks."""
    return (inspect.getdoc(function) or function.__name__).partition("\n")[0]


def whole_doc(function: Function) -> str:
    """A function's docstring as one paragraph: what a misconception says to the learner."""
    return " ".join((inspect.getdoc(function) or function.__name__).split())


def _functions(module: ModuleType, prefix: str) -> dict[str, Function]:
    """The functions of the module whose names begin with `prefix`, in the order they stand."""
    return {
        name.removeprefix(prefix): value
        for name, value in vars(module).items()
        if name.startswith(prefix) and callable(value)
    }
