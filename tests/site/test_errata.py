"""The table of claims: counts from data, filters and an order, and what it is without a script."""

import re
import sys
from pathlib import Path

import pytest
import yaml

from attncourse.course import claims
from pages import ROOT
from reader import DESK, PHONE, Reader

sys.path.insert(0, str(ROOT / "book" / "_ext"))

import errata

SHOWN = """
return [...document.querySelectorAll(".errata-claims tbody tr")]
  .filter(row => row.checkVisibility()).map(row => row.id);
"""
CHOOSE = """
const select = document.querySelector(`.errata-controls [name=${arguments[0]}]`);
select.value = arguments[1];
select.dispatchEvent(new Event("change", { bubbles: true }));
"""


@pytest.fixture
def page(site: Reader) -> Reader:
    site.width(DESK)
    site.open("errata.html")
    return site


def shown(page: Reader) -> list[str]:
    return page.driver.execute_script(SHOWN)


def choose(page: Reader, name: str, value: str) -> list[str]:
    page.driver.execute_script(CHOOSE, name, value)
    return shown(page)


def test_articles_are_named_with_what_is_settled(built: Path) -> None:
    html = (built / "errata.html").read_text(encoding="utf-8")
    words = re.sub(r"<[^>]+>", "", html)
    assert "S0 (no title, no author) One about cost. 3 claims; so far 1 right." in words
    assert "S1 注意力 (Attention), by 某人. 12 claims; so far 1 imprecise, 1 wrong." in words
    assert "So far 3 of 15 claims are settled" in words  # a listing is no claim
    assert html.count('lang="zh"') == 2


def test_without_a_script_all_claims_are_there_in_order(built: Path) -> None:
    html = (built / "errata.html").read_text(encoding="utf-8")
    rows = re.findall(r'<tr[^>]*data-article="[^"]*"[^>]*>', html)
    assert [re.search(r'id="([^"]+)"', row)[1] for row in rows] == [
        "s0-1",
        "s1-9",
        "s1-10",
        "s1-b1",
    ]
    assert html.count('href="#a-proof"') == 4
    assert ">Chapter 1<" in html
    assert ">Chapter 3<" in html


def test_filters_and_order(page: Reader) -> None:
    assert shown(page) == ["s0-1", "s1-9", "s1-10", "s1-b1"]
    assert choose(page, "article", "S1") == ["s1-9", "s1-10", "s1-b1"]
    assert choose(page, "verdict", "wrong") == ["s1-10", "s1-b1"]
    assert choose(page, "chapter", "masks") == ["s1-10"]
    assert "1 of 4 shown" in page.driver.page_source
    choose(page, "article", "")
    choose(page, "verdict", "")
    assert choose(page, "chapter", "") == ["s0-1", "s1-9", "s1-10", "s1-b1"]
    assert choose(page, "order", "verdict") == ["s1-10", "s1-b1", "s1-9", "s0-1"]
    assert choose(page, "order", "chapter") == ["s0-1", "s1-b1", "s1-9", "s1-10"]
    assert choose(page, "order", "article") == ["s0-1", "s1-9", "s1-10", "s1-b1"]


def test_a_link_may_choose_and_a_claim_is_never_hidden_from_who_comes_for_it(page: Reader) -> None:
    page.open("errata.html?chapter=masks")
    assert shown(page) == ["s1-9", "s1-10"]
    page.open("errata.html?chapter=masks#s0-1")
    page.wait(lambda: "s0-1" in shown(page))


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [PHONE, DESK])
def test_nothing_bars_a_reader(page: Reader, theme: str, width: int) -> None:
    assert page.audit(theme, width) == []
    assert page.cut() == []


def test_no_article_has_more_settled_than_it_claims() -> None:
    articles = yaml.safe_load((ROOT / "book/data/articles.yml").read_text(encoding="utf-8"))
    settled = claims.load(ROOT)
    assert sum(article["claims"] for article in articles.values()) == 323
    for name, article in articles.items():
        own = {errata.place(c)[2] for c in settled if c.article == name and "b" not in c.identity}
        assert all(1 <= number <= article["claims"] for number in own), name
