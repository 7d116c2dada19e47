"""What the articles claim and what came of it: ``{errata}``, ``{articles}``; from data alone.

The claims are in ``book/claims/<page>.yml`` (`attncourse.course.claims`), the articles in
``book/data/articles.yml``. ``{errata}`` is a table that reads without a script; ``errata.js`` adds
filters and sorting. ``{articles}`` names the articles, with how much of each is settled.
"""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from attncourse.course import claims
from attncourse.course.claims import VERDICTS, Claim
from attncourse.course.contents import CHAPTERS, TITLES
from elements import element, loads

HEADS = ("Claim", "Verdict", "What is true", "Proof")


class OfArticles(SphinxDirective):
    """What both directives share: the data, and Markdown as nodes."""

    @property
    def root(self) -> Path:
        """The folder that has ``book`` in it."""
        return Path(self.env.srcdir)

    def articles(self) -> dict[str, dict[str, Any]]:
        """The articles by their short names."""
        path = self.root / "book" / "data" / "articles.yml"
        self.env.note_dependency(str(path))
        return dict(yaml.safe_load(path.read_text(encoding="utf-8")))

    def claims(self) -> list[Claim]:
        """Those that are settled, in the order of the articles."""
        for path in (self.root / "book" / "claims").glob("*.yml"):
            self.env.note_dependency(str(path))
        self.env.note_reread()  # a file more is no dependency yet
        try:
            return sorted(claims.load(self.root), key=place)
        except claims.BadClaims as error:
            raise self.error(str(error)) from None

    def parsed(self, text: str, holder: Any) -> Any:
        """`holder` with the nodes of a piece of Markdown."""
        lines = StringList(text.splitlines(), source=self.env.docname)
        self.state.nested_parse(lines, self.content_offset, holder)
        return holder


class Articles(OfArticles):
    """The articles, and how far the course has come with each."""

    def run(self) -> list[nodes.Node]:
        """Put them on the page."""
        settled = self.claims()
        rows = nodes.bullet_list(classes=["articles"])
        for name, article in self.articles().items():
            own = [claim for claim in settled if claim.article == name]
            item = nodes.list_item()
            line = nodes.paragraph("", "", nodes.strong("", name), nodes.Text(" "))
            line += titled(article)
            line += nodes.Text(f" {article['claims']} claims: {summary(own, article['claims'])}.")
            item += line
            rows += item
        whole = sum(article["claims"] for article in self.articles().values())
        return [rows, nodes.paragraph("", so_far(settled, whole))]


class Errata(OfArticles):
    """The table of all that is settled."""

    def run(self) -> list[nodes.Node]:
        """Put it on the page."""
        box = element("div", "errata", data_errata="claims")
        box += element("form", "errata-controls", aria_label="Choose claims")
        table = element(
            "table", "errata-claims", role="table"
        )  # also where it is laid out as cards
        head, line = element("thead", role="rowgroup"), element("tr", role="row")
        for word in HEADS:
            cell = element("th", scope="col", role="columnheader")
            cell += nodes.Text(word)
            line += cell
        head += line
        body = element("tbody", role="rowgroup")
        body += [self.claim(claim) for claim in self.claims()]
        table += [head, body]
        box += table
        return [box]

    def claim(self, claim: Claim) -> nodes.Node:
        """A row: what is said, the verdict, what is true, where it is shown."""
        title = TITLES.get(claim.chapter, claim.chapter)
        line = element(
            "tr",
            role="row",
            data_article=claim.article,
            data_chapter=claim.chapter,
            data_title=title,
            data_place=list(TITLES).index(claim.chapter) if claim.chapter in TITLES else -1,
            data_verdict=claim.verdict,
        )
        line["ids"] = [claim.identity.lower()]
        said = element("td", "errata-says", role="cell")
        number = element("span", "errata-id")
        number += nodes.Text(claim.identity)
        said += number
        self.parsed(claim.says, said)
        verdict = element("td", "errata-verdict", f"errata-{claim.verdict}", role="cell")
        verdict += nodes.Text(claim.verdict)
        proof = f"{{ref}}`{where(claim)} <{claim.proof}>`"
        line += [
            said,
            verdict,
            self.parsed(claim.answer, element("td", "errata-answer", role="cell")),
            self.parsed(proof, element("td", "errata-proof", role="cell")),
        ]
        return line


def place(claim: Claim) -> tuple[str, str, int]:
    """Where a claim stands in the order of the articles: S3-9 before S3-10, listings last."""
    article, _, number = claim.identity.partition("-")
    return article, "b" * number.startswith("b"), int(number.lstrip("b"))


def where(claim: Claim) -> str:
    """The page that settles a claim, as its reader knows it."""
    written = list(CHAPTERS)
    if claim.chapter in written:
        return f"Chapter {written.index(claim.chapter) + 1}"
    return TITLES.get(claim.chapter, claim.chapter)


def titled(article: dict[str, Any]) -> list[nodes.Node]:
    """An article's title with our translation; what it is about where it has none."""
    if "title" not in article:
        return [nodes.Text(f"(no title, no author) {article['about']}.")]
    first = "(no title; the first heading) " if article.get("heading") else ""
    found = [nodes.Text(first), chinese(article["title"]), nodes.Text(f" ({article['about']})")]
    author = article.get("author")
    return [*found, *([nodes.Text(", by "), chinese(author)] if author else []), nodes.Text(".")]


def chinese(text: str) -> nodes.Node:
    """Words for which a browser has another face, and a screen reader another voice."""
    held = element("span", lang="zh")
    held += nodes.Text(text)
    return held


def by_verdict(settled: Iterable[Claim]) -> Counter[str]:
    """How many claims have which verdict; one that two chapters settle counts once."""
    unique = {claim.identity: claim.verdict for claim in settled}
    return Counter(verdict for name, verdict in unique.items() if "b" not in name)


def summary(settled: Iterable[Claim], whole: int) -> str:
    """The verdicts in words, and how many claims have none yet."""
    found = by_verdict(settled)
    told = [f"{found[verdict]} {verdict}" for verdict in VERDICTS if found[verdict]]
    waiting = whole - sum(found.values())
    return ", ".join([*told, f"{waiting} not settled"] if waiting else told)


def so_far(settled: list[Claim], whole: int) -> str:
    """How far the course has come."""
    found = by_verdict(settled)
    told = ", ".join(f"{found[verdict]} {verdict}" for verdict in VERDICTS)
    n = sum(found.values())
    how_many = f"All {whole} claims" if n == whole else f"So far {n} of {whole} claims"
    return f"{how_many} are settled: {told}."


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.add_directive("articles", Articles)
    app.add_directive("errata", Errata)
    app.connect("html-page-context", loads("data-errata", lambda name: ["errata.js"]))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
