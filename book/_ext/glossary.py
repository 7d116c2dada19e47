"""The words of the course: ``{words}`` lists them, and each page links its first mention of one.

The words are in ``book/data/glossary.yml``: English, Chinese, what they mean, where they are
treated. A mention is a link to the entry with its meaning as tooltip; none is made in headings,
links, code, figures' captions and questions, nor on the page that treats the word.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from attncourse.course import claims
from attncourse.course.contents import TITLES
from elements import Element, element

PAGE = "book/glossary"
DATA = "book/data/glossary.yml"
APART = (
    Element,
    nodes.reference,
    nodes.title,
    nodes.literal,
    nodes.literal_block,
    nodes.caption,
    nodes.term,
    nodes.math,
    nodes.raw,
    nodes.rubric,
)
UNLINKED = (PAGE, "book/references", "book/errata")


@dataclass(frozen=True)
class Word:
    """A word: its Chinese name, its meaning in a sentence, the target where it is treated."""

    name: str
    chinese: str
    means: str
    where: str
    also: tuple[str, ...] = ()
    linked: bool = True

    @property
    def anchor(self) -> str:
        """Its place on the page of words."""
        return "word-" + re.sub(r"\W+", "-", self.name.casefold())


def words(root: Path) -> list[Word]:
    """The words in their order."""
    content = yaml.safe_load((root / DATA).read_text(encoding="utf-8"))
    return [
        Word(name, **{**fields, "also": tuple(fields.get("also", ()))})
        for name, fields in content.items()
    ]


class Words(SphinxDirective):
    """All of them, with both names."""

    def run(self) -> list[nodes.Node]:
        """Put them on the page."""
        root = Path(self.env.srcdir)
        self.env.note_dependency(str(root / DATA))
        pages = claims.targets(root)
        listed = nodes.definition_list(classes=["words"])
        listed += [self.entry(word, pages.get(word.where, "")) for word in words(root)]
        return [listed]

    def entry(self, word: Word, page: str) -> nodes.Node:
        """A word's two names, its meaning, and the way to the page that treats it."""
        name = nodes.term("", word.name + " ", ids=[word.anchor])
        chinese = element("span", lang="zh")
        chinese += nodes.Text(word.chinese)
        name += chinese
        meaning = nodes.definition()
        text = f"{word.means} {{ref}}`{TITLES.get(page, page)} <{word.where}>`"
        lines = StringList([text], source=self.env.docname)
        self.state.nested_parse(lines, self.content_offset, meaning)
        return nodes.definition_list_item("", name, meaning)


def link(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Link the first mention of each word on a page."""
    root = Path(app.srcdir)
    if page in UNLINKED or not app.env or PAGE not in app.env.found_docs:
        return
    spelled = dict(_spellings(word for word in words(root) if _elsewhere(app, word, page)))
    if not spelled:
        return
    longest = sorted(spelled, key=len, reverse=True)
    pattern = re.compile(rf"(?<![\w-])({'|'.join(map(re.escape, longest))})s?(?![\w-])", re.I)
    met: set[str] = set()
    for text in list(doctree.findall(nodes.Text)):
        if not _in_prose(text):
            continue
        parts = list(_parts(app, page, text.astext(), pattern, spelled, met))
        if any(isinstance(part, nodes.reference) for part in parts):
            text.parent.replace(text, parts)


def _parts(
    app: Sphinx,
    page: str,
    text: str,
    pattern: re.Pattern[str],
    spelled: dict[str, Word],
    met: set[str],
) -> Iterator[nodes.Node]:
    """A text in pieces: what stays, and links for the words that are not `met` yet."""
    end = 0
    for found in pattern.finditer(text):
        word = spelled[found[1].casefold()]
        if word.name in met:
            continue
        met.add(word.name)
        if found.start() > end:
            yield nodes.Text(text[end : found.start()])
        address = app.builder.get_relative_uri(page, PAGE) + "#" + word.anchor
        yield nodes.reference(
            "", found[0], refuri=address, internal=True, reftitle=word.means, classes=["word"]
        )
        end = found.end()
    if end < len(text):
        yield nodes.Text(text[end:])


def _spellings(listed: Iterator[Word]) -> Iterator[tuple[str, Word]]:
    for word in listed:
        yield from ((name.casefold(), word) for name in (word.name, *word.also))


def _elsewhere(app: Sphinx, word: Word, page: str) -> bool:
    """Is a word to be linked, and treated on another page than this?"""
    labels = app.env.get_domain("std").anonlabels  # type: ignore[attr-defined]
    return word.linked and labels.get(word.where, ("",))[0] != page


def _in_prose(text: nodes.Node) -> bool:
    """Is a text in a paragraph, and in nothing that a link would spoil?"""
    node, in_paragraph = text.parent, False
    while node is not None:
        if isinstance(node, APART):
            return False
        in_paragraph |= isinstance(node, nodes.paragraph)
        node = node.parent
    return in_paragraph


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.add_directive("words", Words)
    app.connect("doctree-resolved", link)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
