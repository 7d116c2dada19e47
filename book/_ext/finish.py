"""What the theme leaves undone in a page that it has written: weight, names, ids, what others show.

When all pages are written, each is read once more and mended by the functions of `MENDED`; then the
stylesheet of the theme loses what no page uses.
"""

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from bs4 import BeautifulSoup, Tag
from PIL import Image
from sphinx.application import Sphinx

import card
import figures

# an asset of the theme or an extension, and what on a page needs it
NEEDED_BY = {
    "fontawesome.js": "no-page",  # our icons are in attncourse.css
    "togglebutton": "no-page",  # what folds is a <details>, see `fold_dropdowns`
    "design-tabs.js": ".sd-tab-set",
    "sphinx-design": '[class*="sd-"]',
    "clipboard.min.js": "div.highlight",
    "copybutton": "div.highlight",
    "mystnb": ".cell, .cell_output",
    "exercise.css": ".exercise, .solution",
    "searchtools.js": "#search-results",
    "language_data.js": "#search-results",
    "searchindex.js": "#search-results",
}
CARD = "A course: a book, a tested PyTorch library, and exercises that name your mistake"
WORDS = 155  # characters of a description, which search engines cut at about 160
ASKED_AT_ONCE = ("documentation_options.js",)  # by inline scripts
DROPPED = ("scripts/fontawesome.js*", "scripts/*.map", "styles/*.map", "vendor/fontawesome/*/*")


def drop_assets(soup: BeautifulSoup, app: Sphinx, path: Path) -> None:
    """Load nothing that the page does not use, and no script before the words are there."""
    for tag in soup.select("script, link[rel=stylesheet], link[rel=preload]"):
        address = str(tag.get("src") or tag.get("href") or "").split("?")[0]
        needs = [where for part, where in NEEDED_BY.items() if part in address]
        if any(not soup.select_one(where) for where in needs) or _leftover(tag):
            tag.decompose()
        elif tag.name == "script" and address and not address.endswith(ASKED_AT_ONCE):
            tag["defer"] = ""
    for advertisement in soup.select("#ethical-ad-placement"):
        advertisement.decompose()


def _leftover(script: Tag) -> bool:
    """Is this an inline script that sets what a dropped one would have read?"""
    return script.text.startswith(("let toggle", "var toggle", "window.MathJax"))


def search_sections(soup: BeautifulSoup, app: Sphinx, path: Path) -> None:
    """Let what the search finds lead to the section that holds it."""
    if tools := soup.select_one('script[src*="searchtools.js"]'):
        source = tools["src"].replace("searchtools.js", "search-sections.js")
        tools.insert_after(soup.new_tag("script", attrs={"src": source, "defer": ""}))


def lazy_images(soup: BeautifulSoup, app: Sphinx, path: Path) -> None:
    """Give each image its place before it comes; those below the first come when they are near."""
    for number, image in enumerate(soup.select("article img")):
        image["decoding"] = "async"
        if number:
            image["loading"] = "lazy"
        source = str(image.get("src", ""))
        size = None if source.startswith("data:") else measure(path.parent / source)
        if size and not image.has_attr("width") and "width" not in str(image.get("style", "")):
            image["width"], image["height"] = map(str, size)


def describe(soup: BeautifulSoup, app: Sphinx, path: Path) -> None:
    """Say what the page is to search engines and to those with whom its address is shared."""
    for extra in soup.select("meta[name=viewport]")[1:]:
        extra.decompose()
    first = next(filter(None, map(words, soup.select("article p"))), app.config.html_title)
    heading = soup.select_one("article h1")
    title = words(heading) if heading else app.config.html_title
    relative = "../" * (len(path.relative_to(app.outdir).parts) - 1)
    base = app.config.html_baseurl or relative
    told = {
        "og:type": "article",
        "og:site_name": app.config.html_title,
        "og:title": title,
        "og:description": shortened(first),
        "og:image": f"{base}_static/card.png",
        "og:image:alt": app.config.html_title,
    }
    head = soup.head
    head.append(soup.new_tag("meta", attrs={"name": "description", "content": shortened(first)}))
    for name, content in told.items():
        head.append(soup.new_tag("meta", attrs={"property": name, "content": content}))
    large = {"name": "twitter:card", "content": "summary_large_image"}
    head.append(soup.new_tag("meta", attrs=large))


