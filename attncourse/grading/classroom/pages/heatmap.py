"""A learner's matrix as a picture: inline SVG that reads well on light and on dark."""

import math
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

CELL = 26  # pixels of a cell's side
LARGEST_WITH_NUMBERS = 12  # columns
LEGEND = "blue above zero, orange below, red what is not finite"


def svg(figure: Mapping[str, Any], caption: str) -> Markup:
    """The picture, with its numbers where there is room, and a text for those who don't see it."""
    values = figure["values"]
    rows, columns = len(values), len(values[0]) if values else 0
    finite = [abs(v) for row in values for v in row if not isinstance(v, str)]
    bound = max(finite, default=0.0) or 1.0
    wide = columns <= LARGEST_WITH_NUMBERS
    width = 44 if wide else CELL // 2
    height = CELL if wide else CELL // 2
    cells = (
        _cell(value, x * width, y * height, width, height, bound, wide)
        for y, row in enumerate(values)
        for x, value in enumerate(row)
    )
    size = f"{columns * width} {rows * height}"
    return Markup('<svg class="heatmap" role="img" viewBox="0 0 {}" width="{}">').format(
        Markup(size), columns * width
    ) + Markup("<title>{}</title>{}</svg>").format(caption, Markup("".join(cells)))


def _cell(
    value: float | str, x: int, y: int, width: int, height: int, bound: float, number: bool
) -> str:
    """One entry: blue above zero, orange below, stronger where larger; marked where not finite."""
    if isinstance(value, str):
        kind, strength, text = "odd", 1.0, {"nan": "NaN", "inf": "∞", "-inf": "-∞"}[value]
    else:
        kind = "minus" if value < 0 else "plus"
        strength, text = math.sqrt(abs(value) / bound), f"{value:.2g}"
    box = f'x="{x}" y="{y}" width="{width}" height="{height}"'
    drawn = f'<rect class="{kind}" {box} fill-opacity="{0.75 * strength:.2f}"/>'
    if number:
        middle = f'x="{x + width / 2:g}" y="{y + height / 2:g}"'
        drawn += f"<text {middle}>{text}</text>"
    return drawn
