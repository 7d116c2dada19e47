"""What the articles claim and what came of it, chapter by chapter: ``book/claims/<slug>.yml``.

::

    claims:
      S3-27:
        says: Scores are divided by the square root of the width.
        verdict: right
        answer: Yes, if the entries of q and k have mean 0 and variance 1.
        proof: ss-ev-variance
    topics:
      Scaling: ss-scaling

`says` is the claim in our words, `answer` the correction in a sentence or two of Markdown; `proof`
and what follows a topic are targets on the chapter's page, ``(ss-ev-variance)=``.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attncourse.core.errors import CourseError
from attncourse.course import as_written, contents
from attncourse.course.prose import markdown

VERDICTS = ("right", "imprecise", "wrong")
FIELDS = ("says", "verdict", "answer", "proof")

_IDENTITY = re.compile(r"S[0-4]-b?\d+")
_TARGET = re.compile(r"^\(([\w-]+)\)= *$|^:(?:label|name): *([\w-]+) *$", re.MULTILINE)


class BadClaims(CourseError):
    """A file of claims is not as it should be; the message says what is wrong."""


@dataclass(frozen=True)
class Claim:
    """A claim of an article, and the place on a chapter's page that proves the answer."""

    identity: str
    chapter: str
    says: str
    verdict: str
    answer: str
    proof: str

    @property
    def article(self) -> str:
        """The article that it is from, ``S0`` to ``S4``."""
        return self.identity.partition("-")[0]


def load(root: Path) -> list[Claim]:
    """The claims of all chapters that have a file, in the order of the book. Raises BadClaims."""
    return [claim for slug in _slugs(root) for claim in _claims(slug, _read(root, slug))]


def topics(root: Path) -> dict[str, dict[str, str]]:
    """The topics that each chapter treats, and the targets where it does. Raises BadClaims."""
    return {slug: dict(_read(root, slug)["topics"]) for slug in _slugs(root)}


def targets(root: Path) -> dict[str, str]:
    """Every target of the pages that are written, with the slug of its page."""
    written = ((slug, contents.page(root, slug)) for slug in contents.TITLES)
    return {
        label or name: slug
        for slug, path in written
        if path
        for label, name in _TARGET.findall(markdown(path))
    }


def problems(root: Path) -> list[str]:
    """A sentence for each file that is not as it should be and each target that is not there."""
    found = []
    for slug in _slugs(root):
        try:
            content = _read(root, slug)
        except BadClaims as error:
            found.append(str(error))
            continue
        page = contents.page(root, slug)
        if page is None:
            found.append(f"book/claims/{slug}.yml is of a page that is not written")
            continue
        there = {label or name for label, name in _TARGET.findall(markdown(page))}
        wanted = {claim.proof: claim.identity for claim in _claims(slug, content)}
        wanted |= {target: topic for topic, target in content["topics"].items()}
        found += [
            f"book/claims/{slug}.yml: {page.name} has no target ({target})= for {what}"
            for target, what in wanted.items()
            if target not in there
        ]
    return found


def _slugs(root: Path) -> list[str]:
    """The pages that have a file of claims: those of the contents in order, then any other."""
    there = {path.stem for path in (root / "book" / "claims").glob("*.yml")}
    return [*(slug for slug in contents.TITLES if slug in there), *sorted(there - _KNOWN)]


_KNOWN = set(contents.TITLES)


def _claims(slug: str, content: dict[str, Any]) -> Iterator[Claim]:
    for identity, fields in content["claims"].items():
        yield Claim(identity, slug, **{name: fields[name].strip() for name in FIELDS})


def _read(root: Path, slug: str) -> dict[str, Any]:
    """A file as it should be. Raises BadClaims."""
    path = root / "book" / "claims" / f"{slug}.yml"
    try:
        content = as_written.read(path)
    except as_written.BadYaml as error:
        raise BadClaims(f"book/claims/{error}") from None
    if faults := list(_faults(content)):
        raise BadClaims(f"book/claims/{path.name}: {'; '.join(faults)}")
    return {key: content[key] or {} for key in ("claims", "topics")}


def _faults(content: Any) -> Iterator[str]:
    if not isinstance(content, dict) or set(content) != {"claims", "topics"}:
        yield "it has the keys claims and topics, and nothing else"
        return
    for key in ("claims", "topics"):
        if content[key] and not isinstance(content[key], dict):
            yield f"{key} are by their names"
            return
    for identity, fields in (content["claims"] or {}).items():
        yield from (f"{identity}: {fault}" for fault in _wrong(identity, fields))
    for topic, target in (content["topics"] or {}).items():
        if not _is_words(target):
            yield f"the topic {topic} has no target"


def _wrong(identity: str, fields: Any) -> Iterator[str]:
    if not _IDENTITY.fullmatch(identity):
        yield "a claim's id is like S3-27"
    if not isinstance(fields, dict) or set(fields) != set(FIELDS):
        yield f"a claim has {', '.join(FIELDS)} and nothing else"
        return
    if not all(map(_is_words, fields.values())):
        yield "each field is words, none of them empty"
    if fields["verdict"] not in VERDICTS:
        yield f"the verdict is one of {', '.join(VERDICTS)}: got {fields['verdict']}"


def _is_words(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())
