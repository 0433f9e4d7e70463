"""Plots of the reasons why rows were flagged."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from latently.exceptions import DataError
from latently.report._scale import Scale, number_words
from latently.report._style import (
    BLUE,
    DARK,
    GREY,
    PALETTE,
    and_more,
    axes_of,
    bare,
    headline,
    headline_of_all,
    lines_in,
    place_of,
    shorten,
    shorten_all,
)
from latently.tasks import Explanation, ImageExplanation, Reason

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Most rows, and images, of one picture, and images side by side.
_MAX_ROWS, _MAX_IMAGES, _ACROSS = 12, 16, 8
_MAX_TEXT, _MAX_LABEL = 76, 20
#: Smallest ratio of the largest to the smallest contribution at which the axis is logarithmic.
_LOG_FROM = 50.0
#: Fraction of the width used for bars. Text uses the rest.
_BARS = 0.34

#: The label of a row in its first line, and one reason. None if no column stands out.
_Line = tuple[str, Reason | None]


def plot_explanation(
    explanation: Explanation | ImageExplanation,
    *,
    rows: Sequence[Any] | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Plot the contribution of the most anomalous columns to each flagged row, with their values.

    Parameters
    ----------
    explanation : Explanation or ImageExplanation
        Explanation returned by ``AnomalyDetector.explain``.
    rows : sequence or None, default=None
        Names of the rows. None uses the index of the frame, or the row numbers.
    ax : matplotlib Axes or None, default=None
        Axes to draw on. Heat maps of images replace axes of a grid. None creates a new figure.

    Returns
    -------
    Figure
        The twelve rows of the highest anomaly scores, a bar a reason, on a logarithmic axis where
        blames differ widely. Of images, sixteen heat maps.

    Raises
    ------
    DataError
        If there is nothing to show, or ``rows`` has another length.
    """
    if not len(explanation):
        raise DataError("There is no row to plot. Explain at least one.")
    if rows is not None and len(rows) != len(explanation):
        raise DataError(
            f"rows must name each of the {len(explanation):,} explained rows, got {len(rows):,} "
            "names. Give one a row."
        )
    worst = np.argsort(-explanation.scores, kind="stable")
    if isinstance(explanation, ImageExplanation):
        names = range(len(explanation)) if rows is None else rows
        return _heat_maps(explanation, worst[:_MAX_IMAGES].tolist(), names, ax)
    return _bars(explanation, worst[:_MAX_ROWS].tolist(), rows, ax)


def _bars(
    explanation: Explanation, worst: list[int], names: Sequence[Any] | None, ax: Axes | None
) -> Figure:
    if ax is not None:
        worst = worst[: _n_rows_in(ax, [max(len(explanation[row].reasons), 1) for row in worst])]
    lines = [line for row in worst for line in _lines(explanation, row, names)]
    short = dict(zip(explanation.names, shorten_all(explanation.names), strict=True))
    figure, ax = axes_of(ax, 1.4 + 0.3 * len(lines))
    blames = [0.0 if reason is None else reason.blame for _, reason in lines]
    ax.barh(range(len(lines)), blames, color=BLUE, height=0.7)
    for place, (label, reason) in enumerate(lines):
        words = "no column stands out" if reason is None else _words(reason, short)
        ax.annotate(
            words, (blames[place], place), (4, 0), textcoords="offset points", va="center",
            fontsize=8.5, color=DARK,
        )  # fmt: skip
        if label and place:
            ax.axhline(place - 0.5, color=GREY, linewidth=0.4)
    ax.set_yticks(range(len(lines)), [label for label, _ in lines])
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(len(lines) - 0.4, -0.6)
    scale = _scale_blames(ax, blames)
    ax.set_xlabel(f"blame: gain in log-likelihood with the cell repaired (nats{scale.words})")
    hidden = and_more(len(explanation) - len(worst), "row")
    shown = (
        f"The rows of the highest anomaly scores, {hidden}"
        if hidden
        else "Highest anomaly score first"
    )
    headline(ax, "Which columns are to blame", shown)
    return figure


