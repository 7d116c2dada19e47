"""The drawings of a figure on a page: a light one, a dark one, and each panel by itself.

Cells give one SVG, light and transparent (``attncourse/plots/svg.py``). Here its dark twin is made,
and one that has panels is cut into them, so that they stack on a phone. The theme shows of each two
the one that fits the page; the other is not loaded, and no screen reader meets it.
"""

from pathlib import Path

from bs4 import BeautifulSoup, Tag
from sphinx.application import Sphinx

from attncourse.plots.dark import darkened
from attncourse.plots.svg import ROW_OF_ITS_OWN, parts

FIGURES = "article .cell_output img[src$='.svg']"
ABOVE = {"class": "panels-title"}


def draw_twice(soup: BeautifulSoup, app: Sphinx, path: Path) -> None:
    """Put in the place of each figure its light and its dark drawing, panel by panel."""
    for image in soup.select(FIGURES):
        file = path.parent / str(image["src"])
        drawings = parts(file.read_text(encoding="utf-8"))
        if len(drawings) == 1:
            image.insert_after(_twin(soup, image, file, drawings[0]))
            image["class"] = ["only-light"]
        else:
            image.replace_with(_group(soup, image, file, drawings))


def _group(soup: BeautifulSoup, image: Tag, file: Path, drawings: list[str]) -> Tag:
    """The panels of a figure: to who listens they are one picture."""
    alt = {"role": "img", "aria-label": str(image.get("alt", ""))}
    group = soup.new_tag("div", attrs={"class": "panels", **alt})
    for number, drawing in enumerate(drawings, 1):
        own = file.with_name(f"{file.stem}-{number}.svg")
        own.write_text(drawing, encoding="utf-8")
        source = str(image["src"]).replace(file.name, own.name)
        light = soup.new_tag("img", attrs={"src": source, "alt": "", "class": ["only-light"]})
        panel = soup.new_tag("span", attrs=ABOVE if ROW_OF_ITS_OWN in drawing else {})
        panel.extend([light, _twin(soup, light, own, drawing)])
        group.append(panel)
    return group


def _twin(soup: BeautifulSoup, image: Tag, file: Path, drawing: str) -> Tag:
    """The dark drawing of an image, in a file of its own."""
    dark = file.with_name(f"{file.stem}-dark.svg")
    dark.write_text(darkened(drawing), encoding="utf-8")
    own = {key: value for key, value in image.attrs.items() if key != "class"}
    own["src"] = str(image["src"]).replace(file.name, dark.name)
    return soup.new_tag("img", attrs=own | {"class": ["only-dark"]})
