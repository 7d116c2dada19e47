"""The prediction boxes of a page: ``book/questions/<page>.yml``, each question under its id."""

import re
from pathlib import Path
from typing import Any

from attncourse.course import as_written

KEYS = {"question", "options", "right", "explanation"}
NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")


def questions(path: Path) -> dict[str, dict[str, Any]]:
    """The questions of a file. Raises ValueError for what is not as it should be."""
    try:
        found = as_written.read(path)
    except as_written.BadYaml as error:
        raise ValueError(str(error)) from None
    if not isinstance(found, dict):
        raise ValueError(f"{path.name} holds no questions by their ids")
    faults = [f"{name}: {fault}" for name in found if (fault := wrong(name, found[name]))]
    if faults:
        raise ValueError(f"{path.name}, {'; '.join(faults)}")
    return found


def wrong(name: str, asked: Any) -> str | None:
    """What is wrong with a question, if anything is."""
    if not NAME.fullmatch(name):
        return "an id is of small letters, digits and hyphens"
    if not isinstance(asked, dict) or set(asked) != KEYS:
        return f"a question has {', '.join(sorted(KEYS))} and nothing else"
    words = [asked["question"], asked["explanation"]]
    if isinstance(asked["options"], list):
        words += asked["options"]
    fault = wrong_options(asked["options"], asked["right"])
    if fault and fault.startswith("a question has"):
        return fault
    if not all(map(is_words, words)):
        return "question, explanation and each option are words, none of them empty"
    return fault


def wrong_options(options: Any, right: Any) -> str | None:
    """What is wrong with the options of a question and the number of the right one, if anything."""
    if not isinstance(options, list) or not 2 <= len(options) <= 4:
        return "a question has two to four options"
    if not all(map(is_words, options)):
        return "each option is words"
    if len({option.strip() for option in options}) < len(options):
        return "two options are the same"
    if right not in map(str, range(1, len(options) + 1)):
        return f"right is the number of an option, 1 to {len(options)}: got {right}"
    return None


def is_words(value: Any) -> bool:
    """Is it text, and not empty?"""
    return isinstance(value, str) and bool(value.strip())
