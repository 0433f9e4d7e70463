"""Common style of all plots: colours, sizes, titles and new figures."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from latently.exceptions import ParameterError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

#: Okabe and Ito (2008), safe for colour-blind readers. Without yellow, which is pale on white.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#444444")
#: Petroff (2021), Accessible Color Sequences for Data Visualization: for more labels than seven.
MANY = (
    "#3F90DA", "#BD1F01", "#FFA90E", "#832DB6", "#94A4A2", "#A96B59", "#E76300", "#B9AC70",
    "#717581", "#92DADD",
)  # fmt: skip
MARKERS = ("o", "s", "^", "D")
BLUE, RED, GREEN = PALETTE[:3]
DARK, GREY, PALE = "#222222", "#666666", "#D9D9D9"
#: Colour of missing pixels.
GAP = "#9CD3F0"

#: Width in inches and dots per inch. The default text sizes are legible at 1,200 pixels.
WIDTH, DPI = 8.0, 150
#: Points of the title and of the line below, and the inches that a letter of each takes.
_TITLE, _NOTE = 12.0, 9.5
_TITLE_LETTER, _NOTE_LETTER = 0.103, 0.075
#: Fraction of a figure's width that its only axes have next to a colour bar.
_ALONE = 0.76
#: Inches of a line of small text.
_LINE = 0.15
#: Letters of a name in a picture.
_NAME_LENGTH = 24


def new_figure(height: float, width: float = WIDTH) -> Figure:
    """Return an empty figure that belongs to no global state."""
    from latently.report._figure import ShownFigure

    return ShownFigure(figsize=(width, height), dpi=DPI, layout="constrained")


def axes_of(ax: Axes | None, height: float = 5.0) -> tuple[Figure, Axes]:
    """Return the axes given and their figure, or new ones."""
    if ax is None:
        figure = new_figure(height)
        return figure, clean(figure.add_subplot())
    figure = ax.get_figure(root=True)  # type: ignore[assignment]
    return figure, clean(ax)


def place_of(ax: Axes | None, height: float) -> tuple[Figure, Figure | SubFigure]:
    """Return a figure, and the part of it for a picture of several axes.

    Parameters
    ----------
    ax : matplotlib Axes or None
        Axes of a grid, replaced by the plot and removed. None creates a new figure.
    height : float
        Height of a new figure, in inches.

    Returns
    -------
    tuple of Figure and Figure or SubFigure
        The figure, and where to add axes.

    Raises
    ------
    ParameterError
        If the axes are not of a grid.
    """
    if ax is None:
        figure = new_figure(height)
        return figure, figure
    spec, parent = ax.get_subplotspec(), ax.get_figure(root=False)
    if spec is None or parent is None:
        raise ParameterError(
            "ax must be axes of a grid, because this picture needs several axes, got axes at a "
            "position of their own. Make them with plt.subplots."
        )
    figure = ax.get_figure(root=True)  # type: ignore[assignment]
    ax.remove()
    return figure, parent.add_subfigure(spec)


def lines_in(place: Axes | Figure | SubFigure, around: float) -> int:
    """Return how many lines of text have room, less the inches around them."""
    root = place.get_figure(root=True)
    dpi = place.dpi if root is None else root.dpi  # type: ignore[union-attr]
    return max(int((place.bbox.height / dpi - around) / _LINE), 1)


def clean(ax: Axes) -> Axes:
    """Remove the frame of the axes and lighten everything except the data."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(GREY)
    ax.tick_params(which="both", colors=GREY, labelsize=9)
    return ax


def bare(ax: Axes) -> Axes:
    """Remove ticks and frame, for images."""
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)
    return ax


def headline(ax: Axes, title: str, subtitle: str = "") -> None:
    """Write a title at the left, and a line in grey below it, both no wider than the axes."""
    width = _width(ax)
    note = _wrapped(subtitle, width, _NOTE_LETTER)
    pad = 8 + 1.45 * _NOTE * len(note.splitlines())
    words = _wrapped(title, width, _TITLE_LETTER)
    ax.set_title(words, loc="left", fontsize=_TITLE, fontweight="bold", pad=pad)
    if note:
        ax.annotate(
            note, (0, 1), (0, 6), xycoords="axes fraction", textcoords="offset points",
            fontsize=_NOTE, color=GREY, va="bottom",
        )  # fmt: skip


def _width(ax: Axes) -> float:
    """Return the inches that axes have for their title, before they are laid out."""
    figure = ax.get_figure(root=True)
    assert figure is not None  # axes that are drawn into have one
    spec = ax.get_subplotspec()
    is_alone = spec is not None and spec.get_gridspec().get_geometry() == (1, 1)
    return max(ax.bbox.width / figure.dpi, _ALONE * figure.get_figwidth() if is_alone else 0.0)


def headline_of_all(place: Figure | SubFigure, title: str, note: str = "") -> None:
    """Write a title above several axes, and a note in grey below them."""
    width = place.bbox.width / place.dpi
    words = _wrapped(title, width, _TITLE_LETTER)
    place.suptitle(words, x=0.01, ha="left", fontsize=_TITLE, fontweight="bold")
    if note:
        words = _wrapped(note, width, _NOTE_LETTER)
        place.supxlabel(words, x=0.01, ha="left", fontsize=_NOTE, color=GREY)


def _wrapped(words: str, width: float, letter: float) -> str:
    return textwrap.fill(words, max(int(0.96 * width / letter), 12))


def shorten(words: Any, length: int = _NAME_LENGTH) -> str:
    """Return a text, without its middle if it is long, because names often differ at their ends."""
    text = " ".join(str(words).split())
    if len(text) <= length:
        return text
    head = (2 * length) // 3 - 1
    return f"{text[:head].rstrip()}\N{HORIZONTAL ELLIPSIS}{text[head + 1 - length :].lstrip()}"


def shorten_all(names: Sequence[str], length: int = _NAME_LENGTH) -> list[str]:
    """Return distinct short names, without their common prefix or with their position in front."""
    short = [shorten(name, length) for name in names]
    if len(set(short)) == len(set(names)):
        return short
    columns = zip(*names, strict=False)
    n_shared = sum(1 for _ in takewhile(lambda letters: len(set(letters)) == 1, columns))
    shared = re.sub(r"[^\W_]+$", "", names[0][:n_shared])  # whole words
    ellipsis = "\N{HORIZONTAL ELLIPSIS}" if shared else ""
    short = [shorten(f"{ellipsis}{name[len(shared) :]}", length) for name in names]
    if len(set(short)) == len(set(names)):
        return short
    return [f"{place}: {shorten(name, length - 4)}" for place, name in enumerate(names)]


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural where there is not one."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def and_more(number: int, noun: str) -> str:
    """Return the note on items that a plot does not show, such as "and 3 more columns"."""
    return f"and {number:,} more {noun if number == 1 else f'{noun}s'}" if number > 0 else ""


def halo() -> list[Any]:
    """Return path effects that keep text legible over data."""
    from matplotlib.patheffects import withStroke

    return [withStroke(linewidth=3, foreground="white")]
