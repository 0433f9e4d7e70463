"""Plots of table rows: the value of each column and the value that the model expects."""

from __future__ import annotations

import datetime as dt
import math
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from latently.estimators import fitted_of
from latently.report._contents import columns_of, rows_at
from latently.report._scale import Scale
from latently.report._style import (
    BLUE,
    GREY,
    PALE,
    RED,
    and_more,
    clean,
    halo,
    headline_of_all,
    lines_in,
    place_of,
    shorten,
    shorten_all,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

#: Panels side by side at most, and the inches that each needs.
_PANELS_ACROSS, _PANEL_WIDTH = 3, 2.2
_MAX_COLUMNS = 20
#: Standard deviations above which the axis is logarithmic beyond 10.
_FAR_OUT = 30.0
#: Errors above this many standard deviations are drawn in red.
_FAR = 1.0
#: Letters of a category in a panel.
_WORD = 14
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class _Cell(NamedTuple):
    """One cell of a row: in standard deviations where it can be, and in words."""

    got: float | None
    expected: float | None
    words: str
    agrees: bool


def plot_rows(model: Any, X: Any, n_rows: int, ax: Axes | None = None) -> Figure:
    """Plot one panel per row, with a dot for each value and a ring for its expected value.

    Parameters
    ----------
    model : autoencoder
        Fitted on a table.
    X : array-like, DataFrame or Table of shape (n_samples, n_features)
        Rows.
    n_rows : int
        Number of leading rows to show, one to six.
    ax : matplotlib Axes or None, default=None
        Axes of a grid, replaced by the panels. None creates a new figure.

    Returns
    -------
    Figure
        The columns of the largest errors in these rows, in the order of the table. Numbers and
        dates are in standard deviations of their column, other columns in words.
    """
    read = fitted_of(model).validate(X)
    first = rows_at(read, np.arange(min(n_rows, len(read))))
    rows, rebuilt = (_as_rows(model, part) for part in (first, model.reconstruct(first)))
    errors = model.reconstruction_error(first)
    names = shorten_all(model.preprocessor_.column_names)
    n_columns = min(_MAX_COLUMNS, len(names))
    scales = _scales(model.preprocessor_)
    lines = -(-len(rows) // _PANELS_ACROSS)
    figure, place = place_of(ax, 1.1 + lines * (0.6 + 0.27 * n_columns))
    room = max(int(place.bbox.width / place.dpi / _PANEL_WIDTH), 1)
    across = min(_PANELS_ACROSS, len(rows), room)
    down = -(-len(rows) // across)
    n_columns = min(n_columns, max((lines_in(place, 1.1) - 4 * down) // down, 1))
    columns = _worst_columns(model, first, n_columns)
    panels = place.subplots(down, across, squeeze=False, sharex=True, sharey=True).ravel()
    for panel in panels[len(rows) :]:
        panel.remove()
    for row, panel in enumerate(panels[: len(rows)]):
        cells = [_cell(rows[row][i], rebuilt[row][i], scales.get(i)) for i in columns]
        _draw_row(clean(panel), cells, [names[i] for i in columns])
        panel.set_title(f"row {row}: error {errors[row]:.2g}", loc="left", fontsize=9.5)
    title = "What each row holds and what the model expects"
    if len(columns) < len(names):
        hidden = and_more(len(names) - len(columns), "column")
        title += f": the {len(columns)} of the largest errors, {hidden}"
    headline_of_all(place, title)
    _explain(place, panels[: len(rows)], across)
    return figure


def _worst_columns(model: Any, rows: Any, n_columns: int) -> list[int]:
    """Return the columns of the largest errors, in the order of the table."""
    errors = np.nan_to_num(model.reconstruction_error(rows, per_feature=True)).max(0)
    worst: list[int] = np.sort(np.argsort(-errors, kind="stable")[:n_columns]).tolist()
    return worst


def _as_rows(model: Any, X: Any) -> list[tuple[Any, ...]]:
    columns = columns_of(model, X)
    return list(zip(*columns.values(), strict=True))


def _scales(preprocessor: Any) -> dict[int, Callable[[Any], float]]:
    """Return functions that convert cells to standard deviations, for numeric and time columns."""
    found: dict[int, Callable[[Any], float]] = {}
    numbers = zip(preprocessor.positions, preprocessor.center, preprocessor.scale, strict=True)
    for position, center, scale in numbers:
        found[int(position)] = partial(_standardise, center=float(center), scale=float(scale))
    for codec in preprocessor.codecs:
        if hasattr(codec, "seconds_per_tick"):
            center = codec.center + codec.origin * codec.seconds_per_tick
            found[codec.position] = partial(_standardise, center=center, scale=codec.scale)
    return found


def _standardise(value: Any, center: float, scale: float) -> float:
    if value is None or isinstance(value, str):  # a column without values, a date out of range
        return math.nan
    timed = isinstance(value, (dt.date, dt.time, dt.timedelta))
    return ((_seconds(value) if timed else float(value)) - center) / scale


def _seconds(value: Any) -> float:
    """Return seconds since 1970, or of the day, or of a duration."""
    if isinstance(value, dt.timedelta):
        return value.total_seconds()
    if isinstance(value, dt.time):
        return 3600.0 * value.hour + 60.0 * value.minute + value.second
    if not isinstance(value, dt.datetime):
        value = dt.datetime.combine(value, dt.time())
    moment = value if value.tzinfo else value.replace(tzinfo=dt.UTC)
    return float((moment - _EPOCH).total_seconds())


def _cell(got: Any, expected: Any, scale: Callable[[Any], float] | None) -> _Cell:
    missing = got is None or got != got
    if scale is None:
        word = "missing" if missing else shorten(got, _WORD)
        agrees = bool(missing or got == expected)
        words = f"{word}, {shorten(expected, _WORD)} expected"
        return _Cell(None, None, word if agrees and not missing else words, agrees)
    there = scale(expected)
    if missing or not np.isfinite(there):
        return _Cell(None, there if np.isfinite(there) else None, "", True)
    here = scale(got)
    if not np.isfinite(here):
        return _Cell(None, there, shorten(got, _WORD), True)
    return _Cell(here, there, "", abs(here - there) <= _FAR)


def _draw_row(ax: Axes, cells: list[_Cell], names: list[str]) -> None:
    for y, cell in enumerate(cells):
        colour = BLUE if cell.agrees else RED
        ax.axhline(y, color=PALE, linewidth=0.6, zorder=0)
        if cell.got is not None and cell.expected is not None:
            ax.plot([cell.got, cell.expected], [y, y], color=colour, linewidth=1.5)
            ax.plot(cell.got, y, "o", color=colour, markersize=5.5)
        if cell.expected is not None:
            ax.plot(
                cell.expected,
                y,
                "o",
                markersize=5.5,
                markerfacecolor="white",
                markeredgecolor=colour,
            )
        if cell.words:
            ax.text(
                0, y, cell.words, fontsize=8, va="center", ha="center",
                color=GREY if cell.agrees else RED, path_effects=halo(),
            )  # fmt: skip
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.5, -0.5)


def _explain(place: Figure | SubFigure, panels: Any, across: int) -> None:
    low, high = panels[0].get_xlim()
    reach = max(abs(low), abs(high), 2.0)
    first = panels[0]  # the others share its axis
    first.set_xlim(-reach, reach)
    unit = "standard deviations from the column's mean"
    if reach > _FAR_OUT:
        unit += ", log scale beyond 10"
        reach = 10.0 ** math.ceil(math.log10(reach))
        Scale("symlog", 10.0).apply(first, "x")
        first.set_xlim(-1.5 * reach, 1.5 * reach)
    first.set_xticks([-math.floor(reach), 0, math.floor(reach)])
    for ax in panels[-across:]:
        # matplotlib hides tick labels above a removed panel.
        ax.tick_params(labelbottom=True)
    # The legend's title is the name of the axis: two texts below a figure would overlap.
    place.legend(
        handles=_handles(), title=unit,
        loc="outside lower center", ncols=3, frameon=False, fontsize=9, title_fontsize=9.5,
    )  # fmt: skip


def _handles() -> list[Any]:
    from matplotlib.lines import Line2D

    ring = Line2D([], [], color=GREY, marker="o", linestyle="", label="expected")
    ring.set_markerfacecolor("white")
    return [
        Line2D([], [], color=GREY, marker="o", linestyle="", label="got"),
        ring,
        Line2D([], [], color=RED, label=f"more than {_FAR:g} apart, or another word"),
    ]
