"""Why rows were flagged, as a picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from latently.exceptions import DataError
from latently.report._style import BLUE, DARK, GREY, bare, clean, headline, new_figure
from latently.tasks import Explanation, ImageExplanation

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Most rows, and images, of one picture.
_MAX_ROWS, _MAX_IMAGES = 12, 16
_MAX_TEXT = 64


def plot_explanation(
    explanation: Explanation | ImageExplanation, *, rows: Sequence[int] | None = None
) -> Figure:
    """Plot why rows were flagged: how much each guilty column is to blame, and what it holds.

    Parameters
    ----------
    explanation : Explanation or ImageExplanation
        What ``AnomalyDetector.explain`` returned.
    rows : sequence of int or None, default=None
        What to call the rows; None counts them.

    Returns
    -------
    Figure
        The twelve rows of the highest anomaly scores, a bar a reason; of images, sixteen heat maps.

    Raises
    ------
    DataError
        If there is nothing to show.
    """
    if not len(explanation):
        raise DataError("There is no row to plot. Explain at least one.")
    names = range(len(explanation)) if rows is None else rows
    worst = np.argsort(-explanation.scores, kind="stable")
    if isinstance(explanation, ImageExplanation):
        return _heat_maps(explanation, worst[:_MAX_IMAGES].tolist(), names)
    return _bars(explanation, worst[:_MAX_ROWS].tolist(), names)


def _bars(explanation: Explanation, worst: list[int], names: Sequence[int]) -> Figure:
    lines = [(row, reason) for row in worst for reason in explanation[row].reasons]
    figure = new_figure(1.3 + 0.32 * max(len(lines), 1))
    ax: Axes = clean(figure.add_subplot())
    blames = [reason.blame for _, reason in lines]
    ax.barh(range(len(lines)), blames, color=BLUE, height=0.7)
    widest = max(blames, default=1.0)
    for place, (row, reason) in enumerate(lines):
        where = reason.blame + 0.015 * widest, place
        ax.text(*where, _short(str(reason)), va="center", fontsize=8.5, color=DARK)
        if place == 0 or lines[place - 1][0] != row:
            ax.axhline(place - 0.5, color=GREY, linewidth=0.4)
    labels = [
        f"row {names[row]}" if place == 0 or lines[place - 1][0] != row else ""
        for place, (row, _) in enumerate(lines)
    ]
    ax.set_yticks(range(len(lines)), labels)
    ax.set_xlim(0, 2.4 * widest)
    ax.invert_yaxis()
    ax.set_xlabel("blame: how much likelier the row would be with the cell repaired (nats)")
    has_others = len(worst) < len(explanation)
    among = f"the {len(worst)} highest of {len(explanation):,} anomaly scores"
    shown = among if has_others else "highest anomaly score first"
    headline(ax, "Which columns are to blame", shown)
    return figure


def _heat_maps(explanation: ImageExplanation, worst: list[int], names: Sequence[int]) -> Figure:
    n_columns = min(len(worst), 8)
    n_lines = math.ceil(len(worst) / n_columns)
    figure = new_figure(0.9 + 1.15 * n_lines)
    figure.suptitle("Where images differ from what was expected", x=0.01, ha="left",
                    fontsize=12, fontweight="bold")  # fmt: skip
    for place, row in enumerate(worst):
        ax = bare(figure.add_subplot(n_lines, n_columns, place + 1))
        ax.imshow(explanation.heat[row], cmap="magma")
        ax.set_title(f"{names[row]}: {explanation.scores[row]:.3g}", fontsize=8, color=GREY)
        top, left, bottom, right = explanation.worst[row]
        xs = np.array([left, right, right, left, left]) - 0.5
        ax.plot(xs, np.array([top, top, bottom, bottom, top]) - 0.5, color="white", linewidth=1)
    return figure


def _short(words: str) -> str:
    return words if len(words) <= _MAX_TEXT else words[: _MAX_TEXT - 1] + "\N{HORIZONTAL ELLIPSIS}"
