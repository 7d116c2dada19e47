"""Matrices: weights and scores, masks, and an answer beside what was expected."""

import io
import math
from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import torch
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from torch import Tensor

from attncourse.plots.showing import figure_html
from attncourse.plots.style import (
    HIDDEN,
    INK,
    MUTED,
    PAGE,
    SCORES,
    SECOND,
    WEIGHTS,
    in_style,
    label,
    largest,
)

SMALL = 64  # entries, up to which a matrix has its numbers written in


@in_style
def heatmap(
    matrix: Tensor,
    *,
    title: str = "",
    rows: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    numbers: float | None = None,
    ax: Any = None,
) -> Any:
    """Draw a matrix (n, m) of weights or scores, one cell an entry; returns the axes.

    rows and columns are the labels of the queries and the keys; without them the axes carry
    their indices. Small matrices have their numbers written in, others have a colour bar;
    `numbers` writes in those that are at least so large, and no others.
    """
    values = matrix.detach().to(torch.float64)
    cell = 0.5 if values.numel() <= SMALL else min(0.5, 4.0 / max(values.shape))  # inches
    ax = ax or plt.subplots(figsize=(1.2 + cell * values.shape[1], 1.0 + cell * values.shape[0]))[1]
    signed = bool((values[values.isfinite()] < 0).any())
    bound = largest(values)
    image = ax.imshow(
        values.numpy(),
        cmap=SCORES if signed else WEIGHTS,
        vmin=-bound if signed else 0.0,
        vmax=bound,
        aspect="auto",
    )
    frame(ax)
    label(ax, "x", columns, matrix.shape[1], "key")
    label(ax, "y", rows, matrix.shape[0], "query")
    ax.set_title(title)
    if numbers is not None or values.numel() <= SMALL:
        _write_numbers(ax, values, bound, -math.inf if numbers is None else numbers)
    else:
        colour_bar(ax, image)
    return ax


@in_style
def mask_plot(mask: Tensor, *, title: str = "", ax: Any = None) -> Any:
    """Draw a Boolean mask (n, m): a dark cell where the query may attend to the key."""
    ax = ax or plt.subplots(figsize=(1.0 + 0.35 * mask.shape[1], 0.8 + 0.35 * mask.shape[0]))[1]
    ax.imshow(mask.numpy(), cmap=ListedColormap([HIDDEN, SECOND]), vmin=0, vmax=1)
    ax.set_xticks(torch.arange(mask.shape[1]).sub(0.5).tolist(), minor=True)
    ax.set_yticks(torch.arange(mask.shape[0]).sub(0.5).tolist(), minor=True)
    ax.grid(which="minor", color=PAGE, linewidth=1.5)
    ax.tick_params(which="minor", length=0)
    ax.spines[:].set_visible(False)
    ax.set(xlabel="key j (position)", ylabel="query i (position)", title=title)
    return ax


@in_style
def comparison(actual: Tensor, expected: Tensor, *, mask: Tensor | None = None) -> Any:
    """Draw expected, actual and difference of two matrices side by side; returns the figure.

    The first two share a scale, from zero where nothing is negative (weights); the difference has
    its own, so that a small one is seen. What the mask (n, m) hides is hatched in all three.
    """
    figure = Figure(figsize=(9.6, 2.7))  # not pyplot's: nothing to close, quick to draw
    axes = figure.subplots(1, 3, gridspec_kw={"left": 0.05, "right": 0.98, "bottom": 0.2})
    actual, expected = (x.detach().to(torch.float64) for x in (actual, expected))
    pair = torch.stack([actual, expected])
    both, signed = largest(pair), bool((pair < 0).any())
    own = largest(actual - expected)
    first = {"cmap": SCORES if signed else WEIGHTS, "vmin": -both if signed else 0.0, "vmax": both}
    panels = {"expected": (expected, first), "yours": (actual, first)}
    panels["yours - expected"] = actual - expected, {"cmap": SCORES, "vmin": -own, "vmax": own}
    for ax, (title, (matrix, scale)) in zip(axes, panels.items(), strict=True):
        image = ax.imshow(matrix.numpy(), aspect="auto", **scale)
        ax.set(title=title.replace("-", "−"), xlabel="column", ylabel="row")
        frame(ax)
        if mask is not None and mask.shape == matrix.shape:
            hatch(ax, ~mask)
        colour_bar(ax, image, pad=0.03)
    return figure


def comparison_html(
    actual: Tensor, expected: Tensor, *, mask: Tensor | None = None, alt: str = ""
) -> str:
    """The picture of `comparison` for a notebook's output, light or dark as the notebook is."""
    return figure_html(comparison(actual, expected, mask=mask), alt)


def comparison_png(actual: Tensor, expected: Tensor) -> bytes:
    """The picture of `comparison` as a PNG."""
    data = io.BytesIO()
    comparison(actual, expected).savefig(data, format="png", dpi=80, facecolor=PAGE)
    return data.getvalue()


def frame(ax: Any) -> None:
    """A thin line around a matrix, in place of axes on two sides."""
    ax.spines[:].set_visible(True)
    ax.spines[:].set(color=MUTED, linewidth=0.6)


def colour_bar(ax: Any, image: Any, **place: Any) -> None:
    """The scale of colours beside a matrix, in steps that are drawn as shapes."""
    bar = ax.figure.colorbar(image, ax=ax, **place)
    bar.solids.remove()  # a picture of 256 steps
    low, high = image.get_clim()
    steps = torch.linspace(low, high, 64, dtype=torch.float64)[:, None].numpy()
    bar.ax.imshow(steps, cmap=image.cmap, extent=(0, 1, low, high), origin="lower", aspect="auto")
    bar.outline.set_visible(False)


def hatch(ax: Any, hidden: Tensor) -> None:
    """Hatch the cells that are hidden from the query of their row."""
    edges = [torch.arange(size + 1).sub(0.5).numpy() for size in reversed(hidden.shape)]
    shown = torch.where(hidden, 1.0, math.nan).numpy()
    ax.pcolor(*edges, shown, hatch="////", facecolor=HIDDEN, edgecolor=MUTED, linewidth=0)


def _write_numbers(ax: Any, values: Tensor, bound: float, least: float) -> None:
    """Write the entries from `least` on; those of a large matrix small."""
    small = values.numel() <= SMALL
    for i, row in enumerate(values.tolist()):
        for j, value in enumerate(row):
            if not value < least:
                style = {"color": PAGE if abs(value) > 0.6 * bound else INK, "fontsize": 9}
                text = f"{value:.2f}".replace("-", "−")
                if not small:
                    text, style["fontsize"] = text.removeprefix("0"), 7.5
                ax.text(j, i, text, ha="center", va="center", **style)
