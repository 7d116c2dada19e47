"""The dark drawing of a figure: the light one, with every colour mapped.

The page's white becomes the dark page's ground, the ink becomes pale, and what lies between keeps
its hue: lightness is turned round in OKLab (Ottosson 2020), so that a map from the page to a colour
stays one. Numbers, shapes and text are untouched.
"""

import base64
import functools
import io
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attncourse.plots.style import INK

GROUND = "#121212"  # of the dark page, which sphinx-book-theme sets
PALEST = 0.90  # the lightness that ink gets

Array = NDArray[np.float64]

_FROM_RGB = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
_COLOUR = re.compile(r'((?:fill|stroke|stop-color|color)(?::\s*|="))(#[0-9a-fA-F]{6}\b)')
_IMAGE = re.compile(r"data:image/png;base64,([A-Za-z0-9+/=\s]+)")


def darkened(svg: str) -> str:
    """An SVG file with its colours, and those of the pictures in it, as a dark page needs them."""
    svg = _COLOUR.sub(lambda found: found[1] + dark(found[2]), svg)
    return _IMAGE.sub(lambda found: f"data:image/png;base64,{_dark_png(found[1])}", svg)


@functools.lru_cache(maxsize=4096)
def dark(colour: str) -> str:
    """A colour ``#rrggbb`` as the dark drawing has it.

    >>> dark("#ffffff"), dark("#1f2937")
    ('#121212', '#d2dff2')
    """
    red, green, blue = np.rint(_dark(_rgb(colour)[None])[0] * 255).astype(int)
    return f"#{red:02x}{green:02x}{blue:02x}"


def oklab(rgb: Array) -> Array:
    """Colours (..., 3) in OKLab: lightness, green to red, blue to yellow."""
    return np.cbrt(_linear(rgb) @ _FROM_RGB.T) @ _TO_LAB.T


def _dark(rgb: Array) -> Array:
    """Colours (count, 3), from 0 to 1, mapped; chroma gives way where the screen has none."""
    lab = oklab(rgb)
    ground, ink = oklab(_rgb(GROUND))[0], oklab(_rgb(INK))[0]
    depth = np.clip((1 - lab[:, 0]) / (1 - ink), 0, 1)
    lightness = ground + depth * (PALEST - ground)
    whole = np.ones(len(rgb))
    low, high = np.where(_is_colour(_with(lightness, lab, whole)), 1.0, 0.0), whole
    for _ in range(12):  # the largest share of the chroma that is still a colour
        share = (low + high) / 2
        fits = _is_colour(_with(lightness, lab, share))
        low, high = np.where(fits, share, low), np.where(fits, high, share)
    return _encoded(np.clip(_with(lightness, lab, low), 0, 1))


def _with(lightness: Array, lab: Array, share: Array) -> Array:
    """Linear RGB of a lightness and a share of the chroma."""
    turned = np.stack([lightness, lab[:, 1] * share, lab[:, 2] * share], axis=-1)
    return (turned @ np.linalg.inv(_TO_LAB).T) ** 3 @ np.linalg.inv(_FROM_RGB).T


def _is_colour(linear: Array) -> Any:
    return ((linear > -1e-4) & (linear < 1 + 1e-4)).all(-1)


def _linear(rgb: Array) -> Array:
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def _encoded(linear: Array) -> Array:
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def _rgb(colour: str) -> Array:
    return np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255


def _dark_png(encoded: str) -> str:
    """A PNG with the colour of every pixel mapped and its opacity kept, in base64."""
    from PIL import Image

    with Image.open(io.BytesIO(base64.b64decode(encoded))) as image:
        pixels = np.array(image.convert("RGBA"))
    colours, places = np.unique(pixels[..., :3].reshape(-1, 3), axis=0, return_inverse=True)
    mapped = np.rint(_dark(colours / 255) * 255).astype(np.uint8)
    pixels[..., :3] = mapped[places.reshape(-1)].reshape(pixels[..., :3].shape)
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, format="png", optimize=True)
    return base64.b64encode(data.getvalue()).decode()
