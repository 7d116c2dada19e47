"""The built site, read in a headless browser: every page, as a reader with no network gets it."""

import functools
import json
import re
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from pages import PAGES, SITE, prose, source

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")

BROWSERS = ("google-chrome", "chromium", "chromium-browser")
SWITCHES = (
    "headless=new no-sandbox disable-gpu disable-quic no-first-run hide-scrollbars "
    "disable-dev-shm-usage disable-background-networking disable-component-update disable-sync"
)
PHONE = 390  # pixels

MATH_IS_SET = """
const done = arguments[arguments.length - 1];
const math = window.MathJax && MathJax.startup ? MathJax.startup.promise : Promise.resolve();
math.then(() => document.fonts.ready).then(() => done(true));
"""

READ_PAGE = r"""
const article = document.querySelector("article");
const words = article.cloneNode(true);
words.querySelectorAll("pre, code, script, style, mjx-container").forEach(e => e.remove());
const link = name => document.querySelector(`a.${name}`)?.href ?? null;
return {
  words: words.textContent,
  formulas: article.querySelectorAll("mjx-container").length,
  unset: [...article.querySelectorAll(".math")]
    .filter(e => !e.querySelector("mjx-container") || e.querySelector("mjx-merror"))
    .map(e => e.textContent),
  images: [...document.images].map(i => ({
    src: i.src, alt: i.alt, loaded: i.complete && i.naturalWidth > 0,
  })),
  next: link("right-next"),
  previous: link("left-prev"),
};
"""

WIDEST = """
const wide = [...document.querySelectorAll("article *")]
  .filter(e => e.getBoundingClientRect().right > window.innerWidth + 1).slice(0, 3);
return [document.documentElement.scrollWidth, wide.map(e => e.outerHTML.slice(0, 80))];
"""


@dataclass(frozen=True)
class Look:
    """What one visit to a page has shown."""

    page: dict[str, Any]
    errors: list[str]
    hosts: set[str]
    phone: tuple[int, list[str]]


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


class Reader:
    """A browser on the site."""

    def __init__(self, driver: Any, address: str) -> None:
        self.driver, self.address = driver, address

    def open(self, path: str) -> None:
        self.driver.get(f"{self.address}/{path}")
        self.driver.execute_async_script(MATH_IS_SET)

    def width(self, pixels: int) -> None:
        metrics = {"width": pixels, "height": 900, "deviceScaleFactor": 1, "mobile": pixels < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    @functools.cache  # noqa: B019 - one reader a session
    def look(self, page: str) -> Look:
        self.errors(), self.hosts()  # forget what came before
        self.width(1280)
        self.open(f"{page}.html")
        shown = self.driver.execute_script(READ_PAGE)
        self.width(PHONE)
        width, wide = self.driver.execute_script(WIDEST)
        return Look(shown, self.errors(), self.hosts(), (width, wide))

    def errors(self) -> list[str]:
        entries = self.driver.get_log("browser")
        return [entry["message"] for entry in entries if entry["level"] == "SEVERE"]

    def hosts(self) -> set[str]:
        entries = [json.loads(e["message"])["message"] for e in self.driver.get_log("performance")]
        requests = [e["params"] for e in entries if e["method"] == "Network.requestWillBeSent"]
        addresses = [urlsplit(request["request"]["url"]) for request in requests]
        return {a.hostname or "?" for a in addresses if a.scheme in ("http", "https", "ws", "wss")}

    def name(self, address: str | None) -> str | None:
        """The page of _toc.yml behind an address of the site."""
        return address and urlsplit(address).path.strip("/").removesuffix(".html")


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
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    driver_path = shutil.which("chromedriver")
    if not browser or not driver_path:
        pytest.skip("there is no Chromium with chromedriver: apt install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for switch in [*SWITCHES.split(), f"user-data-dir={tmp_path_factory.mktemp('browser')}"]:
        options.add_argument(f"--{switch}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(executable_path=driver_path)
    driver = webdriver.Chrome(options=options, service=service)
    driver.set_page_load_timeout(60)
    yield Reader(driver, address)
    driver.quit()


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
    assert shown["formulas"] > 0 or "$$" not in prose(source(page))


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
    wait(reader, lambda: reader.name(reader.driver.current_url) == PAGES[0])


def test_search_finds_every_page_on_softmax(reader: Reader) -> None:
    reader.open("search.html?q=softmax")
    done = "return document.querySelector('#search-results .search-summary')?.innerText"
    found = "return [...document.querySelectorAll('#search-results li a')].map(a => a.href)"
    wait(reader, lambda: reader.driver.execute_script(done))
    names = {reader.name(address) for address in reader.driver.execute_script(found)}
    assert names >= {page for page in PAGES if "softmax" in prose(source(page))}


def wait(reader: Reader, condition: Any) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(reader.driver, 15).until(lambda _: condition())


@pytest.mark.usefixtures("address")
def test_every_page_is_built() -> None:
    assert [page for page in PAGES if not Path(SITE, f"{page}.html").is_file()] == []


@pytest.mark.usefixtures("address")
@pytest.mark.parametrize("page", PAGES)
def test_the_exercises_of_a_page_open_in_colab(page: str) -> None:
    built = Path(SITE, f"{page}.html").read_text(encoding="utf-8")
    for notebook in set(re.findall(r"exercises/[\w-]+\.ipynb(?=>)", prose(source(page)))):
        assert re.search(rf'href="https://colab\.[^"]+/blob/\w+/{notebook}"', built)
