"""Figures carry their labels and draw without a warning (warnings are errors in this run)."""

import math

import matplotlib.pyplot as plt
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from attncourse.core.masks import causal_mask
from attncourse.plots import (
    attention_map,
    comparison,
    comparison_png,
    curves,
    heatmap,
    map_overview,
    mask_plot,
    roofline,
)
from attncourse.testing import gaussian


@pytest.fixture(autouse=True)
def _no_figure_stays_open():
    yield
    plt.close("all")


def drawn(figure):
    """Draw the figure, so that every warning of drawing is raised."""
    figure.canvas.draw()
    return figure


def words(ticks):
    return [tick.get_text() for tick in ticks]


def test_a_heatmap_has_queries_down_and_keys_across():
    ax = heatmap(gaussian(3, 5), title="scores")
    assert isinstance(ax, Axes)
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title()) == ("key", "query", "scores")
    assert ax.images[0].get_array().shape == (3, 5)
    drawn(ax.figure)


def test_a_heatmap_writes_the_names_of_rows_and_columns():
    ax = heatmap(torch.eye(2, 3), rows=["the", "cat"], columns=["le", "chat", "noir"])
    assert words(ax.get_yticklabels()) == ["the", "cat"]
    assert words(ax.get_xticklabels()) == ["le", "chat", "noir"]
    drawn(ax.figure)


def test_a_small_heatmap_has_its_numbers_written_in():
    ax = heatmap(torch.tensor([[0.25, 0.75], [1.0, -0.5]]))
    assert words(ax.texts) == ["0.25", "0.75", "1.00", "−0.50"]
    assert len(ax.figure.axes) == 1


def test_a_large_heatmap_has_a_colour_bar_instead():
    ax = heatmap(gaussian(9, 8))
    assert not ax.texts
    assert len(ax.figure.axes) == 2
    drawn(ax.figure)


def test_weights_are_coloured_from_zero_and_scores_symmetrically():
    assert heatmap(torch.tensor([[0.2, 0.8]])).images[0].get_clim() == pytest.approx((0.0, 0.8))
    assert heatmap(torch.tensor([[0.5, -2.0]])).images[0].get_clim() == (-2.0, 2.0)


MATRICES = {
    "zeros": torch.zeros(3, 4),
    "many zeros": torch.zeros(30, 40),
    "Boolean": torch.tensor([[True, False]]),
    "integers": torch.tensor([[1, 2], [3, 4]]),
    "bfloat16": gaussian(2, 3).to(torch.bfloat16),
    "with gradient": gaussian(2, 3).requires_grad_(),
    "NaN": torch.tensor([[1.0, math.nan]]),
    "masked scores": torch.tensor([[1.0, -math.inf], [0.5, 2.0]]),
    "one number": torch.ones(1, 1),
}


@pytest.mark.parametrize("matrix", MATRICES.values(), ids=MATRICES)
def test_a_heatmap_draws_any_matrix(matrix):
    drawn(heatmap(matrix).figure)


def test_every_figure_takes_axes_that_are_there():
    _, (first, second, third) = plt.subplots(1, 3)
    assert heatmap(torch.eye(2), ax=first) is first
    assert mask_plot(causal_mask(2, 3), ax=second) is second
    assert curves([1, 2], {"a": [1, 2]}, xlabel="n", ylabel="s", ax=third) is third
    assert len(plt.get_fignums()) == 1
    drawn(first.figure)


def test_a_mask_plot_has_labels_with_units_and_shows_the_mask():
    mask = causal_mask(4, 6)
    ax = mask_plot(mask, title="causal")
    assert isinstance(ax, Axes)
    assert ax.get_xlabel() == "key j (position)"
    assert ax.get_ylabel() == "query i (position)"
    assert ax.get_title() == "causal"
    assert ax.images[0].get_array().tolist() == mask.tolist()
    drawn(ax.figure)


def test_curves_are_labelled_at_their_ends():
    series = {"attention": [1.0, 4.0, 16.0], "linear": [1.0, 2.0, 4.0]}
    ax = curves([1, 2, 4], series, xlabel="length n (tokens)", ylabel="time (s)")
    assert isinstance(ax, Axes)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("length n (tokens)", "time (s)")
    assert [line.get_ydata().tolist() for line in ax.lines] == list(series.values())
    assert [text.get_text().strip() for text in ax.texts] == list(series)
    assert [text.xy for text in ax.texts] == [(4, 16.0), (4, 4.0)]
    assert len({line.get_color() for line in ax.lines}) == 2
    drawn(ax.figure)


def test_five_curves_are_all_drawn():
    series = {str(i): [i, i] for i in range(5)}
    ax = curves([1, 2], series, xlabel="x", ylabel="y")
    assert len(ax.lines) == len(ax.texts) == 5


