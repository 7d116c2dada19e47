"""The exercise contract: what a module in ``attncourse/exercises/<chapter>`` must say, and how to
find it.

The folder is the chapter, the file's name the exercise's. A module holds

- a docstring, ``# Title`` and below it the statement;
- ``difficulty``, ``minutes``, ``hints``, ``solution``; where needed ``forbidden``, ``stub``, and
  ``shown``, one of its right answers, where the library's function is too much machinery to be
  shown as the solution;
- functions ``check_*``, ``wrong_*``, ``right_*``;
- ``borrowed``, where it takes over what another exercise has said already, so that a piece of
  advice is written once::

      borrowed = (Borrow(masked_softmax, _with_values, ("wrong_mask_ignored", "right_by_rows")),)

  ``_with_values`` takes an answer to ``masked_softmax`` and returns the attention that uses it.
  Read, a borrowed mistake is one like any other, with the lender's docstring; it comes after the
  module's own.

An exercise is loaded when it is asked for, and no other with it (but for its lenders), so that a
broken module breaks itself alone. What a good exercise needs beyond this is in ``rules``.
"""

import difflib
import functools
import inspect
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from attncourse import exercises
from attncourse.core.errors import CourseError
from attncourse.course.contents import CHAPTERS
from attncourse.exercises import Borrow

Function = Callable[..., Any]

REQUIRED = ("difficulty", "minutes", "hints", "solution")


class ExerciseError(CourseError):
    """An exercise cannot be had; the message says why, in a sentence."""


class NoDocstringsError(ExerciseError):
    """Python was told to forget docstrings, in which an exercise says most of what it says."""


class UnknownExercise(ExerciseError):
    """No exercise has that name; the message offers the nearest."""


class BrokenExercise(ExerciseError):
    """The module of an exercise cannot be loaded; the message says which and why."""


@dataclass(frozen=True)
class Exercise:
    """One exercise, read from its module.

    checks, wrong and right map names without their prefix (``check_``, ``wrong_``, ``right_``)
    to functions, in the order of the module. stub is the function a learner starts from, or
    None where that is the solution's signature over ``raise NotImplementedError``; shown is what
    the notebook of solutions shows.
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
    shown: Function
    checks: Mapping[str, Function]
    wrong: Mapping[str, Function]
    right: Mapping[str, Function]

    @property
    def rank(self) -> tuple[int, int, int, str]:
        """Where the exercise stands: by chapter, then from easy to hard."""
        order = list(CHAPTERS).index(self.chapter)
        return order, self.difficulty, self.minutes, self.name


def files() -> list[Path]:
    """The module of every exercise, chapter by chapter; nothing is imported."""
    folders = [Path(path, folder(slug)) for slug in CHAPTERS for path in exercises.__path__]
    found = [path for each in folders for path in sorted(each.glob("*.py"))]
    return [path for path in found if not path.name.startswith("_")]


@functools.cache
def names() -> dict[str, str]:
    """The chapter of every exercise by the exercise's name; nothing is imported.

    Raises NoDocstringsError where Python was started so that there are none.
    """
    if sys.flags.optimize > 1:
        raise NoDocstringsError(
            "the exercises need docstrings, and Python was told to drop them (-OO, or "
            "PYTHONOPTIMIZE=2): start it without that"
        )
    return {path.stem: path.parent.name.replace("_", "-") for path in files()}


def folder(chapter: str) -> str:
    """The folder of a chapter's exercises."""
    return chapter.replace("-", "_")


def get(name: str) -> Exercise:
    """The exercise of that name, whose module is imported, and no other exercise's.

    Raises UnknownExercise, which names the nearest one, BrokenExercise, and NoDocstringsError.
    """
    known = names()
    if name not in known:
        offer = nearest(name, known) or "`attncourse list` names them all."
        raise UnknownExercise(f"there is no exercise {name!r}; {offer}")
    return _load(f"{exercises.__name__}.{folder(known[name])}.{name}")


def nearest(name: str, known: Iterable[str]) -> str:
    """A question that offers the nearest of the known names; nothing if none is near."""
    found = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean {found[0]!r}?" if found else ""


