"""Of two drawings a reader sees the one that fits the page; paper gets the light one."""

import base64
import itertools
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from bs4 import BeautifulSoup

import figures
from attncourse.plots import Step, heatmap, strip
from attncourse.plots.svg import svg
from pages import ROOT
from reader import DESK, PHONE, Reader

SHEET = (ROOT / "book/_static/attncourse.css").as_uri()
SCRIPT = (ROOT / "book/_static/page.js").as_uri()
PAGE = f"""<!DOCTYPE html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><title>x</title>
<link rel="stylesheet" href="{SHEET}">
<script defer src="{SCRIPT}"></script><main class="bd-article"><h1>Words</h1>
<article class="bd-article"><div class="cell_output"><img alt="a map" src="map.svg" loading="lazy">
</div><div class="cell_output"><img alt="a strip" src="strip.svg"></div></article></main></html>"""
SEEN = """
return [...document.images].filter(i => i.checkVisibility()).map(i => i.src.split("/").pop());
"""
TOPS = """
return [...document.querySelectorAll("[role=img] img")].filter(i => i.checkVisibility())
  .map(i => [i.getBoundingClientRect().left, i.getBoundingClientRect().right]);
"""


def write(folder: Path, html: str) -> str:
    """A page with a figure and a strip, as the site's build leaves it; its address."""
    x = torch.tensor([[1.0, 0.0, 2.0], [0.0, 1.0, 1.0]])
    (folder / "map.svg").write_text(svg(heatmap(x).figure), encoding="utf-8")
    steps = [Step(name, x) for name in "QKV"]
    (folder / "strip.svg").write_text(svg(strip(steps, between="=+")), encoding="utf-8")
    soup = BeautifulSoup(html, "html.parser")
    figures.draw_twice(soup, SimpleNamespace(), folder / "page.html")
    (folder / "page.html").write_text(str(soup), encoding="utf-8")
    return (folder / "page.html").as_uri()


@pytest.fixture(scope="module")
def page(browser: Reader, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    browser.driver.get(write(tmp_path_factory.mktemp("drawings"), PAGE))
    yield browser
    browser.width(DESK)


def seen(page: Reader) -> set[str]:
    return {"dark" if "-dark" in name else "light" for name in page.driver.execute_script(SEEN)}


def test_the_drawing_is_that_of_the_page(page: Reader) -> None:
    assert seen(page) == {"light"}  # without a script that chooses, the page is light
    page.theme("dark")
    assert seen(page) == {"dark"}
    page.theme("light")
    assert seen(page) == {"light"}
    assert len(page.driver.execute_script(SEEN)) == 4


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_who_listens_hears_each_figure_once(page: Reader, theme: str) -> None:
    page.theme(theme)
    page.driver.execute_cdp_cmd("Accessibility.enable", {})
    tree = page.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    images = [n for n in tree if n["role"]["value"] in ("image", "img") and not n["ignored"]]
    assert sorted(node["name"]["value"] for node in images) == ["a map", "a strip"]
    page.driver.execute_cdp_cmd("Accessibility.disable", {})
    assert page.audit(theme, PHONE) == []


def test_panels_stand_side_by_side_and_stack_on_a_phone(page: Reader) -> None:
    page.theme("light")
    page.width(DESK)
    wide = page.driver.execute_script(TOPS)
    assert all(right <= left for (_, right), (left, _) in itertools.pairwise(wide))
    page.width(PHONE)
    narrow = page.driver.execute_script(TOPS)
    assert narrow[0][1] - narrow[0][0] == pytest.approx(wide[0][1] - wide[0][0])
    assert not all(right <= left for (_, right), (left, _) in itertools.pairwise(narrow))
    assert max(right for _, right in narrow) <= PHONE


def printed(page: Reader) -> int:
    options = {"printBackground": True}
    data = page.driver.execute_cdp_cmd("Page.printToPDF", options)["data"]
    return len(base64.b64decode(data))


def test_a_dark_page_is_printed_with_the_light_drawings_that_no_one_saw(
    browser: Reader, tmp_path: Path
) -> None:
    for name in ("dark", "light", "bare"):
        (tmp_path / name).mkdir()
    browser.driver.get(write(tmp_path / "light", PAGE))
    light = printed(browser)
    browser.driver.get(write(tmp_path / "bare", PAGE.replace("<img", "<input hidden")))
    bare = printed(browser)
    dark = PAGE.replace('lang="en"', 'lang="en" data-theme="dark"').replace(
        'src="strip', 'loading="lazy" src="strip'
    )
    browser.driver.get(write(tmp_path / "dark", dark))
    assert seen(browser) == {"dark"}
    found = printed(browser)
    assert light - bare > 20 * abs(found - light)
