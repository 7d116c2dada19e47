"""The built site, read in a headless browser: every page, as a reader with no network gets it."""

import functools
import re
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from attncourse.course.prose import markdown
from pages import PAGES, SITE, source
from reader import PHONE, Reader, start


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    if not (SITE / "index.html").is_file():
        pytest.skip("there is no built site: run `make book`")
    handler = functools.partial(Quiet, directory=str(SITE))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="session")
def reader(address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    reader = start(address, tmp_path_factory.mktemp("browser"))
    if reader is None:
        pytest.skip("there is no Chromium with chromedriver: apt install chromium chromium-driver")
    yield reader
    reader.driver.quit()


@pytest.mark.parametrize("page", [*PAGES, "search", "genindex"])
def test_the_console_has_no_error(reader: Reader, page: str) -> None:
    assert reader.look(page).errors == []


@pytest.mark.parametrize("page", [*PAGES, "search", "genindex"])
def test_nothing_is_asked_of_another_host(reader: Reader, page: str) -> None:
    assert reader.look(page).hosts == {"127.0.0.1"}


@pytest.mark.parametrize("page", PAGES)
def test_formulas_are_set(reader: Reader, page: str) -> None:
    shown = reader.look(page).page
    assert shown["unset"] == []
    assert shown["formulas"] > 0 or "$$" not in markdown(source(page))


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
    assert names >= {page for page in PAGES if "softmax" in markdown(source(page))}


@pytest.mark.usefixtures("address")
def test_every_page_is_built() -> None:
    assert [page for page in PAGES if not Path(SITE, f"{page}.html").is_file()] == []


@pytest.mark.usefixtures("address")
@pytest.mark.parametrize("page", PAGES)
def test_the_exercises_of_a_page_open_in_colab(page: str) -> None:
    built = Path(SITE, f"{page}.html").read_text(encoding="utf-8")
    for notebook in set(re.findall(r"exercises/[\w-]+\.ipynb(?=>)", markdown(source(page)))):
        assert re.search(rf'href="https://colab\.[^"]+/blob/\w+/{notebook}"', built)
