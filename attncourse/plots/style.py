"""Colours that all figures share, and what more than one of them does."""

from collections.abc import Sequence
from typing import Any

from matplotlib.ticker import MaxNLocator
from torch import Tensor

INK, ACCENT, SECOND, THIRD = "#1f2937", "#c2410c", "#1d4ed8", "#047857"


def largest(values: Tensor) -> float:
    """The largest finite absolute value, 1 where there is none or all are zero."""
    finite = values[values.isfinite()]
    return float(finite.abs().max()) if finite.numel() and finite.any() else 1.0


def label(ax: Any, axis: str, labels: Sequence[str] | None, count: int, noun: str) -> None:
    """Name an axis, and its positions where there are names for them."""
    if labels is not None:
        getattr(ax, f"set_{axis}ticks")(range(count), labels)
    else:
        getattr(ax, f"{axis}axis").set_major_locator(MaxNLocator(integer=True))
    getattr(ax, f"set_{axis}label")(noun)
