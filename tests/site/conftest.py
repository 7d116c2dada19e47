"""Sites in a headless browser: the book as it is built, and a small one with what ours may hold."""

import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pages import SITE
from reader import Reader, start


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def served(site: Path) -> Iterator[str]:
    """The address under which a folder can be read."""
    handler = functools.partial(Quiet, directory=str(site))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


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


@pytest.fixture(scope="session")
def reader(browser: Reader, address: str) -> Reader:
    """A browser on the book."""
    return Reader(browser.driver, address)
