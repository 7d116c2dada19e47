"""The bibliography as links: who wrote it, when, and where it can be read."""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_HOMES = {
    "eprint": "https://arxiv.org/abs/{}",
    "doi": "https://doi.org/{}",
    "url": "{}",
    "isbn": "https://isbnsearch.org/isbn/{}",
}


@dataclass(frozen=True)
class Source:
    """A work that pages cite: its authors in short, its year, its address."""

    authors: str
    year: str
    address: str


@functools.cache
def sources(path: Path) -> dict[str, Source]:
    """The works of a bibliography by their keys; none where there is no such file."""
    from pybtex.database import parse_file

    if not path.is_file():
        return {}
    return {key: _source(entry) for key, entry in parse_file(str(path)).entries.items()}


def _source(entry: Any) -> Source:
    from pybtex.richtext import Text

    persons, fields = entry.persons.get("author", []), entry.fields
    lasts = [" ".join([*person.prelast_names, *person.last_names]) for person in persons]
    names = [str(Text.from_latex(last)) for last in lasts]
    authors = " and ".join(names) if len(names) < 3 else f"{names[0]} et al."
    home = next(kind for kind in _HOMES if kind in fields)
    return Source(authors, fields["year"], _HOMES[home].format(fields[home]))