def all_exercises() -> dict[str, Exercise]:
    """Every exercise that can be loaded, by name: chapter by chapter, from easy to hard."""
    return {exercise.name: exercise for exercise in _loaded(names())}


def in_order() -> list[str]:
    """Every exercise's name in the order of the course; what cannot be loaded comes last."""
    return list(dict.fromkeys([*all_exercises(), *names()]))


def broken() -> dict[str, str]:
    """Why a module cannot be loaded, in a sentence, by its name; empty where all can."""
    found = {}
    for name in names():
        try:
            get(name)
        except BrokenExercise as error:
            found[name] = str(error)
    return found


def chapters() -> list[str]:
    """The chapters that have exercises, in the order of the book."""
    return list(dict.fromkeys(names().values()))


def of_chapter(chapter: str) -> list[Exercise]:
    """The exercises of one chapter that can be loaded, from easy to hard."""
    return _loaded(name for name, place in names().items() if place == chapter)


def _loaded(wanted: Iterable[str]) -> list[Exercise]:
    found = []
    for name in wanted:
        with suppress(BrokenExercise):
            found.append(get(name))
    return sorted(found, key=lambda exercise: exercise.rank)


@functools.cache
def _load(module: str) -> Exercise:
    """Import a module and read it. Raises BrokenExercise, whatever went wrong."""
    try:
        return read(import_module(module))
    except BrokenExercise:
        raise
    except Exception as error:
        why = " ".join(f"{type(error).__name__}: {error}".split())
        name = module.rpartition(".")[2]
        raise BrokenExercise(f"exercise module {name} cannot be loaded: {why}") from error


def read(module: ModuleType) -> Exercise:
    """Read one module by the contract. Raises BrokenExercise: which module, and what it lacks."""
    _, place, name = module.__name__.rsplit(".", 2)
    title, _, statement = inspect.cleandoc(module.__doc__ or "").partition("\n")
    missing = [field for field in REQUIRED if not hasattr(module, field)]
    if missing or not title.startswith("# "):
        lacks = ", ".join(missing) or 'a docstring that begins with "# Title"'
        raise BrokenExercise(f"exercise module {name} lacks {lacks}")
    functions = _functions(module)
    return Exercise(
        name=name,
        title=title.removeprefix("# "),
        statement=statement.strip(),
        chapter=place.replace("_", "-"),
        difficulty=module.difficulty,
        minutes=module.minutes,
        hints=tuple(module.hints),
        forbidden=tuple(getattr(module, "forbidden", ())),
        solution=module.solution,
        stub=getattr(module, "stub", None),
        shown=getattr(module, "shown", module.solution),
        checks=_called(functions, "check_"),
        wrong=_called(functions, "wrong_"),
        right=_called(functions, "right_"),
    )


def first_line(function: Function) -> str:
    """The first line of a function's docstring: what a check checks."""
    return (inspect.getdoc(function) or function.__name__).partition("\n")[0]


def whole_doc(function: Function) -> str:
    """A function's docstring as one paragraph: what a misconception says to the learner."""
    return " ".join((inspect.getdoc(function) or function.__name__).split())


def _functions(module: ModuleType) -> dict[str, Function]:
    """The functions of a module in the order they stand, then those it borrows."""
    found = {name: value for name, value in vars(module).items() if callable(value)}
    for borrow in getattr(module, "borrowed", ()):
        lent = _functions(borrow.lender)
        for name in borrow.names:
            if name in found or name not in lent:
                why = "it has itself" if name in found else f"{borrow.lender.__name__} lacks"
                raise BrokenExercise(f"{module.__name__} borrows {name}, which {why}")
            found[name] = _borrowed(lent[name], name, borrow)
    return found


def _borrowed(lent: Function, name: str, borrow: Borrow) -> Function:
    """A function of the lender's as one of the borrower's, with the lender's words."""
    if name.startswith("check_"):
        return lent
    made = borrow.wrap(lent)
    made.__name__, made.__doc__ = name, lent.__doc__
    return made


def _called(functions: Mapping[str, Function], prefix: str) -> dict[str, Function]:
    """The functions whose names begin with the prefix, by the rest of their names."""
    return {
        name.removeprefix(prefix): function
        for name, function in functions.items()
        if name.startswith(prefix)
    }
