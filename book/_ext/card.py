"""The picture shown where the address of a page is shared: a title and a map of weights."""

import math
import textwrap
from pathlib import Path

from matplotlib import get_data_path
from PIL import Image, ImageDraw, ImageFont

SIZE = (1200, 630)  # pixels, what Open Graph asks for
PAPER, INK, WEIGHT = (250, 250, 248), (28, 32, 44), (23, 78, 166)
TOKENS, CELL = 9, 52


def draw(path: Path, title: str, words: str) -> None:
    """Write the card as PNG."""
    image = Image.new("RGB", SIZE, PAPER)
    pen = ImageDraw.Draw(image)
    pen.multiline_text((70, 150), "\n".join(textwrap.wrap(title, 14)), INK, font(72, "Sans-Bold"))
    pen.multiline_text((70, 370), "\n".join(textwrap.wrap(words, 36)), INK, font(26), spacing=12)
    left, top = SIZE[0] - 70 - TOKENS * CELL, (SIZE[1] - TOKENS * CELL) // 2
    for i in range(TOKENS):
        for j, weight in enumerate(weights(i)):
            place = (left + j * CELL, top + i * CELL)
            pen.rectangle((*place, place[0] + CELL - 4, place[1] + CELL - 4), tint(weight))
    image.save(path, optimize=True)


def weights(i: int) -> list[float]:
    """A row of causal attention over scores that are made up, the same on every machine."""
    raised = [math.exp(2 * math.sin(1.7 * i + 2.3 * j)) if j <= i else 0.0 for j in range(TOKENS)]
    return [value / sum(raised) for value in raised]


def tint(weight: float) -> tuple[int, ...]:
    """The colour of a weight, from the paper's to the strongest."""
    share = weight**0.5
    return tuple(round(238 * (1 - share) + strong * share) for strong in WEIGHT)


def font(size: int, face: str = "Sans") -> ImageFont.FreeTypeFont:
    """A face of DejaVu that Matplotlib brings along."""
    return ImageFont.truetype(f"{get_data_path()}/fonts/ttf/DejaVu{face}.ttf", size)