def _n_rows_in(ax: Axes, n_lines: list[int]) -> int:
    """Return how many rows have room in axes, one at least."""
    return max(int((np.cumsum(n_lines) <= lines_in(ax, 0.0)).sum()), 1)


def _lines(explanation: Explanation, row: int, names: Sequence[Any] | None) -> list[_Line]:
    found = explanation[row]
    label = shorten(_row_words(found.label if names is None else names[row]), _MAX_LABEL)
    reasons: tuple[Reason | None, ...] = found.reasons or (None,)
    return [(label if rank == 0 else "", reason) for rank, reason in enumerate(reasons)]


def _row_words(label: Any) -> str:
    if isinstance(label, int | np.integer):
        return f"row {label}"
    words = label.isoformat(" ") if isinstance(label, dt.datetime) else str(label)
    return words.removesuffix(" 00:00:00")  # a date


def _words(reason: Reason, short: dict[str, str]) -> str:
    """Return the text of a reason, with shortened names and values, so that it fits."""
    got, expected = (
        shorten(value) if isinstance(value, str) else value
        for value in (reason.got, reason.expected)
    )
    shown = reason._replace(column=short[reason.column], got=got, expected=expected)
    return shorten(shown, _MAX_TEXT)


def _scale_blames(ax: Axes, blames: list[float]) -> Scale:
    """Label the left part of the axis, which has the bars, and leave the right part to text."""
    from matplotlib.ticker import FuncFormatter, NullLocator

    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: number_words(value)))
    widest, positive = max(blames) or 1.0, [blame for blame in blames if blame > 0]
    if not positive or widest < _LOG_FROM * min(positive):
        ax.set_xlim(0, widest / _BARS)
        ax.set_xticks([tick for tick in ax.get_xticks() if tick <= 1.05 * widest])
        return Scale("linear")
    scale = Scale.around_zero(min(positive))
    # On this scale the linear part is as wide as a decade.
    decades = 1 + math.log10(max(widest / scale.linear_to, 1.0))
    ax.set_xlim(0, scale.linear_to * 10.0 ** (decades / _BARS - 1))
    scale.apply(ax, "x")
    ax.set_xticks(scale.ticks(0, 1.05 * widest))
    ax.xaxis.set_minor_locator(NullLocator())
    return scale


def _heat_maps(
    explanation: ImageExplanation, worst: list[int], names: Sequence[Any], ax: Axes | None
) -> Figure:
    n_columns = min(len(worst), _ACROSS)
    n_lines = math.ceil(len(worst) / n_columns)
    figure, place = place_of(ax, 1.5 + 1.15 * n_lines)
    panels = place.subplots(n_lines, n_columns, squeeze=False).ravel()
    for panel in panels:
        bare(panel)
    for panel, row in zip(panels, worst, strict=False):
        heat = explanation.heat[row]
        largest = float(np.nanmax(heat, initial=0.0)) or 1.0
        shown = panel.imshow(heat / largest, cmap="magma", vmin=0, vmax=1)
        name = shorten(_row_words(names[row]), 12)
        panel.set_title(f"{name}\n{explanation.scores[row]:.3g}", fontsize=8, color=GREY)
        top, left, bottom, right = explanation.worst[row]
        xs = np.array([left, right, right, left, left]) - 0.5
        panel.plot(
            xs, np.array([top, top, bottom, bottom, top]) - 0.5, color=PALETTE[5], linewidth=1.5
        )
    bar = place.colorbar(shown, ax=panels.tolist(), aspect=15, pad=0.01, ticks=[0, 1])
    bar.ax.set_yticklabels(["0", "its\nlargest"])
    bar.set_label("share of the score", fontsize=8)
    bar.ax.tick_params(labelsize=8)
    bar.outline.set_visible(False)
    hidden = and_more(len(explanation) - len(worst), "image")
    note = "Below each name the anomaly score (higher = more unusual); the frame is the worst patch"
    more = f"; highest scores first, {hidden}" if hidden else ""
    headline_of_all(place, "Where images differ from what was expected", note + more)
    return figure
