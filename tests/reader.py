"""A headless browser that reads a page of the site and tells what it saw."""

import functools
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from selenium import webdriver
from selenium.webdriver import ActionChains
from selenium.webdriver.support.ui import WebDriverWait

BROWSERS = ("google-chrome", "chromium", "chromium-browser")
SWITCHES = (
    "headless=new no-sandbox disable-gpu disable-quic no-first-run hide-scrollbars "
    "disable-dev-shm-usage disable-background-networking disable-component-update disable-sync"
)
PHONE, DESK = 390, 1400  # pixels
AXE = Path(__file__).parent / "site" / "axe.min.js"

NEXT_FRAMES = """
requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(arguments[0])));
"""

FONTS_ARE_THERE = """
const done = arguments[arguments.length - 1];
document.fonts.ready.then(() => done(true));
"""

READ_PAGE = r"""
const article = document.querySelector("article") ?? document.body;
const words = article.cloneNode(true);
words.querySelectorAll("pre, code, script, style, math").forEach(e => e.remove());
const link = name => document.querySelector(`a.${name}`)?.href ?? null;
return {
  words: words.textContent,
  formulas: article.querySelectorAll("math").length,
  unset: [...article.querySelectorAll(".math")]
    .filter(e => !e.querySelector("math") || e.querySelector("merror"))
    .map(e => e.textContent),
  images: [...document.images].map(i => ({
    src: i.src, alt: i.closest("[role=img]")?.ariaLabel ?? i.alt,
    loaded: i.complete && i.naturalWidth > 0,
  })),
  stops: [...article.querySelectorAll(".math[tabindex], .math [tabindex]")]
    .filter(e => e.scrollWidth <= e.clientWidth).length,
  next: link("right-next"),
  previous: link("left-prev"),
};
"""

STILL = """
document.head.append(Object.assign(document.createElement("style"), {
  textContent: "*, ::before, ::after { transition: none !important; animation: none !important }",
}));
document.querySelectorAll("img[loading=lazy]").forEach(image => { image.loading = "eager"; });
const images = [...document.images].map(image => image.decode().catch(() => null));
Promise.all(images).then(arguments[0]);
"""

WIDEST = """
const wide = [...document.querySelectorAll("article *")]
  .filter(e => e.getBoundingClientRect().right > window.innerWidth + 1).slice(0, 3);
return [document.documentElement.scrollWidth, wide.map(e => e.outerHTML.slice(0, 80))];
"""

# what is wider than its box and cannot be scrolled by keyboard, and code that scrolls at all
CUT = """
return [...document.querySelectorAll("article *")].filter(e => {
  if (e.matches("p code, li code, dd code") && !e.closest("table"))
    return e.getBoundingClientRect().right > document.documentElement.clientWidth + 1;
  const scrolls = ["auto", "scroll", "hidden"].includes(getComputedStyle(e).overflowX);
  return scrolls && e.clientWidth && e.scrollWidth > e.clientWidth + 1
    && (e.tabIndex < 0 || e.matches("pre, pre *"));
}).map(e => e.outerHTML.slice(0, 80));
"""

TWICE = """
const ids = [...document.querySelectorAll("[id]")].map(e => e.id);
return ids.filter((id, i) => ids.indexOf(id) < i);
"""

THEME = """
Object.assign(document.documentElement.dataset, { theme: arguments[0], mode: arguments[0] });
"""

# thousands of spans of formulas and coloured code make axe slow, and tell it nothing page by page
PLAIN = """
document.querySelectorAll("math, pre").forEach(e => { e.textContent = e.textContent; });
"""

AUDIT = """
const [done] = [...arguments].slice(-1);
axe.run(document, { resultTypes: ["violations"] }).then(found => done(found.violations
  .filter(fault => ["serious", "critical"].includes(fault.impact))
  .flatMap(fault => fault.nodes.map(n => `${fault.id}: ${n.html.slice(0, 120)}`))));
"""


@dataclass(frozen=True)
class Look:
    """What one visit to a page has shown."""

    page: dict[str, Any]
    errors: list[str]
    hosts: set[str]
    phone: tuple[int, list[str]]
    cut: list[str]
    barriers: list[str]


class Reader:
    """A browser on the site."""

    def __init__(self, driver: Any, address: str) -> None:
        self.driver, self.address = driver, address

    def open(self, path: str) -> None:
        self.driver.get(f"{self.address}/{path}")
        self.driver.execute_async_script(FONTS_ARE_THERE)

    def width(self, pixels: int) -> None:
        metrics = {"width": pixels, "height": 900, "deviceScaleFactor": 1, "mobile": pixels < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def press(self, *keys: str) -> None:
        """Press keys, one after the other, where the focus is."""
        for key in keys:
            ActionChains(self.driver).send_keys(key).perform()

    def theme(self, theme: str) -> None:
        self.driver.execute_script(THEME, theme)

    @functools.cache  # noqa: B019 - one reader a session
    def look(self, page: str) -> Look:
        self.errors(), self.hosts()  # forget what came before
        self.width(DESK)
        self.open(f"{page}.html")
        self.driver.execute_async_script(STILL)
        shown = self.driver.execute_script(READ_PAGE)
        cut = self.cut()
        self.width(PHONE)
        width, wide = self.driver.execute_script(WIDEST)
        cut += self.cut()
        twice = [f"the id {name} is there twice" for name in self.driver.execute_script(TWICE)]
        self.driver.execute_script(PLAIN)
        barriers = twice + self.audit("dark", PHONE) + self.audit("light", DESK)
        return Look(shown, self.errors(), self.hosts(), (width, wide), cut, barriers)

    def cut(self) -> list[str]:
        """What a reader without a mouse cannot see, at this width."""
        self.driver.execute_async_script(NEXT_FRAMES)
        return self.driver.execute_script(CUT)

    def audit(self, theme: str, pixels: int) -> list[str]:
        """What axe finds that is serious or critical."""
        self.driver.execute_async_script(STILL)  # a colour on its way to another has no contrast
        self.theme(theme)
        self.width(pixels)
        self.driver.execute_async_script(NEXT_FRAMES)
        if not self.driver.execute_script("return 'axe' in window"):
            self.driver.execute_script(AXE.read_text(encoding="utf-8"))
        found = self.driver.execute_async_script(AUDIT)
        return [f"{theme}, {pixels}: {fault}" for fault in found]

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

    def wait(self, condition: Callable[[], Any]) -> None:
        WebDriverWait(self.driver, 15).until(lambda _: condition())


def start(address: str, profile: Path) -> Reader | None:
    """A reader of the site at `address`; None where there is no browser or no driver for it."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    driver_path = shutil.which("chromedriver")
    if not browser or not driver_path:
        return None
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for switch in [*SWITCHES.split(), f"user-data-dir={profile}"]:
        options.add_argument(f"--{switch}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(executable_path=driver_path)
    driver = webdriver.Chrome(options=options, service=service)
    driver.set_page_load_timeout(60)
    return Reader(driver, address)
