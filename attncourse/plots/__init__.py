"""The few figures that chapters share, in one style."""

from attncourse.plots.lines import curves, roofline
from attncourse.plots.maps import attention_map, link_map, map_overview
from attncourse.plots.matrices import comparison, comparison_png, heatmap, mask_plot
from attncourse.plots.style import ACCENT, INK, SECOND, THIRD

__all__ = [
    "ACCENT",
    "INK",
    "SECOND",
    "THIRD",
    "attention_map",
    "comparison",
    "comparison_png",
    "curves",
    "heatmap",
    "link_map",
    "map_overview",
    "mask_plot",
    "roofline",
]
