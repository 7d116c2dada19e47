"""The dark drawing is the light one with its colours mapped, and nothing else changed."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from attncourse.plots.dark import GROUND, dark, darkened, oklab
from attncourse.plots.style import INK, PAGE, ROLES, SCORES, WEIGHTS


def lightness(colour):
    return oklab(np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255)[0]


def test_the_page_becomes_the_ground_and_ink_becomes_pale():
    assert dark(PAGE) == GROUND
    assert lightness(dark(INK)) == pytest.approx(0.9, abs=0.01)
    assert dark("#000000") >= "#d0d0d0"


@pytest.mark.parametrize("role", ROLES)
def test_a_hue_is_kept(role):
    def hue(colour):
        _, a, b = oklab(np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255)
        return np.degrees(np.arctan2(b, a))

    assert hue(dark(ROLES[role])) == pytest.approx(hue(ROLES[role]), abs=3)


@pytest.mark.parametrize("colours", [WEIGHTS, SCORES], ids=["weights", "scores"])
def test_a_map_is_one_in_the_dark_too(colours):
    from matplotlib.colors import to_hex

    shades = [to_hex(colours(x)) for x in np.linspace(0.5 if colours is SCORES else 0, 1, 64)]
    light, night = (
        [lightness(colour) for colour in drawn] for drawn in (shades, map(dark, shades))
    )
    assert max(np.diff(light)) <= 0.005
    assert min(np.diff(night)) >= -0.005
    assert night[0] < 0.2 < 0.6 < night[-1]


def test_only_colours_change():
    svg = (
        '<svg fill="#000000"><g id="#ffffff">'
        '<path d="M 0 0" style="fill: #ffffff; stroke: #1F2937"/>'
        '<use xlink:href="#DejaVuSans-ffffff" clip-path="url(#pffffff)"/></g></svg>'
    )
    night = darkened(svg)
    assert night.count(GROUND) == 1
    assert dark("#1f2937") in night
    assert re.sub(r"#[0-9a-f]{6}", "", night) == re.sub(r"#[0-9a-fA-F]{6}", "", svg)


def png(pixels):
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, format="png")
    return base64.b64encode(data.getvalue()).decode()


def test_pictures_within_are_mapped_pixel_by_pixel_and_stay_as_opaque():
    pixels = np.array([[[255, 255, 255, 255], [31, 41, 55, 90]]], dtype=np.uint8)
    night = darkened(f'<image xlink:href="data:image/png;base64,{png(pixels)}"/>')
    encoded = re.search('base64,([^"]+)', night)[1]
    found = np.array(Image.open(io.BytesIO(base64.b64decode(encoded))).convert("RGBA"))
    assert found[..., 3].tolist() == [[255, 90]]
    hexes = ["#" + bytes(pixel[:3]).hex() for pixel in found[0]]
    assert hexes == [dark("#ffffff"), dark("#1f2937")]
