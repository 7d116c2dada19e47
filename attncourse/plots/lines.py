"""Curves over a length, and calls under a machine's ceilings."""

import math
from collections.abc import Sequence
from itertools import cycle
from typing import Any

import matplotlib.pyplot as plt

from attncourse.plots.style import ACCENT, INK, SECOND, THIRD, in_style


@in_style
def curves(
    x: Sequence[float],
    series: dict[str, Sequence[float]],
    *,
    xlabel: str,
    ylabel: str,
    ax: Any = None,
) -> Any:
    """Draw named curves over x, each labelled at its right end; returns the axes."""
    ax = ax or plt.subplots(figsize=(4.8, 3.2))[1]
    for (name, y), colour in zip(series.items(), (ACCENT, SECOND, THIRD, INK) * 4, strict=False):
        ax.plot(x, y, color=colour, marker="o", markersize=4)
        ax.annotate(f" {name}", (x[-1], y[-1]), color=colour, va="center", annotation_clip=False)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    return ax


@in_style
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
    ax = ax or plt.subplots(figsize=(5.4, 3.8))[1]
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
    return ax


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
