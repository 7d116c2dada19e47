"""Figures as SVG: small, the same bytes on every run, several panels in one file."""

import base64
import io
import itertools
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from attncourse.plots.style import styled

ROW_OF_ITS_OWN = 'data-row="own"'  # what a panel has that stands above the others
GAP = 18.0  # points between panels
CELLS = 4096  # of all matrices in a figure, up to which they are drawn as shapes
_UNNEEDED = re.compile(r"<\?xml.*?\?>|<!DOCTYPE.*?>|<!--.*?-->|<metadata>.*?</metadata>", re.DOTALL)
_NUMBER = re.compile(r"(?<![\w#.+/=-])-?\d+\.\d{3,}(?![\w+/=])")
_NAMED = re.compile(r'<g id="[a-z]+[\w.-]*_\d+">')
_BOX = re.compile(r'viewBox="0 0 ([\d.]+) ([\d.]+)"')
_INVISIBLE = re.compile(r'<path d="[^"]*"(?: clip-path="[^"]*")? style="fill: none"/>')
_OUTLINE = re.compile(r'(?<= d=")[^"]*')
_IMAGE = re.compile(
    r'<image xlink:href="data:image/png;base64,(?P<data>[^"]*)"[^>]* width="(?P<width>\d+)" '
    r'height="(?P<height>\d+)" transform="(?P<place>[^"]*)"[^>]*/>'
)
_PART = re.compile(r'<svg class="part".*?</svg>', re.DOTALL)


def svg(figure: Any) -> str:
    """A figure, or several as panels, as the text of an SVG file.

    Without a date or a version; text as outlines, which every machine shows alike. Lengths have
    two decimals, of a point.
    """
    if isinstance(figure, Figure):
        return _compact(_saved(figure))
    drawings = [svg(part) for part in figure.parts]
    if figure.title:
        heading = Figure(figsize=(0.1, 0.1))
        with styled():
            heading.text(0, 0, figure.title, weight="bold")
        drawings.insert(0, svg(heading).replace("<svg ", f"<svg {ROW_OF_ITS_OWN} ", 1))
    return side_by_side(drawings) if len(drawings) > 1 else drawings[0]


def _saved(figure: Figure) -> str:
    data = io.StringIO()
    with styled():
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(data, format="svg", metadata=nothing)
    return data.getvalue()


def _compact(text: str) -> str:
    """The same drawing in fewer bytes."""
    text = _NAMED.sub("<g>", _UNNEEDED.sub("", text))
    text = _INVISIBLE.sub("", _NUMBER.sub(_rounded, text))
    text = _OUTLINE.sub(lambda found: re.sub(r"\s*([A-Za-z])\s*", r"\1", found[0]), text)
    cells = sum(int(i["width"]) * int(i["height"]) for i in _IMAGE.finditer(text))
    text = _IMAGE.sub(_as_shapes if cells <= CELLS else _smaller, text)
    # black is what an SVG has where it says nothing: said, so that the dark drawing can map it
    text = text.replace("<svg ", '<svg fill="#000000" ', 1)
    return re.sub(r"\s*\n\s*", "\n", text).strip().replace(">\n<", "><") + "\n"


def _as_shapes(found: re.Match[str]) -> str:
    """A matrix as squares: one outline for each colour, a rectangle for each run of equal cells."""
    pixels = _pixels(found["data"])
    runs: dict[tuple[int, ...], list[str]] = {}
    for y, row in enumerate(pixels.tolist()):
        for colour, cells in itertools.groupby(enumerate(row), key=lambda cell: tuple(cell[1])):
            first, *more = (x for x, _ in cells)
            outline = f"M{first} {y}h{1 + len(more)}v1h-{1 + len(more)}z"
            runs.setdefault(colour, []).append(outline)
    drawn = "".join(
        f'<path fill="#{r:02x}{g:02x}{b:02x}"{_opacity(a)} d="{"".join(outlines)}"/>'
        for (r, g, b, a), outlines in sorted(runs.items())
        if a
    )
    return f'<g transform="{found["place"]}" shape-rendering="crispEdges">{drawn}</g>'


def _smaller(found: re.Match[str]) -> str:
    """A picture of a matrix with a palette, where its colours are few."""
    from PIL import Image

    image = Image.fromarray(_pixels(found["data"]))
    if image.getcolors(256) and image.getchannel("A").getextrema() == (255, 255):
        image = image.convert("RGB").convert("P", palette=Image.Palette.ADAPTIVE)
    data = io.BytesIO()
    image.save(data, format="png", optimize=True)
    return found[0].replace(found["data"], base64.b64encode(data.getvalue()).decode(), 1)


def _pixels(encoded: str) -> NDArray[np.uint8]:
    """The colours (height, width, 4) of a PNG in base64."""
    from PIL import Image

    with Image.open(io.BytesIO(base64.b64decode(encoded))) as image:
        return np.array(image.convert("RGBA"))


def _opacity(alpha: int) -> str:
    return "" if alpha == 255 else f' fill-opacity="{alpha / 255:.3g}"'


def _rounded(found: re.Match[str]) -> str:
    value = float(found[0])
    return f"{value:.2f}".rstrip("0").rstrip(".") if abs(value) >= 1 else f"{value:.5g}"


def size(text: str) -> tuple[float, float]:
    """Width and height of an SVG in points."""
    found = _BOX.search(text)
    return (float(found[1]), float(found[2])) if found else (0.0, 0.0)


def side_by_side(drawings: Sequence[str]) -> str:
    """Several drawings in one SVG, in a row, each of which can be had alone (`parts`)."""
    sizes = [size(drawing) for drawing in drawings]
    height = max(tall for _, tall in sizes)
    placed, x = [], 0.0
    for drawing, (wide, tall) in zip(drawings, sizes, strict=True):
        at = f'<svg class="part" x="{x:g}" y="{(height - tall) / 2:.2f}" '
        placed.append(drawing.strip().replace("<svg ", at, 1))
        x += wide + GAP
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {x - GAP:.2f} {height:.2f}" '
        f'width="{x - GAP:.2f}pt" height="{height:.2f}pt">'
    )
    return f"{head}{''.join(placed)}</svg>\n"


def parts(text: str) -> list[str]:
    """The panels of an SVG, each a file of its own; one that has none is its only part."""
    found = [
        re.sub(r' class="part" x="[^"]*" y="[^"]*"', "", p, count=1) for p in _PART.findall(text)
    ]
    return [f"{part}\n" for part in found] or [text]
