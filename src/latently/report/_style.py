"""One look for all pictures: colours, sizes, and how a picture starts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Okabe and Ito (2008): told apart by the colour-blind too. Yellow is left out: pale on white.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#444444")
#: Petroff (2021), Accessible Color Sequences for Data Visualization: for more labels than seven.
MANY = (
    "#3F90DA", "#BD1F01", "#FFA90E", "#832DB6", "#94A4A2", "#A96B59", "#E76300", "#B9AC70",
    "#717581", "#92DADD",
)  # fmt: skip
MARKERS = ("o", "s", "^", "D")
BLUE, RED, GREEN = PALETTE[:3]
DARK, GREY, PALE = "#222222", "#666666", "#D9D9D9"

#: Inches and dots an inch: 1,200 pixels wide, at which the default sizes of text read well.
WIDTH, DPI = 8.0, 150


def new_figure(height: float, width: float = WIDTH) -> Figure:
    """Return an empty figure that belongs to no global state."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=DPI, layout="constrained")


def axes_of(ax: Axes | None, height: float = 5.0) -> tuple[Figure, Axes]:
    """Return the axes given and their figure, or new ones."""
    if ax is None:
        figure = new_figure(height)
        return figure, clean(figure.add_subplot())
    figure = ax.get_figure(root=True)  # type: ignore[assignment]
    return figure, clean(ax)


def clean(ax: Axes) -> Axes:
    """Take off the box and soften what is not data."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(GREY)
    ax.tick_params(which="both", colors=GREY, labelsize=9)
    return ax


def bare(ax: Axes) -> Axes:
    """Take off everything but the content, for images."""
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)
    return ax


def headline(ax: Axes, title: str, subtitle: str = "") -> None:
    """Say what is to be seen, at the left, and below it of what."""
    ax.set_title(title, loc="left", fontsize=12, fontweight="bold", pad=22 if subtitle else 8)
    if subtitle:
        ax.annotate(
            subtitle, (0, 1), (0, 6), xycoords="axes fraction", textcoords="offset points",
            fontsize=9.5, color=GREY, va="bottom",
        )  # fmt: skip


def halo() -> list[Any]:
    """Return path effects that keep text legible over data."""
    from matplotlib.patheffects import withStroke

    return [withStroke(linewidth=3, foreground="white")]
