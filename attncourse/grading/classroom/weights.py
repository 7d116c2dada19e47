"""How much each exercise counts: a small TOML file."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from attncourse.core.errors import CourseError
from attncourse.course.exercise import UnknownExercise, get

_KEYS = {"title": str, "points": (int, float), "canvas": str, "weights": dict}


class WeightsError(CourseError):
    """The file cannot be used; the message is one sentence."""


@dataclass(frozen=True)
class Scheme:
    """The title of the assignment, its points, its column in Canvas, and the weights.

    Without weights every exercise that the class was given counts the same.
    """

    title: str = "Exercises on attention"
    points: float = 100.0
    canvas: str = ""
    weights: Mapping[str, float] = field(default_factory=dict)


def read(path: Path | None) -> Scheme:
    """The scheme in a file like this one. Raises WeightsError.

    ::

        title = "Week 2"        # of the reports
        points = 20             # for everything right
        canvas = "Week 2 (4711)"  # the column in Canvas's export, where it is not plain

        [weights]
        softmax = 1
        attention = 3
    """
    if path is None:
        return Scheme()
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise WeightsError(f"{path} is not TOML: {str(error)[:100]}") from None
    for key, value in told.items():
        if key not in _KEYS:
            raise WeightsError(f"{path}: there is no {key!r}: there are {', '.join(_KEYS)}")
        if not isinstance(value, _KEYS[key]) or isinstance(value, bool):  # type: ignore[arg-type]
            raise WeightsError(f"{path}: {key} must not be {value!r}")
    for name, weight in told.get("weights", {}).items():
        _see(path, name, weight)
    if told.get("points", 1) <= 0:
        raise WeightsError(f"{path}: points must be above 0: got {told['points']}")
    if "weights" in told and not any(told["weights"].values()):
        raise WeightsError(f"{path}: one weight at least must be above 0")
    return Scheme(**told)


def _see(path: Path, name: str, weight: object) -> None:
    try:
        get(name)
    except UnknownExercise as error:
        raise WeightsError(f"{path}: {error}") from None
    if type(weight) not in (int, float) or not 0 <= weight < float("inf"):  # type: ignore[operator]
        raise WeightsError(
            f"{path}: a weight must be a number of at least 0: got {name} = {weight}"
        )
