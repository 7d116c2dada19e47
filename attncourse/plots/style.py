"""What all figures share: colours, the style in which they are drawn, and their axes.

The colours of query, key, value, score and weight are the same in figures, formulas and prose
(``book/_static/roles.css`` has them as variables and classes). They are told apart by readers who
do not see red, green or blue, and as text on the page their contrast is 4.5 or more, in the light
drawing and in the dark one (`attncourse.plots.dark`).
"""

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ParamSpec, TypeVar

import matplotlib
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.rcsetup import cycler
from matplotlib.ticker import MaxNLocator
from torch import Tensor

QUERY, KEY, VALUE, SCORE, WEIGHT = "#2b4093", "#a45208", "#007a6e", "#8a36cc", "#691524"
INK, MUTED, ACCENT, SECOND, THIRD = "#1f2937", "#5b6472", "#c2410c", "#1d4ed8", "#064e3b"
PAGE = "#ffffff"  # the ground that figures are drawn for; in a file it is transparent
HIDDEN = "#e7ebf0"  # what a mask hides
TINT = 0.42

ROLES = {"query": QUERY, "key": KEY, "value": VALUE, "score": SCORE, "weight": WEIGHT}

# from the page to the colour, and from one colour through the page to the other
WEIGHTS = LinearSegmentedColormap.from_list("weights", [PAGE, "#dca0a6", "#a8475a", WEIGHT])
SCORES = LinearSegmentedColormap.from_list(
    "scores", ["#7a3a02", "#cf9350", PAGE, "#b987e2", "#5d1f94"]
)

STYLE: dict[str, Any] = {
    "figure.figsize": (4.8, 3.0),  # 460 pixels: a phone shows it at three quarters
    "figure.dpi": 100,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "savefig.bbox": "tight",
    "savefig.pad_inches": 0.04,
    "font.family": "DejaVu Sans",  # comes with matplotlib, so that all machines draw the same
    "font.size": 10.0,
    "mathtext.fontset": "dejavusans",
    "axes.titlesize": "medium",
    "axes.titleweight": "bold",
    "axes.labelsize": "medium",
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "lines.linewidth": 1.8,
    "lines.markersize": 5.0,
    "patch.edgecolor": INK,
    "boxplot.boxprops.color": INK,
    "hatch.color": MUTED,
    "grid.color": "#d5dae1",
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "image.interpolation": "none",  # a cell stays a cell, at any size
    "image.cmap": "Greys",
    "svg.fonttype": "path",
    "svg.hashsalt": "attncourse",
}
# what says where figures go, not how they look
_NOT_STYLE = (
    *("backend", "interactive", "toolbar", "timezone", "tk.", "webagg.", "macosx.", "keymap."),
    *("docstring.", "date.epoch", "savefig.directory", "figure.max_open_warning"),
)

P = ParamSpec("P")
R = TypeVar("R")


@functools.cache
def settings() -> Any:
    """All that decides how a figure looks: matplotlib's own defaults, and over them the style."""
    own = {k: v for k, v in matplotlib.rcParamsDefault.items() if not k.startswith(_NOT_STYLE)}
    colours = (ACCENT, SECOND, THIRD, SCORE, MUTED, INK)
    return own | STYLE | {"axes.prop_cycle": cycler(color=colours)}


@contextlib.contextmanager
def styled() -> Iterator[None]:
    """Draw in the course's style while this lasts, whatever a ``matplotlibrc`` says."""
    with matplotlib.rc_context(settings()):
        yield


def in_style(draw: Callable[P, R]) -> Callable[P, R]:
    """A function that draws, in the course's style."""

    @functools.wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> R:
        with styled():
            return draw(*args, **kwargs)

    return drawn


def use() -> None:
    """Draw all that follows in the course's style; notebooks do, when they import the plots."""
    matplotlib.rcParams.update(settings())


def shades(colour: str) -> LinearSegmentedColormap:
    """From the page to the colour; up to `TINT` of the way, text in `INK` can be read on it."""
    return LinearSegmentedColormap.from_list(colour, [PAGE, colour])


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
