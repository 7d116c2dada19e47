"""How figures are shown: in notebooks a light and a dark drawing, of which one is seen.

Importing `attncourse.plots` in a notebook draws all that follows in the course's style and shows
figures as SVG; the site's build makes its own dark drawings (``book/_ext/figures.py``).
"""

import base64
import html
import sys
from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure

from attncourse.plots.dark import darkened
from attncourse.plots.style import PAGE, use
from attncourse.plots.svg import ROW_OF_ITS_OWN, parts, size, svg

# Front ends say in their own ways that they are dark: JupyterLab, Colab, VS Code. Where none says
# so, and where styles are removed from outputs, the light drawing is shown, on a light ground.
_DARK = (
    '[data-jp-theme-light="false"]',
    'html[theme="dark"]',
    ".vscode-dark",
    ".vscode-high-contrast:not(.vscode-high-contrast-light)",
)
_SHOWN = ", ".join(f"{where} .attncourse-dark" for where in _DARK)
_GONE = ", ".join(f"{where} .attncourse-light" for where in _DARK)
_STYLE = (
    f"<style>{_SHOWN} {{ display: inline-block !important }} "
    f"{_GONE} {{ display: none !important }}</style>"
)
_ROW = "display:flex;flex-wrap:wrap;gap:1em 1.5em;align-items:center"


class Panels:
    """Several figures, each its own drawing, side by side where there is room."""

    def __init__(self, parts: Sequence[Any], *, title: str = "") -> None:
        self.parts, self.title = list(parts), title

    def __repr__(self) -> str:
        return f"<Figure size of {len(self.parts)} panels>"

    def _repr_mimebundle_(self, **options: Any) -> dict[str, str]:
        return bundle(self)


def panels(*figures: Any) -> Panels | None:
    """Show several figures, or the figures of axes, side by side, stacked on a narrow screen.

    Each is its own drawing, so that on a phone each has the phone's width. A notebook shows them
    here and now; elsewhere they are returned, to be saved with `svg`.
    """
    chosen = list(dict.fromkeys(getattr(figure, "figure", figure) for figure in figures))
    _close(chosen)
    return shown(Panels(chosen))


def shown(picture: Panels) -> Panels | None:
    """Show panels, where there is a notebook to show them in; else give them back."""
    if _kernel() is None:
        return picture
    from IPython.display import display

    display(picture)
    return None


def bundle(picture: Any) -> dict[str, str]:
    """What a notebook keeps of a figure, or of panels: words, one drawing, and both as a page."""
    drawing = svg(picture)
    _close([picture])
    return {
        "text/plain": repr(picture),
        "image/svg+xml": drawing,
        "text/html": as_html(drawing, described(picture)),
    }


def figure_html(picture: Any, alt: str) -> str:
    """A figure, or panels, for a notebook's output: light or dark, as the notebook is."""
    return as_html(svg(picture), alt)


def as_html(drawing: str, alt: str) -> str:
    """A drawing for a notebook's output, light or dark as the notebook is.

    Of several panels the group has the description, its parts have none.
    """
    found = parts(drawing)
    if len(found) == 1:
        return _STYLE + _both(drawing, alt)
    wide = ("", ' style="flex-basis:100%"')
    inside = "".join(
        f"<span{wide[ROW_OF_ITS_OWN in part]}>{_both(part, '')}</span>" for part in found
    )
    return f'{_STYLE}<div role="img" aria-label="{_quoted(alt)}" style="{_ROW}">{inside}</div>'


def _both(drawing: str, alt: str) -> str:
    """Both drawings, of which the style that stands before them shows one."""
    light = _image("light", drawing, alt, f"background:{PAGE};border-radius:4px")
    return light + _image("dark", darkened(drawing), alt, "display:none")


def _image(name: str, drawing: str, alt: str, style: str) -> str:
    pixels = round(size(drawing)[0] * 4 / 3)
    encoded = base64.b64encode(drawing.encode()).decode()
    return (
        f'<img class="attncourse-{name}" alt="{_quoted(alt)}" width="{pixels}" '
        f'style="max-width:100%;height:auto;{style}" src="data:image/svg+xml;base64,{encoded}">'
    )


def described(picture: Any) -> str:
    """What can be said of a figure without knowing what it is for: its titles and axes."""
    figures = getattr(picture, "parts", [picture])
    axes = [ax for figure in figures for ax in figure.axes]
    names = [[ax.get_title(), ax.get_xlabel(), ax.get_ylabel()] for ax in axes]
    told = dict.fromkeys("; ".join(filter(None, each)) for each in names)
    return f"Figure: {', '.join(filter(None, told))}".removesuffix(": ").replace("\n", " ")


def _quoted(text: str) -> str:
    return html.escape(text, quote=True)


def _close(figures: Sequence[Any]) -> None:
    """Let pyplot forget figures, so that no cell shows them once more at its end."""
    if pyplot := sys.modules.get("matplotlib.pyplot"):
        for figure in figures:
            if not isinstance(figure, Panels):
                pyplot.close(figure)


def _kernel() -> Any:
    """The shell of the notebook that this runs in; None elsewhere."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return shell if hasattr(shell, "kernel") else None


def install() -> None:
    """In a notebook: draw in the course's style, show figures as `bundle` gives them."""
    shell = _kernel()
    if shell is None:
        return
    import matplotlib.pyplot as plt

    plt.get_backend()  # chosen now, since choosing it brings settings of its own
    shell.display_formatter.mimebundle_formatter.for_type(Figure, _bundle)
    use()


def _bundle(figure: Figure, include: Any = None, exclude: Any = None) -> dict[str, str]:
    """A figure's bundle, in place of what the inline backend would draw besides."""
    for kind in ("image/png", "image/jpeg", "image/svg+xml"):
        _kernel().display_formatter.formatters[kind].pop(Figure, None)
    return bundle(figure)
