"""Colours can be read and told apart, in both drawings, and nobody's settings change a figure."""

import itertools
import os
import re
import subprocess
import sys

import matplotlib
import numpy as np
import pytest

from attncourse.plots import style
from attncourse.plots.dark import GROUND, dark, oklab
from attncourse.plots.style import ACCENT, INK, MUTED, PAGE, ROLES, SECOND, THIRD
from pages import ROOT

TEXT = {**ROLES, "ink": INK, "muted": MUTED, "accent": ACCENT, "second": SECOND, "third": THIRD}
# how the colours of a screen look to who lacks a kind of cone (Machado et al. 2009, severity 1)
SEEN = {
    "all": np.eye(3),
    "no red": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "no green": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "no blue": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def linear(colour):
    rgb = np.array(matplotlib.colors.to_rgb(colour))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def contrast(one, other):
    low, high = sorted(linear(colour) @ [0.2126, 0.7152, 0.0722] for colour in (one, other))
    return (high + 0.05) / (low + 0.05)


def as_seen(colour, cones):
    light = np.clip(np.array(SEEN[cones]) @ linear(colour), 0, 1)
    return oklab(np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055))


@pytest.mark.parametrize("colour", TEXT.values(), ids=TEXT)
def test_every_colour_can_be_read_as_text_on_both_pages(colour):
    assert contrast(colour, PAGE) >= 4.5
    assert contrast(dark(colour), GROUND) >= 4.5


@pytest.mark.parametrize("cones", SEEN)
@pytest.mark.parametrize("colours", [list(ROLES.values()), [ACCENT, SECOND, THIRD, INK]])
def test_colours_are_told_apart_whatever_one_sees(colours, cones):
    for drawing in (colours, [dark(colour) for colour in colours]):
        seen = [as_seen(colour, cones) for colour in drawing]
        assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)) > 0.09


def test_a_distance_that_is_too_small_is_seen():
    seen = [[as_seen(colour, cones) for colour in ("#047857", "#1d4ed8")] for cones in SEEN]
    assert min(np.linalg.norm(a - b) for a, b in seen) < 0.09


def test_the_page_has_the_same_colours():
    sheet = (ROOT / "book/_static/roles.css").read_text(encoding="utf-8")
    light, night = (
        dict(re.findall(r"--role-(\w+): (#\w{6});", block))
        for block in re.findall(
            r"^(?::root|html\[.*?\]) \{(.*?)^\}", sheet, re.DOTALL | re.MULTILINE
        )
    )
    assert light == ROLES
    assert night == {role: dark(colour) for role, colour in ROLES.items()}
    others = [path for path in ROOT.glob("book/_static/*.css") if path.name != "roles.css"]
    assert not any("--role-query:" in path.read_text(encoding="utf-8") for path in others)


def test_maps_go_from_the_page_to_their_colour():
    ends = [matplotlib.colors.to_hex(style.WEIGHTS(x)) for x in (0.0, 1.0)]
    assert ends == [PAGE, style.WEIGHT]
    low, middle, high = (linear(style.SCORES(x)) @ [0.2126, 0.7152, 0.0722] for x in (0, 0.5, 1.0))
    assert middle > 0.98 > 0.2 > max(low, high)


def test_numbers_can_be_read_on_the_darkest_tint_of_a_role():
    for colour in TEXT.values():
        tint = matplotlib.colors.to_hex(style.shades(colour)(style.TINT))
        assert contrast(INK, tint) >= 4.5
        assert contrast(dark(INK), dark(tint)) >= 4.5


RC = """
font.size: 20
font.family: serif
axes.grid: True
axes.facecolor: yellow
figure.facecolor: red
figure.figsize: 2, 2
figure.constrained_layout.use: True
lines.linewidth: 9
image.cmap: jet
image.origin: lower
savefig.transparent: True
savefig.bbox: standard
svg.fonttype: none
text.color: red
xtick.major.size: 20
"""
DRAW = """
import hashlib, sys, matplotlib, torch
matplotlib.use("Agg")
from attncourse.plots import *
from attncourse.plots.svg import svg
x = torch.arange(12.0).reshape(3, 4)
drawn = [heatmap(x), mask_plot(x > 5), curves([1, 2], {"a": [1, 2]}, xlabel="x", ylabel="y")]
drawn += [roofline({"a": (4e9, 1e8, 8.0)}, peak_flops=1e9, peak_bandwidth=5e8)]
drawn = [ax.figure for ax in drawn] + [comparison(x, x + 1)]
drawn += [strip([Step("Q", x, QUERY)], title="t")]
print([hashlib.sha256(svg(figure).encode()).hexdigest() for figure in drawn])
"""


def test_a_readers_settings_change_no_figure_and_every_run_draws_the_same(tmp_path):
    (tmp_path / "matplotlibrc").write_text(RC, encoding="utf-8")
    runs = [
        subprocess.run(
            [sys.executable, "-c", DRAW],
            env=os.environ | more,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        for more in ({}, {"MATPLOTLIBRC": str(tmp_path / "matplotlibrc"), "PYTHONHASHSEED": "7"})
    ]
    assert len(runs[0].stdout) > 300
    assert runs[0].stdout == runs[1].stdout


def test_settings_say_nothing_of_where_figures_go():
    assert not {"backend", "interactive", "timezone"} & set(style.settings())
    before = dict(matplotlib.rcParams)
    with style.styled():
        assert matplotlib.rcParams["figure.facecolor"] == "none"
    assert dict(matplotlib.rcParams) == before


def test_pages_that_draw_import_the_style():
    pages = [path.read_text(encoding="utf-8") for path in ROOT.glob("book/*.ipynb")]
    drawing = [page for page in pages if "plt.show()" in page]
    assert drawing
    assert all("from attncourse.plots import" in page for page in drawing)
