"""Drawings are small, of shapes where cells are few, and whole when cut into panels."""

import re
from xml.etree import ElementTree

import matplotlib.pyplot as plt
import pytest
import torch

from attncourse.core.masks import causal_mask
from attncourse.plots import heatmap, mask_plot, panels
from attncourse.plots.style import styled
from attncourse.plots.svg import CELLS, parts, size, svg
from attncourse.testing import gaussian


@pytest.fixture(autouse=True)
def _no_figure_stays_open():
    yield
    plt.close("all")


def drawing(*shape):
    return svg(heatmap(gaussian(*shape)).figure)


def test_a_file_has_no_date_no_version_and_no_words_but_outlines():
    text = drawing(3, 4)
    ElementTree.fromstring(text)
    assert not re.search("metadata|<!--|DOCTYPE|<text|Matplotlib|20[0-9][0-9]-", text)
    assert text == drawing(3, 4)


def test_few_cells_are_shapes_and_many_a_small_picture():
    few, many = drawing(50, 60), drawing(70, 80)
    assert 50 * 60 <= CELLS < 70 * 80
    assert ("<image" in few, "<image" in many) == (False, True)
    assert 'shape-rendering="crispEdges"' in few
    assert "pixelated" in many
    assert len(many) < 30_000


def test_shapes_cover_every_cell_once_in_its_colour():
    matrix = gaussian(5, 7)
    ax = heatmap(matrix)
    drawn = re.search(r'crispEdges">(.*?)</g>', svg(ax.figure))[1]
    found = {}
    for colour, outline in re.findall(r'<path fill="(#\w{6})" d="([^"]*)"/>', drawn):
        for x, y, run in re.findall(r"M(\d+) (\d+)h(\d+)v1h-\3z", outline):
            for cell in range(int(x), int(x) + int(run)):
                assert (int(y), cell) not in found
                found[int(y), cell] = colour
    expected = ax.images[0].to_rgba(matrix.numpy(), bytes=True)[..., :3]
    assert found == {(i, j): "#" + bytes(expected[i, j]).hex() for i in range(5) for j in range(7)}


def test_what_may_not_be_seen_at_all_is_no_shape():
    ax = heatmap(torch.tensor([[1.0, torch.nan], [torch.nan, 1.0]]))
    drawn = re.search(r'crispEdges">(.*?)</g>', svg(ax.figure))[1]
    assert drawn.count("M") == 2


def test_black_is_said_so_that_the_dark_drawing_can_map_it():
    with styled():
        figure, ax = plt.subplots()
        ax.text(0, 0, "black", color="black")
    assert svg(figure).startswith('<svg fill="#000000"')


def test_panels_are_one_file_that_can_be_cut():
    figures = [heatmap(gaussian(3, 4)).figure, mask_plot(causal_mask(3, 5)).figure]
    whole = svg(panels(*figures))
    ElementTree.fromstring(whole)
    assert parts(whole) == [svg(figure) for figure in figures]
    wide, tall = size(whole)
    assert wide > sum(size(part)[0] for part in parts(whole))
    assert tall == pytest.approx(max(size(part)[1] for part in parts(whole)))
    assert parts(svg(figures[0])) == [svg(figures[0])]


def test_one_panel_is_its_own_drawing():
    """Inside another drawing its lengths, in points, would be taken for those of the screen."""
    alone = panels(plt.figure(figsize=(2.0, 1.0)))
    text = svg(alone)
    assert text == svg(alone.parts[0])
    assert parts(text) == [text]
    assert text.count("<svg") == 1
