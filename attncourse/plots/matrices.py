"""Matrices: weights and scores, masks, and an answer beside what was expected."""

import io
import math
from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure
from torch import Tensor

from attncourse.plots.style import INK, label, largest


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
    ax = ax or plt.subplots(figsize=(1.2 + 0.5 * matrix.shape[1], 1.0 + 0.5 * matrix.shape[0]))[1]
    values = matrix.detach().to(torch.float64)
    signed = bool((values[values.isfinite()] < 0).any())
    bound = largest(values)
    image = ax.imshow(
        values.numpy(),
        cmap="RdBu_r" if signed else "Blues",
        vmin=-bound if signed else 0.0,
        vmax=bound,
        aspect="auto",
    )
    label(ax, "x", columns, matrix.shape[1], "key")
    label(ax, "y", rows, matrix.shape[0], "query")
    ax.set_title(title)
    if numbers is not None or values.numel() <= 64:
        _write_numbers(ax, values, bound, -math.inf if numbers is None else numbers)
    else:
        ax.figure.colorbar(image, ax=ax)
    return ax


def mask_plot(mask: Tensor, *, title: str = "", ax: Any = None) -> Any:
    """Draw a Boolean mask (n, m): a dark cell where the query may attend to the key."""
    ax = ax or plt.subplots(figsize=(1.0 + 0.35 * mask.shape[1], 0.8 + 0.35 * mask.shape[0]))[1]
    ax.imshow(mask.numpy(), cmap="Blues", vmin=0, vmax=1.4)
    ax.set_xticks(torch.arange(mask.shape[1]).sub(0.5).tolist(), minor=True)
    ax.set_yticks(torch.arange(mask.shape[0]).sub(0.5).tolist(), minor=True)
    ax.grid(which="minor", color="white", linewidth=1.5)
    ax.tick_params(which="minor", length=0)
    ax.set(xlabel="key j (position)", ylabel="query i (position)", title=title)
    return ax


def comparison(actual: Tensor, expected: Tensor) -> Any:
    """Draw expected, actual and difference of two matrices side by side; returns the figure.

    The first two share a scale; the difference has its own, so that a small one is seen.
    """
    figure = Figure(figsize=(10, 2.6))  # not pyplot's: nothing to close, quick to draw
    axes = figure.subplots(1, 3, gridspec_kw={"left": 0.05, "right": 0.98, "bottom": 0.2})
    actual, expected = (x.detach().to(torch.float64) for x in (actual, expected))
    both = largest(torch.stack([actual, expected]))
    panels = {"expected": (expected, both), "yours": (actual, both)}
    panels["yours - expected"] = actual - expected, largest(actual - expected)
    for ax, (title, (matrix, bound)) in zip(axes, panels.items(), strict=True):
        image = ax.imshow(matrix.numpy(), cmap="RdBu_r", vmin=-bound, vmax=bound, aspect="auto")
        ax.set(title=title, xlabel="column", ylabel="row")
        figure.colorbar(image, ax=ax, pad=0.03)
    return figure


def comparison_png(actual: Tensor, expected: Tensor) -> bytes:
    """The picture of `comparison` as a PNG."""
    data = io.BytesIO()
    comparison(actual, expected).savefig(data, format="png", dpi=80)
    return data.getvalue()


def _write_numbers(ax: Any, values: Tensor, bound: float, least: float) -> None:
    """Write the entries from `least` on; those of a large matrix small."""
    small = values.numel() <= 64
    for i, row in enumerate(values.tolist()):
        for j, value in enumerate(row):
            if not value < least:
                colour = "w" if abs(value) > 0.6 * bound else INK
                text = f"{value:.2f}" if small else f"{value:.2f}".removeprefix("0")
                size = None if small else "x-small"
                ax.text(j, i, text, ha="center", va="center", color=colour, fontsize=size)