def test_a_comparison_shows_expected_and_actual_on_one_scale_and_the_difference_on_its_own():
    actual, expected = gaussian(3, 5), gaussian(3, 5, seed=1)
    figure = comparison(actual, expected)
    assert isinstance(figure, Figure)
    panels = [ax for ax in figure.axes if ax.get_title()]
    assert [ax.get_title() for ax in panels] == ["expected", "yours", "yours − expected"]
    assert {(ax.get_xlabel(), ax.get_ylabel()) for ax in panels} == {("column", "row")}
    shown = [torch.tensor(ax.images[0].get_array().tolist()) for ax in panels]
    for found, matrix in zip(shown, (expected, actual, actual - expected), strict=True):
        torch.testing.assert_close(found, matrix.to(found.dtype))
    both = float(torch.cat([actual, expected]).abs().max())
    own = float((actual - expected).abs().max())
    bounds = [(-both, both), (-both, both), (-own, own)]
    assert [ax.images[0].get_clim() for ax in panels] == bounds
    drawn(figure)


@pytest.mark.parametrize(
    ("actual", "expected"),
    [
        (torch.zeros(3, 4), torch.zeros(3, 4)),
        (torch.full((3, 4), math.nan), torch.ones(3, 4)),
        (torch.full((3, 4), math.inf), torch.ones(3, 4)),
        (torch.full((3, 4), math.nan), torch.full((3, 4), math.nan)),
        (gaussian(3, 4).requires_grad_(), gaussian(3, 4)),
        (gaussian(3, 4).to(torch.bfloat16), gaussian(3, 4).to(torch.float32)),
    ],
    ids=["zeros", "NaN", "infinite", "all NaN", "with gradient", "two dtypes"],
)
def test_a_comparison_draws_whatever_a_learner_computed(actual, expected):
    drawn(comparison(actual, expected))


def test_a_comparison_as_png_leaves_no_figure_open():
    data = comparison_png(gaussian(3, 5), gaussian(3, 5, seed=1))
    assert data.startswith(b"\x89PNG\r\n")
    assert not plt.get_fignums()


POINTS = {"product": (4e9, 1e8, 8.0), "vector": (1e8, 2e8, 1.0), "same height": (1e8, 1e8, 1.0)}


def test_a_roofline_has_its_ridge_where_the_two_ceilings_meet():
    ax = roofline(POINTS, peak_flops=1e9, peak_bandwidth=5e8)
    roof = ax.lines[0]
    left, ridge, right = roof.get_xdata()
    assert ridge == 2.0
    assert list(roof.get_ydata()) == [left * 5e8, 1e9, 1e9]
    assert left < 0.5 < 40 < right
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    drawn(ax.figure)


def test_every_call_is_a_point_at_its_intensity_and_rate_with_its_name():
    ax = roofline(POINTS, peak_flops=1e9, peak_bandwidth=5e8)
    found = [(line.get_xdata()[0], line.get_ydata()[0]) for line in ax.lines[1:]]
    assert sorted(found) == [(0.5, 1e8), (1.0, 1e8), (40.0, 5e8)]
    assert {*POINTS, "matrix rate", "copy bandwidth"} == set(words(ax.texts))
    heights = [text.xyann[1] for text in ax.texts if text.get_text() in POINTS]
    assert min(b / a for a, b in zip(sorted(heights), sorted(heights)[1:], strict=False)) > 1.05


class Reader:
    """Two layers of three heads, which look at the token before, at the first, or at both."""

    def words(self, text):
        return text.split()

    def maps(self, text):
        n = len(self.words(text))
        before = torch.eye(n).roll(-1, dims=1)
        first = torch.eye(1, n).expand(n, n)
        half = (before + first) / 2
        return torch.stack([torch.stack([before, first, half])] * 2)


def test_a_map_has_the_words_on_both_axes_and_large_weights_written_in():
    ax = attention_map("it is too big", Reader(), 1, 1)
    assert words(ax.get_xticklabels()) == words(ax.get_yticklabels()) == ["it", "is", "too", "big"]
    assert ax.get_title() == "layer 1, head 1"
    assert words(ax.texts) == ["1.00"] * 4
    assert ax.images[0].get_clim() == (0.0, 1.0)
    drawn(ax.figure)


def test_a_map_of_many_words_writes_them_small():
    ax = attention_map(" ".join("abcdefghij"), Reader(), 0, 2)
    assert set(words(ax.texts)) == {".50", "1.00"}
    assert len(ax.figure.axes) == 1


def test_links_are_lines_from_each_query_to_its_keys():
    ax = attention_map("it is too big", Reader(), 0, 2, links=True)
    ends = sorted(tuple(line.get_ydata()) for line in ax.lines)
    assert ends == [(0, 0), (0, 3), (1, 0), (2, 0), (2, 1), (3, 0), (3, 2)]
    assert words(ax.texts)[:4] == ["it", "it", "is", "is"]
    drawn(ax.figure)


def test_an_overview_has_a_map_for_every_head():
    figure = map_overview("it is too big", Reader())
    assert [len(ax.images) for ax in figure.axes] == [1] * 6
    assert [ax.get_title() for ax in figure.axes[:3]] == ["0", "1", "2"]
    assert [ax.get_ylabel() for ax in figure.axes[::3]] == ["0", "1"]
    drawn(figure)


@pytest.mark.parametrize(("layer", "head"), [(2, 0), (0, 3), (-1, 0)])
def test_a_head_that_is_none_is_refused(layer, head):
    with pytest.raises(ValueError, match="layer must be from 0 to 1 and head from 0 to 2: got lay"):
        attention_map("it is", Reader(), layer, head)