def name_controls(soup: BeautifulSoup, app: Sphinx, path: Path) -> None:
    """Give every control the name that it shows, every icon none, and the skip link a target."""
    for icon in soup.select("i, button > span[class*=fa-], kbd, .btn__icon-container"):
        icon["aria-hidden"] = "true"
        del icon["title"]
    for control in soup.select("button, a.btn"):
        shown = words(control)
        if shown and control.get("aria-label"):
            del control["aria-label"]
        elif not shown and not control.get("aria-label"):
            control["aria-label"] = control.get("title", "")
    for summary in soup.select("summary[aria-label]"):
        del summary["aria-label"]  # it says "Toggle hidden content", the page says what is hidden
    if sidebar := soup.select_one("#pst-primary-sidebar"):
        sidebar["role"], sidebar["aria-label"] = "complementary", "Contents of the course"
    if main := soup.select_one("#main-content"):
        main["tabindex"] = "-1"


def mend_structure(soup: BeautifulSoup, app: Sphinx, path: Path) -> None:
    """Let lists be lists, cells cells, and each id be there once."""
    for tag in soup.select(".citation-list, .citation"):
        del tag["role"]
    for cell in soup.select("th"):
        if not words(cell) and not cell.find("img"):
            cell.name = "td"
        elif not cell.has_attr("scope"):
            cell["scope"] = "col" if cell.find_parent("thead") else "row"
    seen = Counter[str]()
    for tag in soup.select("[id]"):
        name = str(tag["id"])
        seen[name] += 1
        if seen[name] > 1:
            tag["id"] = f"{name}-{seen[name]}"


def fold_dropdowns(soup: BeautifulSoup, app: Sphinx, path: Path) -> None:
    """Fold dropdowns as browsers do, by keyboard and without a script."""
    for box in soup.select(".admonition.dropdown"):
        title = box.select_one(".admonition-title")
        box.name, title.name = "details", "summary"
        box["class"] = [name for name in box["class"] if name not in ("toggle", "toggle-hidden")]


MENDED: tuple[Callable[[BeautifulSoup, Sphinx, Path], None], ...] = (
    fold_dropdowns,
    drop_assets,
    search_sections,
    figures.draw_twice,
    lazy_images,
    describe,
    name_controls,
    mend_structure,
)


def finish(app: Sphinx, failed: Exception | None) -> None:
    """Mend every page of the site, and what all of them load."""
    if failed or app.builder.name != "html":
        return
    pages = [path for path in Path(app.outdir).rglob("*.html") if "_static" not in path.parts]
    for path in pages:
        text = path.read_text(encoding="utf-8")
        soup = BeautifulSoup(text, "html.parser")
        if soup.head and soup.body and not soup.select_one("meta[name=description]"):
            for mend in MENDED:
                mend(soup, app, path)
            path.write_text(str(soup), encoding="utf-8")
    static = Path(app.outdir, "_static")
    card.draw(static / "card.png", app.config.html_title, CARD)
    for pattern in DROPPED:
        for file in static.glob(pattern):
            file.unlink()
    sheet = static / "styles" / "pydata-sphinx-theme.css"
    sheet.write_text(without_icons(sheet.read_text(encoding="utf-8")), encoding="utf-8")


def without_icons(sheet: str) -> str:
    """A stylesheet without the fonts and the two thousand icons of Font Awesome."""
    sheet = re.sub(r"(?:\.fa-[\w-]+::?before,?)+\{content:[^}]*\}", "", sheet)
    sheet = re.sub(r"@font-face\s*\{[^}]*Font Awesome[^}]*\}", "", sheet)
    return re.sub(r"/\*.*?\*/", "", sheet, flags=re.DOTALL)


def words(tag: Tag) -> str:
    """What a tag shows, without what is hidden from all who do not see."""
    hidden = {"aria-hidden": "true"}
    shown = [text for text in tag.find_all(string=True) if not text.find_parent(attrs=hidden)]
    return " ".join("".join(shown).split()).removesuffix("#").strip()


def shortened(text: str) -> str:
    """The words that fit a description."""
    return text if len(text) <= WORDS else text[: text.rindex(" ", 0, WORDS)] + " …"


def measure(path: Path) -> tuple[int, int] | None:
    """Width and height of an image in pixels; None where it does not say.

    Of a drawing, whose unit is the point, there are four pixels to three.
    """
    if not path.is_file():
        return None
    if path.suffix != ".svg":
        with Image.open(path) as image:
            return image.size
    box = ElementTree.parse(path).getroot().get("viewBox", "").split()
    return (round(float(box[2]) * 4 / 3), round(float(box[3]) * 4 / 3)) if len(box) == 4 else None


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("build-finished", finish, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
