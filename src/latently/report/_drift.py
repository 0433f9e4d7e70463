"""Drift of columns and scores, as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from latently.report._style import (
    BLUE,
    DARK,
    GREY,
    PALE,
    and_more,
    axes_of,
    headline,
    shorten_all,
)
from latently.tasks import Drift

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Largest number of columns in one picture.
_MAX_COLUMNS = 30


def plot_drift(drift: Drift, *, ax: Axes | None = None) -> Figure:
    """Plot how far each column, and the anomaly scores, have moved from the rows of ``fit``.

    Parameters
    ----------
    drift : Drift
        Result of ``AnomalyDetector.drift``.
    ax : matplotlib Axes or None, default=None
        Axes to draw into. None makes a figure.

    Returns
    -------
    Figure
        A bar for each of the thirty least likely changes, in colour where it is beyond chance.
    """
    shown = drift.changes[:_MAX_COLUMNS]
    figure, ax = axes_of(ax, 1.4 + 0.28 * len(shown))
    sizes = [entry.size for entry in shown]
    ax.barh(
        range(len(shown)), sizes, color=[BLUE if e.drifted else PALE for e in shown], height=0.7
    )
    for place, entry in enumerate(shown):
        words = f"{entry.change}: {entry.before} before, {entry.now} now" if entry.drifted else ""
        ax.text(entry.size + 0.01, place, words, va="center", fontsize=8.5, color=DARK)
    ax.set_yticks(range(len(shown)), shorten_all([entry.column for entry in shown]))
    ax.set_xlim(0, 1.9 * max([*sizes, 0.05]))
    ax.invert_yaxis()
    ax.set_xlabel("largest difference between the distributions, or between two shares")
    n_moved = sum(entry.drifted for entry in drift)
    more = and_more(len(drift) - len(shown), "distribution")
    headline(
        ax,
        f"{n_moved:,} of {len(drift):,} distributions drifted" if n_moved else "No drift",
        f"{drift.n_rows:,} rows; grey is within chance ({100 * drift.level:.3g} %)"
        + (f", {more}" if more else ""),
    )
    ax.spines["left"].set_color(GREY)
    return figure
