"""YAML that people write by hand: every value as it stands, and no key twice."""

import copy
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from attncourse.core.errors import CourseError


class BadYaml(CourseError):
    """A file is no YAML, or has a key twice; the message names it and says where."""


def read(path: Path) -> Any:
    """What a file holds, in dicts, lists and text: `no` is no False, and 0.10 keeps its zero.

    Raises BadYaml.
    """
    import yaml

    try:
        found, twice = _read(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise BadYaml(f"{path.name} is no YAML: {' '.join(str(error).split())}") from None
    if twice:
        raise BadYaml(f"{path.name}: {'; '.join(f'{key} is there twice' for key in twice)}")
    return copy.deepcopy(found)


@lru_cache(maxsize=128)  # the same few files are asked for by every page
def _read(text: str) -> tuple[Any, list[str]]:
    """What a text holds, and the keys that are there twice: YAML keeps the last without a word."""
    import yaml

    try:
        loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)(text)  # libyaml is ten times as fast
        node = loader.get_single_node()
    except yaml.YAMLError:
        loader = yaml.BaseLoader(text)  # which says more of what is wrong, and where
        node = loader.get_single_node()
    found = None if node is None else loader.construct_document(node)
    return found, list(_repeated(node))


def _repeated(node: Any) -> Iterator[str]:
    if getattr(node, "id", "") == "mapping":
        keys = [key.value for key, _ in node.value]
        yield from dict.fromkeys(key for key in keys if keys.count(key) > 1)
    if getattr(node, "id", "") in ("mapping", "sequence"):
        for part in node.value:
            yield from _repeated(part[1] if isinstance(part, tuple) else part)
