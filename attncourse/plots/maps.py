"""Attention maps of a model, with the words of the sentence on both axes."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import matplotlib.pyplot as plt
import numpy as np
from torch import Tensor

from attncourse.plots.matrices import frame, heatmap
from attncourse.plots.style import INK, KEY, QUERY, WEIGHT, WEIGHTS, in_style

FAINT = 0.05  # weights below are not drawn as lines
LARGE = 0.3  # weights above have their numbers written in


@runtime_checkable
class Reader(Protocol):
    """A model that can show its weights: `SmolLM` or `MiniLM`."""

    def maps(self, text: str) -> Tensor:
        """The weights (layers, h, n, n)."""
        ...

    def words(self, text: str) -> list[str]:
        """A label for each of the n tokens."""
        ...


def attention_map(
    sentence: str, model: Reader, layer: int, head: int, *, links: bool = False, ax: Any = None
) -> Any:
    """Draw what one head of a model attends to in a sentence, words on both axes; returns the axes.

    Layers and heads count from 0. A row is a query and sums to one; weights above 0.3 are written
    in. With `links`, the sentence stands left and right, and lines lead from each query to the
    words it attends to (`link_map`).

    Raises ValueError for a layer or head that the model does not have.
    """
    weights = _of_head(model.maps(sentence), layer, head)
    title, words = f"layer {layer}, head {head}", model.words(sentence)
    if links:
        return link_map(weights, words, title=title, ax=ax)
    return word_map(weights, words, title=title, ax=ax)


@in_style
def word_map(weights: Tensor, words: Sequence[str], *, title: str = "", ax: Any = None) -> Any:
    """Draw weights (n, n) as a matrix with the words of its tokens on both axes."""
    side = 1.2 + 0.27 * len(words)
    ax = ax or plt.subplots(figsize=(side, side))[1]
    heatmap(weights, title=title, rows=words, columns=words, ax=ax, numbers=LARGE)
    ax.images[0].set_clim(0.0, 1.0)
    ax.tick_params(axis="x", labelrotation=90)
    ax.tick_params(length=2, pad=2, labelsize=9)
    ax.set_aspect("equal")
    return ax


@in_style
def link_map(weights: Tensor, words: Sequence[str], *, title: str = "", ax: Any = None) -> Any:
    """Draw weights (n, n) as lines from each query on the left to the keys on the right.

    A line is as strong as its weight; those under 0.05 are left out.
    """
    ax = ax or plt.subplots(figsize=(3.6, 0.9 + 0.26 * len(words)))[1]
    for i, row in enumerate(weights.tolist()):
        for j, weight in enumerate(row):
            if weight >= FAINT:
                ax.plot([0, 1], [i, j], color=WEIGHT, alpha=min(1.0, weight), lw=0.5 + 2.5 * weight)
    for i, word in enumerate(words):
        ax.text(-0.04, i, word, ha="right", va="center", color=INK)
        ax.text(1.04, i, word, ha="left", va="center", color=INK)
    ax.set(xlim=(-0.6, 1.6), ylim=(len(words) - 0.5, -1.5), title=title)
    for x, side, name, colour in ((-0.04, "right", "query", QUERY), (1.04, "left", "key", KEY)):
        ax.text(x, -1, name, ha=side, va="center", color=colour, weight="bold")
    ax.axis("off")
    return ax


@in_style
def map_overview(sentence: str, model: Reader, *, figure: Any = None) -> Any:
    """Draw the maps of all heads of a model side by side, a row a layer; returns the figure.

    No words: what is to be seen here is the form. `attention_map` draws one of them with words.
    """
    maps = model.maps(sentence)
    layers, h = maps.shape[:2]
    width, height = 0.62 * h + 0.6, 0.62 * layers + 0.8  # inches, of which 0.6 left, 0.4 below
    figure = figure or plt.figure(figsize=(width, height))
    space = {"left": 0.6 / width, "right": 0.99, "bottom": 0.4 / height, "top": 1 - 0.4 / height}
    axes = figure.subplots(layers, h, squeeze=False, gridspec_kw=space | {"wspace": 0.1})
    for (layer, head), ax in np.ndenumerate(axes):
        ax.imshow(
            maps[layer, head].numpy(),
            cmap=WEIGHTS.resampled(32),
            vmin=0.0,
            vmax=1.0,
            aspect="equal",
        )
        ax.set(xticks=[], yticks=[])
        frame(ax)
    for layer, ax in enumerate(axes[:, 0]):
        ax.set_ylabel(str(layer), rotation=0, ha="right", va="center")
    for head, ax in enumerate(axes[0]):
        ax.set_title(str(head), fontsize="medium")
    figure.supxlabel("head (in each map, keys across and queries down)", fontsize="medium", y=0)
    figure.supylabel("layer", fontsize="medium", x=0)
    return figure


def _of_head(maps: Tensor, layer: int, head: int) -> Tensor:
    layers, h = maps.shape[:2]
    if not (0 <= layer < layers and 0 <= head < h):
        raise ValueError(
            f"layer must be from 0 to {layers - 1} and head from 0 to {h - 1}"
            f": got layer={layer} and head={head}"
        )
    return maps[layer, head]
