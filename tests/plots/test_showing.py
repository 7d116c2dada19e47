"""A notebook gets both drawings, the site one; the committed chapter only words."""

import re
from types import SimpleNamespace

import matplotlib.pyplot as plt
import nbformat
import pytest
import torch
from bs4 import BeautifulSoup
from nbclient import NotebookClient

import executed
import figures
from attncourse.plots import comparison_html, heatmap, panels
from attncourse.plots.showing import as_html, described
from attncourse.plots.style import PAGE, styled
from attncourse.plots.svg import svg

CELLS = (
    "import matplotlib.pyplot as plt\nimport torch\nfrom attncourse.plots import *",
    "plt.plot([1, 2])\nplt.show()",
    "figure, ax = plt.subplots()\nax.plot([1, 2])\nfigure",
    "panels(heatmap(torch.eye(2)), mask_plot(torch.eye(2) > 0))\nplt.show()",
)


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """What cells give in a kernel whose user has settings of their own."""
    rc = tmp_path_factory.mktemp("rc") / "matplotlibrc"
    rc.write_text("font.size: 20\naxes.grid: True\nfigure.facecolor: red\n", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MATPLOTLIBRC", str(rc))
        cells = [nbformat.v4.new_code_cell(source) for source in CELLS]
        notebook = nbformat.v4.new_notebook(cells=cells)
        NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    return [cell.outputs for cell in notebook.cells]


def test_a_figure_is_shown_once_as_words_a_drawing_and_a_page(outputs):
    assert [len(shown) for shown in outputs] == [0, 1, 1, 1]
    for (shown,) in outputs[1:]:
        assert set(shown.data) == {"text/plain", "image/svg+xml", "text/html"}
    words = [shown.data["text/plain"] for (shown,) in outputs[1:]]
    assert words == ["<Figure size 480x300 with 1 Axes>"] * 2 + ["<Figure size of 2 panels>"]


def test_a_kernel_draws_in_the_style_whatever_its_users_settings_say(outputs):
    with styled():
        figure, ax = plt.subplots()
        ax.plot([1, 2])
    assert outputs[2][0].data["image/svg+xml"] == svg(figure)
    plt.close(figure)


def page(html):
    return BeautifulSoup(html, "html.parser")


def test_a_notebook_without_our_styles_shows_the_light_drawing_on_its_ground():
    images = page(as_html(svg(heatmap(torch.eye(2)).figure), 'a "b"')).select("img")
    assert [image["alt"] for image in images] == ['a "b"'] * 2
    light, night = (image["style"] for image in images)
    assert f"background:{PAGE}" in light
    assert "display:none" in night
    plt.close("all")


def test_of_panels_the_group_is_described_and_its_parts_are_not():
    drawn = panels(heatmap(torch.eye(2), title="one"), heatmap(torch.eye(3), title="two"))
    html = page(as_html(svg(drawn), described(drawn)))
    group = html.select_one("[role=img]")
    assert group["aria-label"] == "Figure: one; key; query, two; key; query"
    assert [image["alt"] for image in html.select("img")] == [""] * 4


def test_a_comparison_can_be_had_as_a_page():
    html = comparison_html(torch.eye(3), torch.ones(3, 3), mask=torch.eye(3) > 0, alt="words")
    assert html.count("<img") == 2
    assert html.count('alt="words"') == 2


def test_nbval_compares_a_figures_words_and_everything_else_whole():
    figure = {"output_type": "display_data", "data": {"text/plain": "x", "text/html": "<p>"}}
    drawn = {**figure, "data": figure["data"] | {"image/svg+xml": "<svg/>"}}
    assert executed._words(figure) == figure
    assert executed._words(drawn).data == {"text/plain": "x"}
    assert executed._words(drawn).output_type == "display_data"
    stream = {"output_type": "stream", "text": "x"}
    assert executed._words(stream) == stream


def built(tmp_path, drawing):
    (tmp_path / "_images").mkdir()
    (tmp_path / "_images" / "abc.svg").write_text(drawing, encoding="utf-8")
    soup = page('<article><div class="cell_output"><img alt="words" src="_images/abc.svg"></div>'
                '<img src="_images/other.svg"></article>')  # fmt: skip
    figures.draw_twice(soup, SimpleNamespace(), tmp_path / "page.html")
    return soup.select(".cell_output img"), soup.select_one("[role=img]")


def test_a_page_gets_two_drawings_with_the_same_words(tmp_path):
    (light, night), group = built(tmp_path, svg(heatmap(torch.eye(2)).figure))
    assert group is None
    assert [*light["class"], *night["class"]] == ["only-light", "only-dark"]
    assert (light["alt"], night["alt"]) == ("words", "words")
    assert (light["src"], night["src"]) == ("_images/abc.svg", "_images/abc-dark.svg")
    assert re.search("#121212", (tmp_path / night["src"]).read_text(encoding="utf-8"))
    plt.close("all")


def test_a_page_gets_panels_one_by_one(tmp_path):
    drawn = panels(heatmap(torch.eye(2)), heatmap(torch.eye(3)))
    images, group = built(tmp_path, svg(drawn))
    assert group["aria-label"] == "words"
    sources = [image["src"] for image in images]
    assert sources == [f"_images/abc-{part}.svg" for part in ("1", "1-dark", "2", "2-dark")]
    assert all((tmp_path / source).is_file() for source in sources)
