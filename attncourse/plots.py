"""The few figures that chapters share, in one style."""

import io
import math
from collections.abc import Sequence
from itertools import cycle
from typing import Any

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

INK, ACCENT, SECOND, THIRD = "#1f2937", "#c2410c", "#1d4ed8", "#047857"


def heatmap(
    matrix: Tensor,
    *,
    title: str = "",
    rows: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    ax: Any = None,
) -> Any:
    """Draw a matrix (n, m) of weights or scores, one cell an entry; returns the axes.

    rows and columns are the labels of the queries and the keys; without them the axes carry
    their indices. Small matrices have their numbers written in.
    """
    ax = ax or plt.subplots(figsize=(1.2 + 0.5 * matrix.shape[1], 1.0 + 0.5 * matrix.shape[0]))[1]
    values = matrix.detach().to(torch.float64)
    signed = bool((values[values.isfinite()] < 0).any())
    bound = _largest(values)
    image = ax.imshow(
        values.numpy(),
        cmap="RdBu_r" if signed else "Blues",
        vmin=-bound if signed else 0.0,
        vmax=bound,
        aspect="auto",
    )
    _label(ax, "x", columns, matrix.shape[1], "key")
    _label(ax, "y", rows, matrix.shape[0], "query")
    ax.set_title(title)
    if values.numel() <= 64:
        _write_numbers(ax, values, bound)
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


def curves(
    x: Sequence[float],
    series: dict[str, Sequence[float]],
    *,
    xlabel: str,
    ylabel: str,
    ax: Any = None,
) -> Any:
    """Draw named curves over x, each labelled at its right end; returns the axes."""
    ax = ax or plt.subplots(figsize=(6.4, 3.6))[1]
    for (name, y), colour in zip(series.items(), (ACCENT, SECOND, THIRD, INK) * 4, strict=False):
        ax.plot(x, y, color=colour, marker="o", markersize=4)
        ax.annotate(f" {name}", (x[-1], y[-1]), color=colour, va="center", annotation_clip=False)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def roofline(
    points: dict[str, tuple[float, float, float]],
    *,
    peak_flops: float,
    peak_bandwidth: float,
    ax: Any = None,
) -> Any:
    """Draw calls under a machine's two ceilings; returns the axes.

    points give FLOPs, bytes moved and seconds of each call. Across lies the arithmetic intensity,
    FLOPs per byte; up, the rate reached. No point can lie above min(peak_flops, intensity *
    peak_bandwidth), and its distance from there is what the call wastes.
    Source: Williams, Waterman and Patterson 2009, section 3.
    """
    ax = ax or plt.subplots(figsize=(7.6, 4.4))[1]
    marks = {name: (work / moved, work / time) for name, (work, moved, time) in points.items()}
    ridge = peak_flops / peak_bandwidth
    across = [x for x, _ in marks.values()] + [ridge]
    left, right = min(across) / 2, max(across) * 2
    ax.plot(
        [left, ridge, right], [left * peak_bandwidth, peak_flops, peak_flops], color=INK, lw=1.5
    )
    ax.set(xscale="log", yscale="log", xlim=(left, right))
    ax.set(xlabel="FLOPs per byte of inputs and outputs", ylabel="FLOPs per second")
    ax.annotate("matrix rate", (right, peak_flops), xytext=(-4, 5), textcoords="offset points",
                ha="right", color=INK)  # fmt: skip
    ax.annotate("copy bandwidth", (left, left * peak_bandwidth), xytext=(10, 2),
                textcoords="offset points", rotation=0, color=INK)  # fmt: skip
    _name_points(ax, marks, right)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def comparison(actual: Tensor, expected: Tensor) -> Any:
    """Draw expected, actual and difference of two matrices side by side; returns the figure.

    The first two share a scale; the difference has its own, so that a small one is seen.
    """
    figure = Figure(figsize=(10, 2.6))  # not pyplot's: nothing to close, quick to draw
    axes = figure.subplots(1, 3, gridspec_kw={"left": 0.05, "right": 0.98, "bottom": 0.2})
    actual, expected = (x.detach().to(torch.float64) for x in (actual, expected))
    both = _largest(torch.stack([actual, expected]))
    panels = {"expected": (expected, both), "yours": (actual, both)}
    panels["yours - expected"] = actual - expected, _largest(actual - expected)
    for ax, (title, (matrix, bound)) in zip(axes, panels.items(), strict=True):
        image = ax.imshow(matrix.numpy(), cmap="RdBu_r", vmin=-bound, vmax=bound, aspect="auto")
        ax.set(title=title, xlabel="column", ylabel="row")
        figure.colorbar(image, ax=ax, pad=0.03)
    return figure


def _largest(values: Tensor) -> float:
    """The largest finite absolute value, 1 where there is none or all are zero."""
    finite = values[values.isfinite()]
    return float(finite.abs().max()) if finite.numel() and finite.any() else 1.0


def comparison_png(actual: Tensor, expected: Tensor) -> bytes:
    """The picture of `comparison` as a PNG."""
    data = io.BytesIO()
    comparison(actual, expected).savefig(data, format="png", dpi=80)
    return data.getvalue()


def _name_points(ax: Any, marks: dict[str, tuple[float, float]], right: float) -> None:
    """Points with their names in a column at the right, in the order of their heights."""
    low, high = (math.log(y) for y in ax.get_ylim())
    low = min([low, *(math.log(y) for _, y in marks.values())])
    gap, place = (high - low) / 18, -math.inf
    colours = cycle((ACCENT, SECOND, THIRD, INK))
    for name, (x, y) in sorted(marks.items(), key=lambda mark: mark[1][1]):
        colour, place = next(colours), max(math.log(y), place + gap)
        ax.plot([x], [y], "o", color=colour, markersize=5)
        ax.annotate(
            name,
            (x, y),
            xytext=(right * 1.15, math.exp(place)),
            color=colour,
            va="center",
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": colour, "lw": 0.5, "alpha": 0.6},
        )


def _label(ax: Any, axis: str, labels: Sequence[str] | None, count: int, noun: str) -> None:
    if labels is not None:
        getattr(ax, f"set_{axis}ticks")(range(count), labels)
    else:
        getattr(ax, f"{axis}axis").set_major_locator(MaxNLocator(integer=True))
    getattr(ax, f"set_{axis}label")(noun)


def _write_numbers(ax: Any, values: Tensor, bound: float) -> None:
    for i, row in enumerate(values.tolist()):
        for j, value in enumerate(row):
            dark = abs(value) > 0.6 * bound
            ax.text(j, i, f"{value:.2f}", ha="center", va="center", color="w" if dark else INK)
