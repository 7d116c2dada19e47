"""A strip of matrices with the numbers in them: a computation, step by step."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from attncourse.plots.showing import Panels
from attncourse.plots.showing import shown as on_screen
from attncourse.plots.style import (
    INK,
    KEY,
    MUTED,
    PAGE,
    QUERY,
    SCORE,
    TINT,
    VALUE,
    WEIGHT,
    in_style,
    largest,
    shades,
)

CELL = 0.42  # inches
SIGNS = {"times": "×", "plus": "+", "minus": "−", "gives": "→"}
LETTERS = {QUERY: "nd", KEY: "md", VALUE: "me", SCORE: "nm", WEIGHT: "nm"}


@dataclass(frozen=True)
class Step:
    """One matrix of a strip: its name, its numbers, the colour of its role, names of rows, columns.

    A matrix of one axis is drawn as a row.
    """

    name: str
    matrix: Tensor
    role: str = INK
    rows: Sequence[str] | None = None
    columns: Sequence[str] | None = None


@in_style
def strip(steps: Sequence[Step], *, between: Sequence[str] = (), title: str = "") -> Panels | None:
    """Show matrices in a row with the numbers in them, each in the colour of its role.

    between[i] is the sign or the word between step i and the next: "times", "=", "softmax". Below
    a matrix stands its size, by the letters of its role: n queries, m keys, d and e the widths of
    keys and values. On a narrow screen the steps stack.

    Raises ValueError where the signs are not one fewer than the steps.
    """
    if between and len(between) != len(steps) - 1:
        raise ValueError(
            "a strip has one sign between each two steps: got "
            f"{len(between)} signs for {len(steps)} steps"
        )
    signs = ["", *(between or [""] * (len(steps) - 1))]
    figures = [drawn_step(step, sign) for step, sign in zip(steps, signs, strict=True)]
    return on_screen(Panels(figures, title=title))


def drawn_step(step: Step, sign: str = "") -> Figure:
    """One matrix with the sign before it."""
    values = step.matrix.detach().to(torch.float64)
    values = values.reshape(-1, values.shape[-1]) if values.dim() else values.reshape(1, 1)
    count, width = values.shape
    figure = Figure(figsize=(CELL * width, CELL * count))
    ax: Any = figure.add_axes((0, 0, 1, 1))
    image = (values.abs() / largest(values)).nan_to_num(0.0, 0.0, 0.0)
    shown = image.flip(0).mul(TINT).numpy()
    colours = {"cmap": shades(step.role), "vmin": 0, "vmax": 1}
    ax.pcolormesh(shown, edgecolors=PAGE, linewidth=2, **colours)
    ax.set(xlim=(0, width), ylim=(0, count), xticks=[], yticks=[])
    ax.spines[:].set_visible(True)
    ax.spines[:].set(color=step.role, linewidth=1.4)
    for i, row in enumerate(values.tolist()):
        for j, value in enumerate(row):
            at = (j + 0.5, count - i - 0.5)
            ax.text(*at, written(value), ha="center", va="center", fontsize=9)
    _name(ax, step, count, width)
    if sign:
        _write_sign(ax, SIGNS.get(sign, sign), step, count)
    return figure


def written(value: float) -> str:
    """A number as a cell holds it: two decimals at most, none that say nothing.

    >>> [written(x) for x in (1.0, 0.5, -0.125, float("-inf"))]
    ['1', '0.5', '−0.12', '−∞']
    """
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "−∞" if value < 0 else "∞"
    shown = f"{value:.2f}".rstrip("0").rstrip(".")
    return shown.replace("-0", "0") if shown == "-0" else shown.replace("-", "−")


def _name(ax: Any, step: Step, count: int, width: int) -> None:
    """The name above, the names of rows and columns beside, the size below."""
    ax.set_title(step.name, color=step.role, pad=6)
    if step.columns is not None:
        long = any(len(word) > 4 for word in step.columns)
        ax.set_xticks([j + 0.5 for j in range(width)], step.columns, rotation=90 if long else 0)
    if step.rows is not None:
        ax.set_yticks([count - i - 0.5 for i in range(count)], step.rows)
    ax.tick_params(length=0, pad=3, labelsize=9)
    letters = LETTERS.get(step.role)
    if letters and step.name.rstrip("$ ").endswith(("ᵀ", "^T", "^{T}", "^\\top", "^{\\top}")):
        letters = letters[::-1]
    sizes = f"{letters[0]} = {count}, {letters[1]} = {width}" if letters else f"{count} × {width}"
    ax.set_xlabel(sizes, color=MUTED, fontsize=8.5, labelpad=3)


def _write_sign(ax: Any, sign: str, step: Step, count: int) -> None:
    """The sign left of the matrix and of the names of its rows, a word above an arrow."""
    word = len(sign) > 2
    names = max((len(name) for name in step.rows or ()), default=0)
    ax.annotate(
        f"{sign}\n→" if word else sign,
        (0, count / 2),
        xytext=(-12 - 6 * names, 0),
        textcoords="offset points",
        ha="right",
        va="center",
        multialignment="center",
        fontsize=10 if word else 14,
        linespacing=1.0,
    )
