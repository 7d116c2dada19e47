"""Sites in a headless browser: the book as it is built, and a small one with what ours may hold."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import small_book
from static import served

from pages import SITE
from reader import Reader, start


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    if not (SITE / "index.html").is_file():
        pytest.skip("there is no built site: run `make book`")
    with served(SITE) as address:
        yield address


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    reader = start("", tmp_path_factory.mktemp("browser"))
    if reader is None:
        pytest.skip("there is no Chromium with chromedriver: apt install chromium chromium-driver")
    yield reader
    reader.driver.quit()


@pytest.fixture(scope="module")
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small book; what a module calls PAGES is written over its own."""
    folder = tmp_path_factory.mktemp("small")
    done = small_book.make(folder, getattr(request.module, "PAGES", None))
    assert done.returncode == 0, done.stderr[-2000:]
    return folder / small_book.SITE


@pytest.fixture(scope="module")
def site(browser: Reader, built: Path) -> Iterator[Reader]:
    """A browser on the small book."""
    with served(built) as address:
        yield Reader(browser.driver, address)


@pytest.fixture(scope="session")
def reader(browser: Reader, address: str) -> Reader:
    """A browser on the book."""
    return Reader(browser.driver, address)
