"""The book's sources: chapters as they should be, citations that exist, nothing of a machine."""

import json
import re
from pathlib import Path

import pytest
from pybtex.database import parse_file

from attncourse.course import budgets, build, claims, links
from attncourse.course.bootstrap import repository_url
from attncourse.course.chapters import problems
from attncourse.course.prose import markdown, markdown_problems
from pages import ROOT

BOOK = sorted(path for kind in ("*.ipynb", "*.md") for path in (ROOT / "book").glob(kind))
CHAPTERS = [path for path in BOOK if path.suffix == ".ipynb"]
DATA = sorted((ROOT / "book" / "data").glob("*.json"))
BIBLIOGRAPHY = parse_file(str(ROOT / "book" / "references.bib")).entries

# Titles that the articles cite and nobody wrote (S3-69, S3-80, S3-82, S3-83).
INVENTED = (
    "Transformer from Self-Attention to Transformers",
    "Self-Attention with Transformer-XL",
    "Multi-Head Attention for Deep Learning",
    "Position-wise Feed-Forward Networks",
)


def name(path: Path) -> str:
    return path.stem


@pytest.mark.parametrize("path", CHAPTERS, ids=name)
def test_a_chapter_is_committed_as_executed(path: Path) -> None:
    assert problems(path, repository_url(ROOT)) == []


@pytest.mark.parametrize("path", budgets.written(ROOT), ids=name)
def test_a_chapter_keeps_its_budgets(path: Path) -> None:
    assert budgets.problems(path) == []


@pytest.mark.parametrize("path", DATA, ids=name)
def test_a_file_of_data_names_no_place_on_a_machine(path: Path) -> None:
    command = json.loads(path.read_text(encoding="utf-8"))["provenance"]["command"]
    assert not [
        word for word in command.split() if Path(word.partition("=")[2] or word).is_absolute()
    ]


def test_claims_are_proved_where_they_say() -> None:
    assert claims.problems(ROOT) == []


@pytest.mark.parametrize("path", BOOK, ids=name)
def test_the_markdown_of_a_page_is_whole(path: Path) -> None:
    assert markdown_problems(markdown(path)) == []


def test_every_page_is_in_the_contents_by_its_title() -> None:
    assert build.unlisted(ROOT) == []


def test_every_link_leads_somewhere() -> None:
    assert links.problems(ROOT / "book") == []


def test_what_is_generated_is_as_generated() -> None:
    assert build.drift(ROOT) == []


@pytest.mark.parametrize("key", BIBLIOGRAPHY)
def test_every_entry_can_be_found_by_its_reader(key: str) -> None:
    entry = BIBLIOGRAPHY[key]
    assert entry.persons.get("author")
    assert {"title", "year"} <= set(entry.fields)
    assert {"eprint", "doi", "url", "isbn"} & set(entry.fields)
    assert re.fullmatch(r"\d{4}", entry.fields["year"])
    assert re.fullmatch(r"\d{4}\.\d{4,5}", entry.fields.get("eprint", "0000.0000"))


def test_no_entry_has_a_title_that_nobody_wrote() -> None:
    def plain(title: str) -> str:
        return re.sub(r"[^a-z]+", " ", title.lower()).strip()

    titles = {plain(entry.fields["title"]) for entry in BIBLIOGRAPHY.values()}
    assert titles.isdisjoint(map(plain, INVENTED))


def test_every_entry_is_cited_and_every_citation_has_an_entry() -> None:
    pages = [*map(markdown, BOOK), *(path.read_text("utf-8") for path in ROOT.glob("book/*/*.yml"))]
    cited = {
        key.strip()
        for text in pages
        for keys in re.findall(r"\{cite[^}]*\}`([^`]+)`", text)
        for key in keys.split(",")
    }
    assert cited == set(BIBLIOGRAPHY)


@pytest.mark.parametrize("path", BOOK, ids=name)
def test_a_page_names_no_folder_of_a_machine(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert f"{ROOT}/" not in text
    assert re.findall(r"(?<![\w.])/(?:home|root|tmp|Users)/\w+", text) == []


@pytest.mark.parametrize("path", BOOK, ids=name)
def test_only_the_configuration_names_the_repository(path: Path) -> None:
    assert repository_url(ROOT).split("://")[1] not in markdown(path)
