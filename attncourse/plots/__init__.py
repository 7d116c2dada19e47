"""The figures that chapters share, in one style, each drawn for light and for dark pages."""

from attncourse.plots.lines import curves, roofline
from attncourse.plots.maps import attention_map, link_map, map_overview
from attncourse.plots.matrices import (
    comparison,
    comparison_html,
    comparison_png,
    heatmap,
    mask_plot,
)
from attncourse.plots.showing import figure_html, install, panels
from attncourse.plots.strips import Step, strip
from attncourse.plots.style import (
    ACCENT,
    INK,
    KEY,
    MUTED,
    QUERY,
    SCORE,
    SECOND,
    THIRD,
    VALUE,
    WEIGHT,
)

__all__ = [
    "ACCENT",
    "INK",
    "KEY",
    "MUTED",
    "QUERY",
    "SCORE",
    "SECOND",
    "THIRD",
    "VALUE",
    "WEIGHT",
    "Step",
    "attention_map",
    "comparison",
    "comparison_html",
    "comparison_png",
    "curves",
    "figure_html",
    "heatmap",
    "link_map",
    "map_overview",
    "mask_plot",
    "panels",
    "roofline",
    "strip",
]

install()
