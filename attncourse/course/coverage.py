"""What each page settles of the articles: ``book/claims/coverage.csv`` and the files of claims.

The table has a line for each topic and each claim of the five articles and the page where it is
treated; a page that is not written yet owes nothing.
"""

import csv
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from attncourse.course import claims, contents

WHERE = Path("book") / "claims" / "coverage.csv"
KINDS = ("topic", "claim")


class Due(NamedTuple):
    """A topic by its name, or a claim by its id, and the page that treats it."""

    kind: str
    name: str
    page: str


def due(root: Path) -> list[Due]:
    """The lines of the table, none where there is no table."""
    if not (root / WHERE).is_file():
        return []
    with (root / WHERE).open(encoding="utf-8", newline="") as file:
        return [Due(line["kind"], line["name"], line["page"]) for line in csv.DictReader(file)]


def problems(root: Path) -> list[str]:
    """A sentence for each line that a written page leaves out, and each claim of two verdicts.

    A file of claims that cannot be read is left to `claims.problems`.
    """
    try:
        settled = claims.load(root)
    except claims.BadClaims:
        return []
    there = {("claim", claim.identity, claim.chapter) for claim in settled}
    for page, names in claims.topics(root).items():
        there |= {("topic", name, page) for name in names}
    return [
        *_faults(due(root)),
        *_torn(settled),
        *(
            f"book/claims/{page}.yml has no {kind} {name}, which {WHERE} expects there"
            for kind, name, page in due(root)
            if contents.page(root, page) and (kind, name, page) not in there
        ),
    ]


def _torn(settled: list[claims.Claim]) -> Iterator[str]:
    """The claims to which two pages give two verdicts."""
    given = {(claim.identity, claim.verdict) for claim in settled}
    for identity, n in Counter(identity for identity, _ in given).items():
        if n > 1:
            yield f"the claim {identity} has {n} verdicts on its pages"


def _faults(lines: list[Due]) -> Iterator[str]:
    for line, n in Counter(lines).items():
        if n > 1:
            yield f"{WHERE} has {line.kind} {line.name} for {line.page} {n} times"
        if line.kind not in KINDS:
            yield f"{WHERE}: a line is of a topic or a claim: got {line.kind}"
        if line.page not in contents.TITLES:
            yield f"{WHERE}: {line.name} is on a page that the contents do not have: {line.page}"
