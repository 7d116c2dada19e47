"""What the articles claim and what came of it: ``{errata}``, ``{articles}``; from data alone.

The claims are in ``book/claims/<page>.yml`` (`attncourse.course.claims`), the articles in
``book/data/articles.yml``. ``{errata}`` is a table that reads without a script; ``errata.js`` adds
filters and sorting. ``{articles}`` names the articles, with how much of each is settled so far.
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

HEADS = ("claim", "verdict", "what is true", "proof")


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
            line += nodes.Text(f" {article['claims']} claims; so far {summary(own)}.")
            item += line
            rows += item
        whole = sum(article["claims"] for article in self.articles().values())
        return [rows, nodes.paragraph("", so_far(settled, whole))]


class Errata(OfArticles):
    """The table of all that is settled."""

    def run(self) -> list[nodes.Node]:
        """Put it on the page."""
        settled, articles = self.claims(), self.articles()
        whole = sum(article["claims"] for article in articles.values())
        box = element("div", "errata", data_errata="claims")
        box += nodes.paragraph("", so_far(settled, whole))
        box += self.counts(settled, articles)
        box += element("form", "errata-controls", role="search", aria_label="Choose claims")
        table = element("table", "errata-claims")
        head = element("thead")
        head += row("th", [nodes.Text(word.capitalize()) for word in HEADS], scope="col")
        body = element("tbody")
        body += [self.claim(claim) for claim in settled]
        table += [head, body]
        box += table
        return [box]

    def counts(self, settled: list[Claim], articles: dict[str, Any]) -> nodes.Node:
        """How many claims of each article have which verdict."""
        table = element("table", "errata-counts")
        head, body = element("thead"), element("tbody")
        words = ("article", *VERDICTS, "settled", "claims")
        head += row("th", [nodes.Text(word.capitalize()) for word in words], scope="col")
        for name, article in articles.items():
            own = [claim for claim in settled if claim.article == name]
            body += self.count(name, own, article["claims"])
        total = sum(article["claims"] for article in articles.values())
        body += self.count("all", settled, total)
        table += [head, body]
        return table

    def count(self, name: str, own: list[Claim], whole: int) -> nodes.Node:
        """A line of the counts."""
        found = by_verdict(own)
        numbers = [*(found[verdict] for verdict in VERDICTS), sum(found.values()), whole]
        line = element("tr")
        first = element("th", scope="row")
        first += nodes.Text(name)
        line += first
        for number in numbers:
            cell = element("td")
            cell += nodes.Text(str(number))
            line += cell
        return line

    def claim(self, claim: Claim) -> nodes.Node:
        """A row: what is said, the verdict, what is true, where it is shown."""
        data = {"article": claim.article, "chapter": claim.chapter, "verdict": claim.verdict}
        line = element("tr", **{f"data_{key}": value for key, value in data.items()})
        line["ids"] = [claim.identity.lower()]
        line["attributes"]["data-title"] = TITLES.get(claim.chapter, claim.chapter)
        said = element("td", "errata-says")
        number = element("span", "errata-id")
        number += nodes.Text(claim.identity)
        said += number
        self.parsed(claim.says, said)
        verdict = element("td", "errata-verdict")
        verdict += nodes.Text(claim.verdict)
        proof = f"{{ref}}`{where(claim)} <{claim.proof}>`"
        cells = [
            self.parsed(claim.answer, element("td", "errata-answer")),
            self.parsed(proof, element("td", "errata-proof")),
        ]
        line += [said, verdict, *cells]
        return line


def row(tag: str, cells: Iterable[nodes.Node], **attributes: object) -> nodes.Node:
    """A row of a table."""
    line = element("tr")
    for held in cells:
        cell = element(tag, **attributes)
        cell += held
        line += cell
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
    author = f", by {article['author']}" if "author" in article else ""
    if "title" not in article:
        return [nodes.Text(f"(no title, no author) {article['about']}.")]
    title = element("span", lang="zh")
    title += nodes.Text(article["title"])
    first = "(no title; the first heading) " if article.get("heading") else ""
    return [nodes.Text(first), title, nodes.Text(f" ({article['about']}){author}.")]


def by_verdict(settled: Iterable[Claim]) -> Counter[str]:
    """How many claims have which verdict; one that two chapters settle counts once."""
    unique = {claim.identity: claim.verdict for claim in settled}
    return Counter(verdict for name, verdict in unique.items() if "b" not in name)


def summary(settled: Iterable[Claim]) -> str:
    """The verdicts in words."""
    found = by_verdict(settled)
    if not found:
        return "none settled"
    return ", ".join(f"{found[verdict]} {verdict}" for verdict in VERDICTS if found[verdict])


def so_far(settled: list[Claim], whole: int) -> str:
    """How far the course has come."""
    found = by_verdict(settled)
    told = ", ".join(f"{found[verdict]} {verdict}" for verdict in VERDICTS)
    return (
        f"So far {sum(found.values())} of {whole} claims are settled, in the chapters that exist: "
        f"{told}."
    )


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.add_directive("articles", Articles)
    app.add_directive("errata", Errata)
    app.connect("html-page-context", loads("data-errata", lambda name: ["errata.js"]))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
