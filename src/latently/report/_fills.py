"""What filling a table comes to, column by column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from latently._validation import check_fitted
from latently.exceptions import DataError
from latently.report._style import BLUE, DARK, GREY, PALE, clean, headline, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Columns shown at most: those with most gaps.
_MAX_COLUMNS = 30
_NAME_LENGTH = 24
#: Inches of a column, and of what stands around.
_LINE, _AROUND = 0.28, 1.5


def plot_fills(imputer: Any) -> Figure:
    """Plot how much is missing of each column, and how well the others tell it.

    Parameters
    ----------
    imputer : AutoencoderImputer
        Fitted to a table.

    Returns
    -------
    Figure
        A line a column, the emptiest first: the share of its cells that is missing; the share of
        the error of the mean, or of the most frequent category, that a fill avoids; and the error
        expected, in the column's unit.

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
    figure = new_figure(_AROUND + _LINE * len(order))
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(1, 2))
    places = np.arange(len(order))[::-1]
    _draw_bars(left, places, report.share_missing[order], PALE)
    _draw_bars(right, places, np.nan_to_num(report.explained[order]), BLUE)
    left.set_yticks(places, [_short(report.names[place]) for place in order], color=DARK)
    left.set_xlabel("cells missing")
    right.set_xlabel("explained by the other columns")
    right.set_xlim(0, 1)
    for place, column in zip(places, order, strict=True):
        _write_error(right, place, report.explained[column], report.error_words(int(column)))
    rest = len(report.names) - len(order)
    hidden = f"; {rest} columns with fewer gaps are not shown" if rest else ""
    headline(left, _title(report), f"Beside each bar the error expected of a fill{hidden}")
    return figure


def _draw_bars(ax: Axes, places: np.ndarray, shares: np.ndarray, colour: str) -> None:
    from matplotlib.ticker import MaxNLocator

    clean(ax)
    ax.barh(places, shares, height=0.7, color=colour)
    ax.xaxis.set_major_locator(MaxNLocator(5))
    ax.xaxis.set_major_formatter(lambda share, _: f"{100 * share:.3g}%")
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)


def _write_error(ax: Axes, place: float, explained: float, words: str) -> None:
    inside = bool(explained > 0.6)
    ax.annotate(
        words, (0 if np.isnan(explained) else float(explained), place),
        (-4 if inside else 4, 0), textcoords="offset points", fontsize=8.5, va="center",
        ha="right" if inside else "left", color="white" if inside else GREY,
    )  # fmt: skip


def _short(name: str) -> str:
    return name if len(name) <= _NAME_LENGTH else f"{name[: _NAME_LENGTH - 1]}…"


def _title(report: Any) -> str:
    return f"{report.share_missing.mean():.1%} of the cells were missing"
