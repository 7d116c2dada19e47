"""The built site, read in a headless browser: every page, as a reader with no network gets it."""

import re
from pathlib import Path

import pytest

from attncourse.course.bootstrap import is_set, repository_url
from attncourse.course.prose import markdown
from pages import PAGES, ROOT, SITE, source
from reader import PHONE, Reader

ALL = [*PAGES, "search", "genindex"]
PRINTED = re.compile(r"print\((?:inspect\.getsource|whole)\(")


@pytest.mark.parametrize("page", ALL)
def test_the_console_has_no_error(reader: Reader, page: str) -> None:
    assert reader.look(page).errors == []


@pytest.mark.parametrize("page", ALL)
def test_nothing_is_asked_of_another_host(reader: Reader, page: str) -> None:
    assert reader.look(page).hosts == {"127.0.0.1"}


@pytest.mark.parametrize("page", PAGES)
def test_formulas_are_set(reader: Reader, page: str) -> None:
    shown = reader.look(page).page
    assert shown["unset"] == []
    assert shown["formulas"] > 0 or "$$" not in markdown(source(page))


@pytest.mark.parametrize("page", PAGES)
def test_formulas_are_no_stops_of_the_tab_key(reader: Reader, page: str) -> None:
    assert reader.look(page).page["stops"] == 0


@pytest.mark.parametrize("page", ALL)
def test_nothing_bars_a_reader(reader: Reader, page: str) -> None:
    assert reader.look(page).barriers == []


@pytest.mark.parametrize("page", PAGES)
def test_nothing_is_cut_on_a_phone_or_a_desk(reader: Reader, page: str) -> None:
    assert reader.look(page).cut == []


@pytest.mark.parametrize("page", PAGES)
def test_no_markup_is_left_in_the_words(reader: Reader, page: str) -> None:
    words = reader.look(page).page["words"]
    assert re.findall(r".{0,40}(?:\$\$|\\[a-z]{2,}|\{[a-z:]+\}).{0,20}", words) == []


@pytest.mark.parametrize("page", PAGES)
def test_images_are_loaded_and_described(reader: Reader, page: str) -> None:
    images = reader.look(page).page["images"]
    assert [image for image in images if not image["loaded"] or not image["alt"].strip()] == []


@pytest.mark.parametrize("page", PAGES)
def test_a_phone_needs_no_sideways_scroll(reader: Reader, page: str) -> None:
    width, wide = reader.look(page).phone
    assert width <= PHONE, wide


def test_next_and_previous_walk_the_table_of_contents(reader: Reader) -> None:
    shown = [reader.look(page).page for page in PAGES]
    assert [reader.name(page["next"]) for page in shown] == [*PAGES[1:], None]
    assert [reader.name(page["previous"]) for page in shown] == [None, *PAGES[:-1]]


def test_the_front_door_leads_to_the_first_page(reader: Reader) -> None:
    reader.open("index.html")
    reader.wait(lambda: reader.name(reader.driver.current_url) == PAGES[0])


def test_search_finds_every_page_on_softmax(reader: Reader) -> None:
    reader.open("search.html?q=softmax")
    done = "return document.querySelector('#search-results .search-summary')?.innerText"
    found = "return [...document.querySelectorAll('#search-results li a')].map(a => a.href)"
    reader.wait(lambda: reader.driver.execute_script(done))
    names = {reader.name(address) for address in reader.driver.execute_script(found)}
    words = {page: re.sub(r"\]\([^)]*\)", "", markdown(source(page))) for page in PAGES}
    assert names >= {page for page in PAGES if "softmax" in words[page]}


@pytest.mark.usefixtures("address")
def test_every_page_is_built() -> None:
    assert [page for page in PAGES if not Path(SITE, f"{page}.html").is_file()] == []


@pytest.mark.usefixtures("address")
@pytest.mark.parametrize("page", PAGES)
def test_a_page_leads_to_colab_and_the_repository_where_there_is_one(page: str) -> None:
    built = Path(SITE, f"{page}.html").read_text(encoding="utf-8")
    url = repository_url(ROOT)
    notebooks = re.findall(r"exercises/[\w-]+\.ipynb(?=>)", markdown(source(page)))
    links = re.findall(r'href="([^"]+)"', built)
    for address in {url, *(f"/blob/main/{notebook}" for notebook in notebooks)}:
        assert any(address in link for link in links) == is_set(url)


@pytest.mark.usefixtures("address")
def test_words_on_colab_are_there_where_it_can_open_the_notebooks() -> None:
    built = Path(SITE, "book", "intro.html").read_text(encoding="utf-8")
    url = repository_url(ROOT)
    hosted = is_set(url) and url.startswith("https://github.com/")
    assert ("In the browser." in built) == hosted


@pytest.mark.usefixtures("address")
def test_no_page_names_an_account_that_is_none() -> None:
    built = [Path(SITE, f"{page}.html").read_text(encoding="utf-8") for page in ALL]
    assert not any("/OWNER/" in page for page in built)


@pytest.mark.usefixtures("address")
@pytest.mark.parametrize("page", ALL)
def test_a_page_says_what_it_is_and_loads_little(page: str) -> None:
    built = Path(SITE, f"{page}.html").read_text(encoding="utf-8")
    told = re.search(r'<meta content="([^"]+)" name="description"/>', built)
    assert told
    assert 5 <= len(told[1]) <= 160
    assert len(re.findall(r'property="og:(?:title|description|image)"', built)) == 3
    assert "fontawesome" not in built
    assert "mathjax" not in built.lower()


@pytest.mark.usefixtures("address")
def test_descriptions_tell_pages_apart() -> None:
    built = [Path(SITE, f"{page}.html").read_text(encoding="utf-8") for page in PAGES]
    told = [re.findall(r'<meta content="([^"]+)" name="description"/>', page) for page in built]
    assert len({words for (words,) in told}) == len(PAGES)


@pytest.mark.usefixtures("address")
@pytest.mark.parametrize("page", PAGES)
def test_printed_source_is_coloured(page: str) -> None:
    built = Path(SITE, f"{page}.html").read_text(encoding="utf-8")
    shown = source(page).read_text(encoding="utf-8")
    assert ("output stream highlight-ipython3" in built) == bool(PRINTED.search(shown))
