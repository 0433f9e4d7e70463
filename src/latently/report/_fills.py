"""Picture of the quality of filled cells, column by column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from latently._validation import check_fitted
from latently.exceptions import DataError
from latently.report._style import (
    BLUE,
    DARK,
    GREY,
    PALE,
    and_more,
    clean,
    headline_of_all,
    lines_in,
    place_of,
    shorten_all,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Largest number of columns shown. Columns with the most missing cells come first.
_MAX_COLUMNS = 30
#: Height of a column and of the margins, in inches.
_LINE, _AROUND = 0.28, 1.5


def plot_fills(imputer: Any, *, ax: Axes | None = None) -> Figure:
    """Plot the missing fraction of each column and the expected error of its imputed values.

    Parameters
    ----------
    imputer : AutoencoderImputer
        Fitted to a table.
    ax : matplotlib Axes or None, default=None
        Axes of a grid, replaced by the two panels. None creates a new figure.

    Returns
    -------
    Figure
        One line for each of the 30 columns with the most missing cells, in descending order. It
        shows the missing fraction, the expected error in the unit of the column, and the error
        reduction relative to imputing the mean or the most frequent category.

    Raises
    ------
    DataError
        If the imputer was fitted to images.
    """
    check_fitted(imputer)
    report = getattr(imputer, "fill_report_", None)
    if report is None:
        raise DataError("The imputer was fitted to images, of which there is no report by column.")
    order = np.argsort(-report.share_missing, kind="stable")[:_MAX_COLUMNS]
    figure, place = place_of(ax, _AROUND + _LINE * len(order))
    order = order[: lines_in(place, _AROUND)]
    left, right = place.subplots(1, 2, sharey=True, width_ratios=(1, 2))
    lines = np.arange(len(order))[::-1]
    _draw_bars(left, lines, report.share_missing[order], PALE, 3)
    _draw_bars(right, lines, np.nan_to_num(report.explained[order]), BLUE, 5)
    names = shorten_all(report.names)
    left.set_yticks(lines, [names[column] for column in order], color=DARK)
    left.set_ylim(-0.6, len(order) - 0.4)
    left.set_xlabel("missing (%)")
    right.set_xlabel("error avoided (%)")
    right.set_xlim(0, 1)
    for line, column in zip(lines, order, strict=True):
        _write_error(right, line, report.explained[column], report.error_words(int(column)))
    hidden = and_more(len(report.names) - len(order), "column")
    note = (
        "Blue: share of the error of the mean, or the most frequent category, that a fill avoids. "
        "Numbers: the error expected of a fill, in the unit of the column"
    )
    more = f"; {hidden} with fewer gaps" if hidden else ""
    headline_of_all(place, _title(report), f"{note}{more}")
    return figure


def _draw_bars(ax: Axes, places: np.ndarray, shares: np.ndarray, colour: str, n_ticks: int) -> None:
    from matplotlib.ticker import MaxNLocator

    clean(ax)
    ax.barh(places, shares, height=0.7, color=colour)
    ax.xaxis.set_major_locator(MaxNLocator(n_ticks))
    ax.xaxis.set_major_formatter(lambda share, _: f"{100 * share:.3g}")
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)


def _write_error(ax: Axes, place: float, explained: float, words: str) -> None:
    inside = bool(explained > 0.6)
    ax.annotate(
        words, (0 if np.isnan(explained) else float(explained), place),
        (-4 if inside else 4, 0), textcoords="offset points", fontsize=8.5, va="center",
        ha="right" if inside else "left", color="white" if inside else GREY,
    )  # fmt: skip


def _title(report: Any) -> str:
    return f"{report.share_missing.mean():.1%} of the cells were missing"
