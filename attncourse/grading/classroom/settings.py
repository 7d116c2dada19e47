"""What a folder of results remembers of how the class is to be graded, and how that is changed."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from attncourse.grading.classroom.files import replace
from attncourse.grading.classroom.handed import Choice, ClassError, UnclearError
from attncourse.grading.classroom.weights import Scheme

NAME = "settings.json"


@dataclass(frozen=True)
class Settings:
    """What the teacher said; None or empty is what was not said.

    exercises are the assignment; layout says what folders are; prefer names files or folders that
    count where a student has several copies.
    """

    scheme: Scheme | None = None
    exercises: tuple[str, ...] = ()
    layout: str = ""
    prefer: tuple[str, ...] = field(default=())


def load(out: Path) -> Settings:
    """The settings in a folder of results; empty ones if there are none. Raises ClassError."""
    path = out / NAME
    try:
        told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        scheme = Scheme(**told["scheme"]) if told["scheme"] else None
        return Settings(scheme, tuple(told["exercises"]), told["layout"], tuple(told["prefer"]))
    except FileNotFoundError:
        return Settings()
    except OSError as error:
        raise ClassError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError):
        raise ClassError(f"{path} is damaged: delete it, and say again what counts") from None


def save(out: Path, settings: Settings) -> None:
    """Write them into the folder."""
    replace(out / NAME, json.dumps(asdict(settings), indent=1, sort_keys=True) + "\n")


def merge(known: Settings, said: Settings, change: bool) -> Settings:
    """What is remembered, with what is said now. Raises UnclearError for a change not asked for."""
    merged: dict[str, Any] = {}
    for name in (one.name for one in dataclasses.fields(Settings)):
        before, now = getattr(known, name), getattr(said, name)
        if before and now and before != now and not change:
            raise changes(_OPTIONS[name], *_difference(name, before, now))
        merged[name] = now or before
    return Settings(**merged)


_OPTIONS = {"scheme": "weights", "exercises": "exercises", "layout": "layout", "prefer": "prefer"}


def changes(option: str, before: str, now: str) -> UnclearError:
    """That the results remember something else than what is said."""
    question = f"--{option} would change what these results were counted by: {before} is remembered"
    return UnclearError(
        f"{question}, now it is {now}",
        [
            Choice("change", True, "change it, for all students"),
            Choice(option, None, "keep what is remembered"),
        ],
    )


def _difference(name: str, before: Any, now: Any) -> tuple[str, str]:
    """What differs, before and now, in words."""
    if name != "scheme":
        return _words(before), _words(now)
    told = [
        (f"{key} {_words(value)}", f"{key} {_words(getattr(now, key))}")
        for key, value in vars(before).items()
        if value != getattr(now, key)
    ]
    return ", ".join(a for a, _ in told), ", ".join(b for _, b in told)


def _words(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} = {weight:g}" for name, weight in value.items()) or "none"
    if isinstance(value, tuple):
        return ", ".join(value)
    return f"{value:g}" if isinstance(value, float) else repr(value)
