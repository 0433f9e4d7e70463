"""Drift of columns and scores, as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from latently.report._style import BLUE, DARK, GREY, PALE, axes_of, headline
from latently.tasks import Drift

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Most columns of one picture, and most letters of a name.
_MAX_COLUMNS, _MAX_TEXT = 30, 28


def plot_drift(drift: Drift, *, ax: Axes | None = None) -> Figure:
    """Plot how far each column, and the anomaly scores, have moved from the rows of ``fit``.

    Parameters
    ----------
    drift : Drift
        What ``AnomalyDetector.drift`` returned.
    ax : matplotlib Axes or None, default=None
        Where to draw; None makes a figure.

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
    ax.set_yticks(range(len(shown)), [_short(entry.column) for entry in shown])
    ax.set_xlim(0, 1.9 * max([*sizes, 0.05]))
    ax.invert_yaxis()
    ax.set_xlabel("largest difference between the distributions, or between two shares")
    n_moved = sum(entry.drifted for entry in drift)
    n_more = len(drift) - len(shown)
    more = f", and {n_more:,} more" if n_more else ""
    headline(
        ax,
        f"{n_moved:,} of {len(drift):,} distributions drifted" if n_moved else "No drift",
        f"{drift.n_rows:,} rows; grey is within chance ({100 * drift.level:.3g} %){more}",
    )
    ax.spines["left"].set_color(GREY)
    return figure


def _short(name: str) -> str:
    return name if len(name) <= _MAX_TEXT else name[: _MAX_TEXT - 1] + "\N{HORIZONTAL ELLIPSIS}"
