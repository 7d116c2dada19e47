"""A learner's progress: a small JSON file beside the notebooks, or in the home folder on Colab."""

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from attncourse.course.checking import Result, State
from attncourse.course.leitner import Card

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

PATIENCE = 1.0  # seconds that one kernel waits for another
FILE_NAME = ".attncourse-progress.json"
QUESTION = "question:"  # before the identity of a question, which is no exercise


def file(folder: Path | None = None) -> Path:
    """Where progress is kept: in `folder`, by default the current one (home on Colab)."""
    if folder is None:
        folder = Path.home() if "google.colab" in sys.modules else Path.cwd()
    return folder / FILE_NAME


def load(folder: Path | None = None) -> dict[str, dict[str, Any]]:
    """Progress by exercise: state, passed, checks, hints. An unreadable file counts as none."""
    try:
        found = json.loads(file(folder).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {name: _sound(entry) for name, entry in found.items() if isinstance(entry, dict)}


def record(result: Result, folder: Path | None = None) -> None:
    """Keep the latest result of an exercise."""
    _update(
        result.exercise,
        {"state": result.state, "passed": result.passed, "checks": len(result.checks)},
        folder,
    )


def hints_given(exercise: str, folder: Path | None = None) -> int:
    """How many hints of the exercise were already shown."""
    return int(load(folder).get(exercise, {}).get("hints", 0))


def record_hint(exercise: str, count: int, folder: Path | None = None) -> None:
    """Keep how many hints were shown."""
    _update(exercise, {"hints": count}, folder)


def cards(folder: Path | None = None) -> dict[str, Card]:
    """What is remembered of the questions that were asked, by their identities."""
    return {
        name.removeprefix(QUESTION): Card(entry["box"], entry["day"])
        for name, entry in load(folder).items()
        if name.startswith(QUESTION) and entry.get("box", 0) > 0 and "day" in entry
    }


def record_card(identity: str, card: Card, folder: Path | None = None) -> None:
    """Keep what is remembered of a question."""
    _update(f"{QUESTION}{identity}", {"box": card.box, "day": card.day}, folder)


def _update(exercise: str, entry: dict[str, Any], folder: Path | None) -> None:
    """Change one entry; a folder that cannot be written loses progress, never the answer."""
    path = file(folder)
    draft = path.with_suffix(f".{os.getpid()}.tmp")
    with contextlib.suppress(OSError), _held(path):
        everything = load(folder)
        everything[exercise] = everything.get(exercise, {}) | entry
        try:
            draft.write_text(json.dumps(everything, indent=1, sort_keys=True), encoding="utf-8")
            draft.replace(path)
        except OSError:
            with contextlib.suppress(OSError):
                draft.unlink()


@contextlib.contextmanager
def _held(path: Path) -> Iterator[None]:
    """Hold the file, so that two kernels that change it do so one after the other.

    It is made where it is missing. Whoever has waited and finds another file in its place (each
    change makes a new one) waits for that. Without locks, or after a second, it goes on.
    """
    deadline = time.monotonic() + PATIENCE
    with contextlib.ExitStack() as stack:
        while fcntl is not None and time.monotonic() < deadline:
            opened = stack.enter_context(path.open("a"))
            try:
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                opened.close()
                time.sleep(0.005)
                continue
            with contextlib.suppress(OSError):
                if os.path.samestat(os.fstat(opened.fileno()), path.stat()):
                    break
            opened.close()
        yield


def _sound(entry: dict[str, Any]) -> dict[str, Any]:
    """The fields of an entry that hold what they should, whoever wrote them."""
    counts = {key: entry.get(key) for key in ("passed", "checks", "hints", "box", "day")}
    sound: dict[str, Any] = {k: n for k, n in counts.items() if type(n) is int and n >= 0}
    return sound | ({"state": entry["state"]} if entry.get("state") in get_args(State) else {})
