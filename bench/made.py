"""Made submissions: notebooks of many students, with right, wrong, slow, broken and no answers."""

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from attncourse.course import source
from attncourse.course.exercise import Exercise, all_exercises

IMPORTS = """import math

import torch
from jaxtyping import Bool, Float, Integer
from torch import Tensor"""

# how often an answer is of which kind, in a hundred
KINDS = {"right": 55, "wrong": 33, "stub": 6, "slow": 3, "broken": 3}


def write(
    folder: Path, students: int, exercises: int, seed: int = 0, distinct: bool = False
) -> list[Path]:
    """One notebook for each student in `folder`; the same for the same seed.

    distinct: no two students' numbers are the same to the last bit, as if every answer were of
    another's making.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number in range(students):
        dice = random.Random(f"{seed} {number}")
        cells = [answer(exercise, dice) for exercise in chosen(exercises)]
        if distinct:
            names = [exercise.name for exercise in chosen(exercises)]
            cells += [_OWN, *(_OWNED.format(name=name, number=number + 1) for name in names)]
        path = folder / f"student{number:03}.ipynb"
        path.write_text(notebook(number, [IMPORTS, *cells]), encoding="utf-8")
        paths.append(path)
    return paths


def chosen(count: int | None) -> list[Exercise]:
    """The first exercises of the course, or all."""
    return list(all_exercises().values())[:count]


def answer(exercise: Exercise, dice: random.Random) -> str:
    """The text of an answer of a random kind."""
    (kind,) = dice.choices(list(KINDS), list(KINDS.values()))
    return _ANSWERS[kind](exercise, dice)


def notebook(number: int, cells: list[str]) -> str:
    """The text of a notebook with these code cells."""
    made = [_cell(f"cell-{index}", text) for index, text in enumerate(cells)]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    note = {"cell_type": "markdown", "id": "note", "metadata": {}, "source": f"Student {number}"}
    whole = {"nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": kernel}}
    return json.dumps(whole | {"cells": [note, *made]}, indent=1)


_OWN = """def own(found, number):
    if isinstance(found, Tensor) and found.is_floating_point():
        return found * (1 + number * torch.finfo(found.dtype).eps)
    return found"""
_OWNED = """_plain_{name} = {name}


def {name}(*args, **kwargs):
    return own(_plain_{name}(*args, **kwargs), {number})"""


def _cell(identity: str, text: str) -> dict[str, Any]:
    rest = {"metadata": {}, "outputs": [], "execution_count": None}
    return {"cell_type": "code", "id": identity, "source": text} | rest


def _right(exercise: Exercise, dice: random.Random) -> str:
    needed = [source.whole(function) for function in source.needs(exercise.solution)]
    return "\n\n\n".join([*needed, source.whole(exercise.solution, name=exercise.name)])


def _wrong(exercise: Exercise, dice: random.Random) -> str:
    """One of the mistakes that are known, the first more often."""
    # those that are borrowed are no text of their own
    known = [(name, wrong) for name, wrong in exercise.wrong.items() if not wrong.__closure__]
    name, wrong = known[min(int(dice.expovariate(0.7)), len(known) - 1)]
    text = source.whole(wrong).replace(f"def wrong_{name}(", f"def {exercise.name}(")
    return "\n\n\n".join([*dict.fromkeys(_helpers(wrong)), text])


def _helpers(function: Callable[..., Any]) -> Iterator[str]:
    """The functions that a wrong answer calls, those needed first first."""
    for name in function.__code__.co_names:
        value = function.__globals__.get(name)
        if name.startswith("_") and callable(value):
            yield from (*_helpers(value), source.whole(value))
        elif callable(value) and getattr(value, "__module__", "").startswith("attncourse."):
            yield from (source.whole(f) for f in (*source.needs(value), value))


def _slow(exercise: Exercise, dice: random.Random) -> str:
    """A right answer that counts to two hundred thousand first, whenever it is called."""
    name = exercise.name
    return (
        f"{_right(exercise, dice)}\n\n\n_quick_{name} = {name}\n\n\n"
        f"def {name}(*args, **kwargs):\n    for _ in range(200_000):\n        pass\n"
        f"    return _quick_{name}(*args, **kwargs)"
    )


def _broken(exercise: Exercise, dice: random.Random) -> str:
    right = _right(exercise, dice)
    broken = (
        right.replace("return ", "return undefined_name + ", 1),
        right.replace(":", "", 1),
        f"def {exercise.name}(*args, **kwargs):\n    return [1, 2, 3]",
        f"import os\n\n\ndef {exercise.name}(*args, **kwargs):\n    os._exit(1)",
    )
    return dice.choice(broken)


def _stub(exercise: Exercise, dice: random.Random) -> str:
    return source.stub(exercise.solution, exercise.stub, name=exercise.name)


_ANSWERS: dict[str, Callable[[Exercise, random.Random], str]] = {
    "right": _right,
    "wrong": _wrong,
    "stub": _stub,
    "slow": _slow,
    "broken": _broken,
}
